"""Coming in: one limit for all doors, and who gets into the admin."""

import time

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts import api, forms
from accounts.authentication import KeyThrottle
from accounts.limits import LOGINS_PER_ADDRESS, LOGINS_PER_NAME, LogInLimit, seconds_left
from accounts.models import AuditEntry, Membership, User
from accounts.roles import Role
from accounts.services import set_member
from processes.models import Process

API = "/api/v1/auth/login"


@pytest.fixture
def limit(settings, monkeypatch):
    """Three a minute from an address, five for a name; in a minute that does not turn under the test."""
    if time.time() % 60 > 50:
        time.sleep(60 - time.time() % 60)
    settings.RATE_LIMIT_ENABLED = True
    limit = LogInLimit(3, 5)
    for module in (api, forms):
        monkeypatch.setattr(module, "log_ins", limit)
    return limit


def by_page(name="viewer", password="wrong", address="192.0.2.1", path="/login"):
    return Client(REMOTE_ADDR=address).post(path, {"username": name, "password": password})


def by_api(name="viewer", password="wrong", address="192.0.2.1"):
    return Client(REMOTE_ADDR=address).post(API, {"username": name, "password": password}, content_type="application/json")


def test_page_and_api_share_one_limit_for_an_address(people, limit):
    assert [by_page("a").status_code, by_api("b").status_code, by_page("c").status_code] == [200, 401, 200]
    page, call = by_page(password="secret"), by_api(password="secret")
    assert (page.status_code, call.status_code) == (429, 429)
    assert by_page(address="192.0.2.2", password="secret").status_code == 302


def test_guessing_one_name_from_many_addresses_is_limited_too(people, limit):
    answers = [(by_page if number % 2 else by_api)(name="Viewer", address=f"192.0.2.{number}") for number in range(5)]
    assert {answer.status_code for answer in answers} == {200, 401}
    assert by_page(name="viewer", password="secret", address="192.0.2.9").status_code == 429
    assert by_api(name="viewer", password="secret", address="192.0.2.9").status_code == 429
    assert by_page(name="editor", password="secret", address="192.0.2.9").status_code == 302


def test_who_is_refused_is_told_how_long_and_keeps_what_was_typed(people, limit):
    for _ in range(3):
        by_page()
    page, call = by_page(), by_api()
    for answer in (page, call):
        assert 1 <= int(answer["Retry-After"]) <= 60
    assert f"try again in {page['Retry-After']} second" in page.content.decode()
    assert 'value="viewer"' in page.content.decode()
    error = call.json()["error"]
    assert (error["code"], "try again in" in error["message"]) == ("throttled", True)


def test_a_log_in_that_succeeds_does_not_count(people, limit):
    for _ in range(6):
        assert by_page(password="secret").status_code == 302
        assert by_api(password="secret").status_code == 200
    assert by_page().status_code == 200


def test_a_refused_address_locks_nobody_out(people, limit):
    for _ in range(20):
        by_page(name="viewer")
    assert by_page(name="viewer", password="secret", address="192.0.2.2").status_code == 302


def test_one_machine_alone_cannot_use_up_a_persons_attempts():
    assert LOGINS_PER_ADDRESS < LOGINS_PER_NAME


def test_without_limits_nobody_is_refused(people, limit, settings):
    settings.RATE_LIMIT_ENABLED = False
    assert {by_page().status_code for _ in range(8)} == {200}


def test_the_wait_is_at_least_a_second():
    assert [seconds_left(0.0), seconds_left(59.9), seconds_left(30.5)] == [60, 1, 30]


def test_calls_are_limited_as_the_settings_say():
    assert KeyThrottle.counter.most == settings.CALLS_PER_MINUTE


def test_the_admin_has_no_door_of_its_own(people, limit):
    answer = by_page(name="operator", password="secret", path="/admin/login/?next=/admin/accounts/user/")
    assert (answer.status_code, answer["Location"]) == (302, "/login?next=/admin/accounts/user/")
    client = Client()
    assert client.get("/admin/", follow=True).request["PATH_INFO"] == "/login"
    entered = client.post("/login?next=/admin/", {"username": "operator", "password": "secret"})
    assert entered["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/login/?next=/admin/accounts/user/")["Location"] == "/admin/accounts/user/"
    assert client.get("/admin/login/?next=https://evil.example/")["Location"] == "/admin/"


@pytest.mark.parametrize("is_staff", [False, True])
def test_who_is_no_operator_is_told_so_at_the_admin(people, as_user, is_staff):
    User.objects.filter(pk=people.owner.pk).update(is_staff=is_staff)
    answer = as_user(people.owner).get("/admin/", follow=True)
    assert answer.status_code == 403
    assert "for administrators; you are logged in as owner" in answer.content.decode()
    assert "/admin/" not in as_user(people.owner).get("/").content.decode()


def test_staff_with_permissions_gets_no_key_of_the_operator(people, as_user):
    User.objects.filter(pk=people.viewer.pk).update(is_staff=True)
    people.viewer.user_permissions.set(Permission.objects.all())
    form = {"user": people.operator.pk, "name": "stolen", "scopes": ["manage"]}
    answer = as_user(people.viewer).post(reverse("admin:accounts_apikey_add"), form)
    assert "login" in answer["Location"]
    assert not people.operator.api_keys.exists()


# People in the admin


@pytest.fixture
def operator(as_user, people):
    return as_user(people.operator)


def lines_of(name):
    return [(line.verb, line.detail) for line in AuditEntry.objects.filter(target_name=name, username="operator").order_by("pk")]


def test_a_sole_owner_is_not_deleted_in_the_admin(operator, people):
    one = operator.post(reverse("admin:accounts_user_delete", args=[people.owner.pk]), {"post": "yes"}, follow=True)
    assert "Weather would be left without an owner" in one.content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [people.viewer.pk, people.owner.pk], "post": "yes"}
    many = operator.post(reverse("admin:accounts_user_changelist"), chosen, follow=True)
    assert "Nothing was deleted" in many.content.decode()
    assert User.objects.filter(username__in=["owner", "viewer"]).count() == 2
    assert Membership.objects.filter(team=people.team, role=Role.OWNER).exists()


def test_who_is_deleted_in_the_admin_leaves_an_audit_line(operator, people):
    set_member(team=people.team, member=people.editor, role=Role.OWNER, user=people.owner)
    operator.post(reverse("admin:accounts_user_delete", args=[people.owner.pk]), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [people.viewer.pk], "post": "yes"}
    operator.post(reverse("admin:accounts_user_changelist"), chosen)
    assert not User.objects.filter(username__in=["owner", "viewer"]).exists()
    assert lines_of("owner") == lines_of("viewer") == [("deleted", {})]


def test_a_password_set_in_the_admin_leaves_an_audit_line(operator, people):
    page = reverse("admin:auth_user_password_change", args=[people.viewer.pk])
    new = {"password1": "tasiko-bemuna", "password2": "tasiko-bemuna", "usable_password": "true", "set-password": "1"}
    operator.post(page, new | {"password2": "other"})
    assert lines_of("viewer") == []
    operator.post(page, new)
    people.viewer.refresh_from_db()
    assert people.viewer.check_password("tasiko-bemuna")
    assert lines_of("viewer") == [("changed", {"fields": ["password"]})]


def test_an_operators_own_password_leaves_an_audit_line(operator, people):
    new = {"old_password": "secret", "new_password1": "tasiko-bemuna", "new_password2": "tasiko-bemuna"}
    operator.post("/admin/password_change/", new | {"old_password": "wrong"})
    assert lines_of("operator") == []
    assert operator.post("/admin/password_change/", new).status_code == 302
    assert lines_of("operator") == [("changed", {"fields": ["password"]})]


def test_a_person_is_changed_with_one_audit_line(operator, people):
    page = reverse("admin:accounts_user_change", args=[people.viewer.pk])
    assert "is_staff" not in operator.get(page).content.decode()
    joined = people.viewer.date_joined
    form = {
        "username": "viewer",
        "email": "new@example.org",
        "is_active": "on",
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
    }
    form |= {"date_joined_0": joined.date().isoformat(), "date_joined_1": joined.time().replace(microsecond=0).isoformat()}
    assert operator.post(page, form).status_code == 302
    [(verb, detail)] = lines_of("viewer")
    assert (verb, "email" in detail["fields"], "is_staff" in detail["fields"]) == ("changed", True, False)


def test_a_team_is_renamed_in_the_admin_by_the_services_verb(operator, people):
    page = reverse("admin:accounts_team_change", args=[people.team.pk])
    form = {"name": "Climate", "isolation_binds": "owner", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    assert operator.post(page, form).status_code == 302
    assert lines_of("Climate") == [("renamed", {})]


def test_a_process_made_disabled_in_the_admin_leaves_one_audit_line(operator, people):
    form = {"team": people.team.pk, "name": "Nightly", "steps-TOTAL_FORMS": 0, "steps-INITIAL_FORMS": 0}
    assert operator.post(reverse("admin:processes_process_add"), form).status_code == 302
    assert not Process.objects.get().enabled
    assert lines_of("Nightly") == [("created", {})]
