"""Keys and log-in: who is let in, as whom, and how often."""

import io
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.authentication import KeyThrottle
from accounts.keys import user_for_key
from accounts.limits import Counter
from accounts.models import ApiKey
from accounts.services import create_api_key, revoke_api_key
from operations.api import Version
from tests.api.conftest import Caller


@pytest.fixture
def key(people: Any) -> tuple[ApiKey, str]:
    return create_api_key(user=people.runner, name="Test", by=None)


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "Authorization: bearer  {} ", "X-API-Key: {}"])
def test_a_key_is_taken_from_either_header(header: str, key: Any) -> None:
    name, _, value = header.format(key[1]).partition(": ")
    assert Caller(**{name: value}).ok("GET", "version")


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer nonsense", "Bearer psk_nonsense", "Bearer psk_\xff", "Bearer " + "x" * 5000, "Basic eA=="]
)
def test_what_is_no_key_is_a_401_that_says_how(value: str, db: None) -> None:
    response = Caller(Authorization=value).call("GET", "version")
    assert response.status_code == 401
    assert response.json()["error"]["code"] in ("not_authenticated", "authentication_failed")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_bad_key_does_not_fall_back_to_the_session(people: Any) -> None:
    caller = Caller(**{"X-API-Key": "psk_wrong"})
    caller.client.force_login(people.owner)
    caller.refused("GET", "version", status=401)


def test_a_key_that_expired_was_revoked_or_lost_its_person_opens_nothing(people: Any, key: Any) -> None:
    row, text = key
    assert user_for_key(text) == people.runner
    ApiKey.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert user_for_key(text) is None
    ApiKey.objects.filter(pk=row.pk).update(expires_at=None)
    people.runner.is_active = False
    people.runner.save()
    assert user_for_key(text) is None
    people.runner.is_active = True
    people.runner.save()
    revoke_api_key(key=row, user=people.runner)
    assert user_for_key(text) is None


def test_the_last_use_is_noted_once_a_minute(key: Any, django_assert_num_queries: Any) -> None:
    row, text = key
    with django_assert_num_queries(2):
        user_for_key(text)
    row.refresh_from_db()
    assert row.last_used_at is not None
    with django_assert_num_queries(1):
        user_for_key(text)
    ApiKey.objects.filter(pk=row.pk).update(last_used_at=timezone.now() - timedelta(minutes=2))
    with django_assert_num_queries(2):
        user_for_key(text)


def test_a_key_is_shown_once_and_kept_as_a_hash(people: Any, by_session: Any) -> None:
    caller = by_session(people.editor)
    made = caller.ok("POST", "api-keys", {"name": "Mine", "team": "weather", "scopes": ["run", "read"], "days": 1}, status=201)
    assert made["scopes"] == ["read", "run"]
    assert made["team"] == "weather"
    assert Caller(Authorization=f"Bearer {made['key']}").ok("GET", "threads") is not None
    listed = caller.ok("GET", f"api-keys/{made['id']}")
    assert "key" not in listed
    assert listed["last_used_at"]
    assert made["key"] not in str(ApiKey.objects.values().get(pk=made["id"]))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "scopes": ["all"]}, "scopes.0"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": "x", "days": 0}, "days"),
        ({"name": "x", "days": 9999}, "days"),
        ({"name": "x", "team": "elsewhere"}, "team"),
        ({"scopes": ["read"]}, "name"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_field(body: Any, field: str, editor: Caller) -> None:
    assert editor.refused("POST", "api-keys", body)["fields"][field]


def test_a_key_makes_no_key_that_can_more_than_itself(people: Any, by_key: Any) -> None:
    by_key(people.owner, scopes=["write"]).refused("POST", "api-keys", {"name": "More"}, status=403)
    by_key(people.owner, team=people.team).refused("POST", "api-keys", {"name": "Everywhere"})
    made = by_key(people.owner, team=people.team, days=1).ok("POST", "api-keys", {"name": "Longer", "team": "weather"}, status=201)
    assert made["expires_at"] is not None
    by_key(people.owner, scopes=["read"]).refused("POST", "teams", {"name": "Mine"}, status=403)
    by_key(people.owner, team=people.team).refused("POST", "teams", {"name": "Mine"}, status=403)


def test_the_command_prints_the_key_alone(people: Any) -> None:
    out = io.StringIO()
    call_command("createapikey", user="editor", team="weather", scope=["run"], days=3, stdout=out)
    text = out.getvalue()
    assert text.count("\n") == 1
    user = user_for_key(text.strip())
    assert user == people.editor
    assert user.key.team == people.team
    assert user.key.scopes == ["run"]
    assert user.key.expires_at is not None


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"user": "nobody"}, "nobody"),
        ({"user": "editor", "team": "none"}, "none"),
        ({"user": "editor", "team": "elsewhere"}, "Elsewhere"),
        ({"user": "editor", "scope": ["all"]}, "read"),
        ({"user": "editor", "days": 0}, "3650"),
    ],
)
def test_the_command_says_in_a_line_what_is_wrong(options: Any, word: str, people: Any) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("createapikey", **options)
    assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_logging_in_and_out_by_script(people: Any) -> None:
    caller = Caller()
    caller.refused("GET", "threads", status=401)
    caller.refused("POST", "auth/login", {"username": "editor", "password": "wrong"}, status=401)
    entered = caller.ok("POST", "auth/login", {"username": "editor", "password": "secret"})
    assert entered["username"] == "editor"
    assert caller.ok("GET", "threads")
    caller.ok("POST", "auth/logout", {}, status=204)
    caller.refused("GET", "threads", status=401)


def test_a_session_changes_nothing_without_the_csrf_token(people: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    login = client.post("/api/v1/auth/login", {"username": "editor", "password": "secret"}, content_type="application/json")
    body, kind = {"team": "weather", "name": "New"}, "application/json"
    assert client.post("/api/v1/folders", body, content_type=kind).status_code == 403
    token = {"X-CSRFToken": login.json()["csrf_token"]}
    assert client.post("/api/v1/folders", body, content_type=kind, headers=token).status_code == 201
    assert client.get("/api/v1/folders").status_code == 200


def test_a_key_needs_no_csrf_token(key: Any, people: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/api/v1/schedules/preview", {"kind": "manual"}, content_type="application/json", headers={"X-API-Key": key[1]})
    assert answer.status_code == 200


def test_who_calls_too_often_is_told_when_to_come_back(key: Any, monkeypatch: pytest.MonkeyPatch, people: Any, by_key: Any) -> None:

    # Begin where the minute does not turn under the test.
    if time.time() % 60 > 45:
        time.sleep(60 - time.time() % 60)
    monkeypatch.setattr(KeyThrottle, "counter", Counter(3))
    monkeypatch.setattr(Version, "throttle_classes", [KeyThrottle])
    caller = Caller(**{"X-API-Key": key[1]})
    assert [caller.call("GET", "version").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = caller.call("GET", "version")
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert refused.json()["error"]["code"] == "throttled"
    assert by_key(people.owner).ok("GET", "version")


def test_a_counter_forgets_with_the_minute() -> None:
    counter = Counter(1)
    assert [counter.admits("a", 0.0), counter.admits("a", 59.0), counter.admits("b", 59.0), counter.admits("a", 60.0)] == [
        True,
        False,
        True,
        True,
    ]
