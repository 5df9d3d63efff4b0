"""Django's admin: every model is there, and it acts through the services."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry, Membership, Team, User
from accounts.roles import Role
from accounts.services import create_api_key, create_team, set_member
from environments.models import Environment, EnvironmentBuild
from events.models import Event
from history.models import Artifact, Drain, Host, Run, StepRun
from history.status import Status
from operations.models import Milestone
from processes.models import Process
from schedules.models import ClockLease, Firing, Pause, Schedule
from schedules.pauses import pause_schedule
from schedules.services import create_schedule
from tests import browser
from threads.models import Folder, Thread, ThreadVersion
from threads.services import create_folder
from threads.uploads import Upload
from threads.variables import set_variable

APPS = ("accounts", "events", "environments", "threads", "processes", "history", "schedules", "operations")
OURS = [model for label in APPS for model in apps.get_app_config(label).get_models()]


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def texts(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def act(client, model, action, rows):
    return client.post(address(model, "changelist"), {"action": action, "_selected_action": [row.pk for row in rows]})


@pytest.fixture
def operator(as_user, people):
    return as_user(people.operator)


@pytest.fixture
def full(people, make_thread, make_process, make_run):
    """At least one row of every model."""
    folder = create_folder(team=people.team, user=people.editor, name="Reports")
    thread = make_thread("Fetch", folder=folder, input_file=Upload("cities.csv", b"city\nOslo\n"))
    process = make_process(threads=[thread, make_thread()])
    schedule = create_schedule(team=people.team, user=people.editor, name="Hourly", target=process, kind="interval", interval_seconds=3600)
    run = make_run(process)
    Firing.objects.create(schedule=schedule, due_at=timezone.now(), outcome="fired", run=run)
    pause_schedule(schedule=schedule, user=people.editor, reason="Stock-taking")
    Artifact.objects.create(run=run, path="out.csv", size_bytes=3, modified_at=timezone.now())
    Host.objects.create(key="here")
    Drain.objects.create(pk=1, reason="Upgrade")
    environment = Environment.objects.create(key="e" * 64, python_version="3.13.1")
    EnvironmentBuild.objects.create(wish="w" * 64, environment=environment)
    ClockLease.objects.get_or_create(name="clock")
    Milestone.objects.create(name="something")
    set_variable(team=people.team, user=people.editor, name="TOKEN", value="nobody-reads-me", is_secret=True)
    create_api_key(user=people.editor, name="script", by=people.editor)
    return people


def test_every_model_has_its_pages():
    assert len(OURS) >= 20
    assert [model.__name__ for model in OURS if not admin.site.is_registered(model)] == []


def test_the_operator_can_open_every_page(operator, full):
    for model in admin.site._registry:
        assert operator.get(address(model, "changelist"), {"q": "o"}).status_code == 200, model
        if admin.site.get_model_admin(model).has_add_permission(operator.get("/admin/").wsgi_request):
            assert operator.get(address(model, "add")).status_code == 200, model
    for model in OURS:
        row = model._default_manager.first()
        assert row is not None, model
        assert operator.get(address(model, "change", row.pk)).status_code == 200, model


def test_nobody_else_gets_in(as_user, people, client):
    assert client.get("/admin/").status_code == 302
    assert as_user(people.owner).get(address(Run, "changelist")).status_code == 302


@pytest.mark.parametrize("model", [Run, StepRun, Artifact, Firing, Pause, AuditEntry, Event, ThreadVersion, Host])
def test_the_record_cannot_be_changed(operator, full, model):
    row = model._default_manager.first()
    assert operator.post(address(model, "change", row.pk), {}).status_code == 403
    assert operator.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert operator.get(address(model, "add")).status_code == 403


def thread_form(team, **changes):
    form = {"team": team.pk, "name": "Hello World", "type": "data", "timeout_seconds": 60, "enabled": "on", "source": "print('a')\r\n"}
    return form | {"retries": 0, "retry_delay_seconds": 10, "retry_exit_codes": ""} | changes


def test_a_thread_made_here_gets_a_safe_name_and_a_version(operator, people):
    answer = operator.post(address(Thread, "add"), thread_form(people.team))
    assert answer.status_code == 302
    thread = Thread.objects.get()
    assert (thread.safe_name, thread.type, thread.timeout_seconds, thread.created_by) == ("hello-world", "data", 60, people.operator)
    assert thread.current_version.source == "print('a')\n"
    assert AuditEntry.objects.filter(verb="created", target_type="thread", username="operator").exists()


def test_a_thread_without_source_begins_as_a_draft(operator, people):
    operator.post(address(Thread, "add"), thread_form(people.team, source=""))
    assert Thread.objects.get().current_version is None


def test_what_the_service_refuses_stands_beside_the_field(operator, people):
    answer = operator.post(address(Thread, "add"), thread_form(people.team, source="def broken(:\n", name="Kept"))
    assert answer.status_code == 200
    assert "does not compile" in answer.context["adminform"].form.errors["source"][0]
    assert "Kept" in answer.content.decode()
    assert not Thread.objects.exists()


def test_a_changed_source_makes_a_version_and_an_unchanged_one_does_not(operator, make_thread, people):
    thread = make_thread(source="print('hello')\n")
    page = address(Thread, "change", thread.pk)
    same = thread_form(people.team, name="Renamed", source="print('hello')\r\n")
    assert operator.post(page, same).status_code == 302
    thread.refresh_from_db()
    assert (thread.safe_name, thread.versions.count()) == ("renamed", 1)
    operator.post(page, same | {"source": "print('new')\n"})
    thread.refresh_from_db()
    assert (thread.current_version.number, thread.current_version.source) == (2, "print('new')\n")


def test_limits_and_retries_of_a_thread_are_set_here(operator, make_thread, people):
    thread = make_thread(source="print('a')\n")
    page = address(Thread, "change", thread.pk)
    form = thread_form(people.team, memory_limit_mb=256, max_runs=2, retries=3, retry_delay_seconds=5, retry_exit_codes="[1, -9]")
    assert operator.post(page, form).status_code == 302
    thread.refresh_from_db()
    assert (thread.memory_limit_mb, thread.max_runs) == (256, 2)
    assert (thread.retries, thread.retry_delay_seconds, thread.retry_exit_codes) == (3, 5, [1, -9])
    refused = operator.post(page, form | {"retry_exit_codes": "[1000]"}).context["adminform"].form.errors
    assert "exit codes" in refused["retry_exit_codes"][0]


def steps_form(*rows, initial=0):
    form = {"steps-TOTAL_FORMS": len(rows), "steps-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        form |= {f"steps-{number}-{name}": value for name, value in ({"on_failure": "stop", "parameters": "{}"} | row).items()}
    return form


def test_a_process_is_made_with_its_steps(operator, people, make_thread):
    first, second = make_thread("First"), make_thread("Second")
    form = {"team": people.team.pk, "name": "Nightly", "enabled": "on"}
    form |= steps_form({"stage": 2, "thread": second.pk}, {"stage": 1, "thread": first.pk, "parameters": '{"city": "Oslo"}'})
    assert operator.post(address(Process, "add"), form).status_code == 302
    steps = Process.objects.get().steps.all()
    assert [(step.position, step.stage, step.thread, step.parameters) for step in steps] == [
        (1, 1, first, {"city": "Oslo"}),
        (2, 2, second, {}),
    ]


def test_a_process_whose_steps_are_refused_is_not_made(operator, people, make_thread):
    foreign = make_thread("Foreign", team=people.other_team, user=people.stranger)
    form = {"team": people.team.pk, "name": "Nightly", "enabled": "on"} | steps_form({"stage": 1, "thread": foreign.pk})
    answer = operator.post(address(Process, "add"), form)
    assert answer.status_code == 200
    assert "belongs to another team" in answer.content.decode()
    assert not Process.objects.exists()
    assert not AuditEntry.objects.filter(target_type="process").exists()


def test_a_step_is_taken_out_of_a_process(operator, people, make_process, make_thread):
    process = make_process(threads=[make_thread("First"), make_thread("Second")])
    rows = [{"id": step.pk, "process": process.pk, "stage": step.stage, "thread": step.thread_id} for step in process.steps.all()]
    form = {"name": process.name, "enabled": "on"} | steps_form(rows[0] | {"DELETE": "on"}, rows[1], initial=2)
    assert operator.post(address(Process, "change", process.pk), form).status_code == 302
    assert [step.thread.name for step in process.steps.all()] == ["Second"]


def test_runs_at_once_are_limited_and_isolation_is_asked_for_here(operator, people, make_process):
    process = make_process()
    rows = [{"id": step.pk, "process": process.pk, "stage": step.stage, "thread": step.thread_id} for step in process.steps.all()]
    form = {"name": process.name, "enabled": "on", "max_runs": 1} | steps_form(*rows, initial=len(rows))
    assert operator.post(address(Process, "change", process.pk), form).status_code == 302
    members = members_form(*rows_of(people.team), initial=people.team.memberships.count())
    form = {"name": people.team.name, "max_runs": 3, "min_isolation": "bubblewrap", "isolation_binds": "editor"} | members
    assert operator.post(address(Team, "change", people.team.pk), form).status_code == 302
    process.refresh_from_db()
    people.team.refresh_from_db()
    assert (process.max_runs, people.team.max_runs) == (1, 3)
    assert (people.team.min_isolation, people.team.isolation_binds) == ("bubblewrap", "editor")


def test_steps_keep_what_they_had_when_one_is_changed(operator, people, make_process, make_thread):
    process = make_process(threads=[make_thread("First")])
    process.steps.update(retries=4, on_failure="continue")
    step = process.steps.get()
    row = {"id": step.pk, "process": process.pk, "stage": 1, "thread": step.thread_id, "on_failure": "continue", "retries": 4}
    form = {"name": process.name, "enabled": "on"} | steps_form(row | {"timeout_seconds": 60}, initial=1)
    assert operator.post(address(Process, "change", process.pk), form).status_code == 302
    assert process.steps.values_list("timeout_seconds", "retries", "on_failure").get() == (60, 4, "continue")


def test_a_schedule_is_made_and_changed_through_its_service(operator, people, make_thread):
    thread = make_thread()
    form = {"team": people.team.pk, "thread": thread.pk, "name": "Hourly", "kind": "cron", "cron": "61 * * * *", "timezone": "UTC"}
    form |= {"enabled": "on", "priority": 0, "parameters": "{}", "overlap": "skip", "missed": "latest", "jitter_seconds": 0}
    answer = operator.post(address(Schedule, "add"), form)
    assert answer.context["adminform"].form.errors["cron"]
    assert operator.post(address(Schedule, "add"), form | {"cron": "0 * * * *"}).status_code == 302
    schedule = Schedule.objects.get()
    assert schedule.next_run_at > timezone.now()
    answer = operator.post(address(Schedule, "change", schedule.pk), form | {"cron": "0 * * * *", "thread": ""})
    assert "one of them" in str(answer.context["adminform"].form.errors)


def test_runs_are_started_and_stopped_and_one_bad_row_stops_no_other(operator, people, make_thread):
    good, broken = make_thread("Good"), make_thread("Draft", source=None)
    said = texts(act(operator, Thread, "run_now", [broken, good]))
    assert [run.name for run in Run.objects.all()] == ["Good"]
    assert any("Draft" in text and "no saved version" in text for text in said)
    assert "Queued: 1." in said
    run = Run.objects.get()
    assert "Stopping: 1." in texts(act(operator, Run, "stop", [run]))
    run.refresh_from_db()
    assert (run.status, run.stop_requested_by) == (Status.STOPPED, "operator")
    assert "has already ended" in texts(act(operator, Run, "stop", [run]))[-1]
    act(operator, Run, "again", [run])
    assert Run.objects.filter(status=Status.QUEUED).count() == 1


def test_processes_and_schedules_are_run_from_their_lists(operator, people, make_process):
    process = make_process()
    schedule = create_schedule(team=people.team, user=people.editor, name="By hand", target=process, kind="manual")
    assert "Queued: 1." in texts(act(operator, Process, "run_now", [process]))
    assert "Queued: 1." in texts(act(operator, Schedule, "run", [schedule]))
    assert Run.objects.filter(process=process).count() == 2


@pytest.mark.parametrize("model", [Thread, Process, Schedule])
def test_things_are_disabled_and_enabled_from_their_lists(operator, full, model):
    row = model.objects.first()
    for action, expected in (("disable", False), ("enable", True)):
        act(operator, model, action, [row])
        row.refresh_from_db()
        assert row.enabled is expected


def test_an_old_version_is_restored_from_the_list(operator, people, make_thread):
    thread = make_thread()
    act(operator, ThreadVersion, "restore", [thread.current_version])
    assert thread.versions.count() == 2


def test_a_key_is_shown_once_and_can_be_revoked(operator, people):
    form = {"user": people.editor.pk, "name": "script", "scopes": ["read", "run"], "days": 7}
    answer = operator.post(address(ApiKey, "add"), form)
    key = ApiKey.objects.get()
    [said] = [text for text in texts(answer) if "copy it now" in text]
    assert key.prefix in said
    assert (key.scopes, key.expires_at - key.created_at > timedelta(days=6)) == (["read", "run"], True)
    assert "psk_" in operator.get(address(ApiKey, "changelist")).content.decode()
    secret = said.split()[3]
    assert secret not in operator.get(address(ApiKey, "change", key.pk)).content.decode()
    act(operator, ApiKey, "revoke", [key])
    key.refresh_from_db()
    assert not key.is_usable


def members_form(*rows, initial):
    form = {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        form |= {f"memberships-{number}-{name}": value for name, value in row.items()}
    return form


def rows_of(team):
    return [{"id": row.pk, "team": team.pk, "user": row.user_id, "role": row.role} for row in team.memberships.order_by("pk")]


def test_members_are_given_roles_on_their_teams_page(operator, people):
    rows = rows_of(people.team)
    rows[1]["role"] = "viewer"
    form = {"name": "Climate", "isolation_binds": "owner"} | members_form(
        *rows[:2], rows[2] | {"DELETE": "on"}, rows[3], {"user": people.stranger.pk, "role": "owner", "team": people.team.pk}, initial=4
    )
    assert operator.post(address(Team, "change", people.team.pk), form).status_code == 302
    roles = dict(people.team.memberships.values_list("user__username", "role"))
    assert roles == {"owner": "owner", "editor": "viewer", "viewer": "viewer", "stranger": "owner"}
    assert Team.objects.filter(name="Climate", slug="weather").exists()


def test_a_team_keeps_an_owner(operator, people):
    rows = rows_of(people.team)
    form = {"name": "Climate", "isolation_binds": "owner"} | members_form(rows[0] | {"DELETE": "on"}, *rows[1:], initial=4)
    answer = operator.post(address(Team, "change", people.team.pk), form)
    assert answer.status_code == 200
    assert "without an owner" in answer.content.decode()
    assert people.team.memberships.count() == 4
    assert not Team.objects.filter(name="Climate").exists()


def test_a_persons_memberships_stand_on_the_persons_page(operator, people):
    user = User.objects.create_user("new", password="secret")
    page = address(User, "change", user.pk)
    form = {"username": "new", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
    form |= members_form({"team": people.team.pk, "role": "runner", "user": user.pk}, initial=0)
    assert operator.post(page, form).status_code == 302
    assert Membership.objects.get(user=user).role == Role.RUNNER
    assert AuditEntry.objects.filter(verb="set role of", target_name="new").exists()


def test_a_person_is_made_and_nobody_deletes_himself(operator, people):
    form = {"username": "new", "usable_password": "true", "password1": "tasiko-bemuna", "password2": "tasiko-bemuna"}
    assert operator.post(address(User, "add"), form).status_code == 302
    assert AuditEntry.objects.filter(verb="created", target_name="new").exists()
    assert operator.post(address(User, "delete", people.operator.pk), {"post": "yes"}).status_code == 403
    new = User.objects.get(username="new")
    for chosen in ([people.operator.pk, new.pk], [new.pk]):
        operator.post(address(User, "changelist"), {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})
        assert User.objects.filter(pk=people.operator.pk).exists()
    assert not User.objects.filter(username="new").exists()


def test_a_thread_in_use_is_not_deleted_and_neither_are_those_with_it(operator, make_thread, make_process):
    used, free = make_thread("Used"), make_thread("Free")
    make_process(threads=[used])
    answer = operator.post(address(Thread, "delete", used.pk), {"post": "yes"})
    assert "is used by Nightly" in texts(answer)[-1]
    operator.post(address(Thread, "changelist"), {"action": "delete_selected", "_selected_action": [free.pk, used.pk], "post": "yes"})
    assert Thread.objects.count() == 2
    operator.post(address(Thread, "delete", free.pk), {"post": "yes"})
    assert Thread.objects.get() == used


def test_folders_are_made_and_deleted(operator, people):
    operator.post(address(Folder, "add"), {"team": people.team.pk, "name": "My Reports"})
    folder = Folder.objects.get()
    assert folder.safe_name == "my-reports"
    operator.post(address(Folder, "delete", folder.pk), {"post": "yes"})
    assert not Folder.objects.exists()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(
    operator, full, make_thread, make_process, make_run, model, django_assert_max_num_queries
):
    def queries():
        with django_assert_max_num_queries(25) as seen:
            operator.get(address(model, "changelist"))
        return len(seen)

    few = queries()
    for number in range(4):
        thread = make_thread(f"More {number}", input_file=Upload("in.csv", b"a\n1\n"))
        run = make_run(make_process(f"More {number}", threads=[thread]))
        schedule = create_schedule(team=full.team, user=full.editor, name=f"More {number}", target=thread, kind="manual")
        Firing.objects.create(schedule=schedule, due_at=timezone.now(), outcome="fired", run=run)
        Artifact.objects.create(run=run, path="x", size_bytes=1, modified_at=timezone.now())
        folder = create_folder(team=full.team, user=full.editor, name=f"More {number}")
        create_folder(team=full.team, user=full.editor, name="Below", parent=folder)
        member = User.objects.create_user(f"more{number}")
        set_member(team=full.team, member=member, role=Role.VIEWER, user=full.owner)
        create_team(name=f"More {number}", user=member)
        Host.objects.create(key=f"more{number}")
        Milestone.objects.create(name=f"more{number}")
    assert queries() <= few + 1


@pytest.mark.browser
@pytest.mark.usefixtures("django_db_setup")  # Before the live server, which must know the database that it shares.
@pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed; `make test-deps` installs it on Debian")
def test_the_admin_works_under_the_strict_policy(live_server, operator, full):
    pages = ["/admin/", "/admin/password_change/", address(User, "add"), address(Process, "add"), address(ApiKey, "add")]
    pages += [address(model, "changelist") for model in OURS]
    pages += [address(model, "change", model._default_manager.first().pk) for model in OURS]
    pages += [address(Thread, "delete", Thread.objects.first().pk)]
    cookie = {"name": "sessionid", "value": operator.cookies["sessionid"].value, "url": live_server.url}
    with browser.opened() as page:
        faults = browser.faults_of(page)
        page.goto(live_server.url + "/admin/login/")
        page.context.add_cookies([cookie])
        for path in pages:
            assert page.goto(live_server.url + path).ok, path
        page.goto(live_server.url + address(Process, "add"))
        # The admin's own scripts run: a row of steps is added, its picker finds the threads.
        page.get_by_text("Add another Step").click()
        page.locator("#id_steps-0-thread + .select2").click()
        page.locator(".select2-results__option", has_text="Fetch").click()
        assert faults == []


def test_maintenance_is_begun_by_adding_its_row_and_ended_by_deleting_it(operator):
    assert operator.get(address(Drain, "add")).status_code == 200
    operator.post(address(Drain, "add"), {"reason": "New disks"})
    drain = Drain.objects.get()
    assert (drain.reason, drain.by) == ("New disks", "operator")
    assert operator.get(address(Drain, "add")).status_code == 403
    operator.post(address(Drain, "change", drain.pk), {"reason": "New memory"})
    assert Drain.objects.get().reason == "New memory"
    operator.post(address(Drain, "delete", drain.pk), {"post": "yes"})
    assert not Drain.objects.exists()
    assert list(AuditEntry.objects.filter(target_type="drain").values_list("verb", flat=True)) == ["ended", "began", "began"]
