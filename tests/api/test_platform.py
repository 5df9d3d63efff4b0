"""Health, version, schema and the docs page."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.roles import Role
from accounts.services import create_team, set_member
from engine import canary, findings
from history.models import Host, Run
from history.status import Status
from operations import health
from pyscheduler import docs
from pyscheduler.reference import sections_of
from pyscheduler.web.live import is_stream
from schedules.models import ClockLease
from tests.api.conftest import Caller


@pytest.fixture
def parts(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock and a host that are alive, and a disk with room."""
    monkeypatch.setattr(health, "LOW_DISK_SHARE", 0)
    now = timezone.now()
    ClockLease.objects.create(holder="elsewhere:1", beat_at=now, expires_at=now + timedelta(seconds=30))
    Host.objects.create(key="here", seen_at=now)


def test_health_is_open_and_short(anonymous: Caller, parts: None) -> None:
    assert anonymous.ok("GET", "health") == {
        "status": "ok",
        "checks": {"database": "ok", "scheduler": "ok", "workers": "ok", "queue": "ok", "disk": "ok", "isolation": "ok"},
    }


def test_a_bad_key_does_not_close_health(parts: None) -> None:
    assert Caller(Authorization="Bearer nonsense").ok("GET", "health")["status"] == "ok"


def test_a_clock_or_workers_that_are_gone_degrade_it(anonymous: Caller, db: None) -> None:
    shown = anonymous.ok("GET", "health")
    assert (shown["status"], shown["checks"]["scheduler"], shown["checks"]["workers"]) == ("degraded", "down", "down")


def test_runs_that_wait_beside_free_places_degrade_it(parts: None, make_run: Any) -> None:
    run = make_run()
    assert health.health().status == "ok"
    Run.objects.filter(pk=run.pk).update(queued_at=timezone.now() - timedelta(minutes=5))
    found = health.health()
    assert (found.status, found.checks["queue"].state) == ("degraded", "degraded")
    assert "1 run waits" in found.checks["queue"].message


def test_a_run_that_waits_for_its_limit_degrades_nothing(parts: None, make_run: Any, make_thread: Any) -> None:
    thread = make_thread(max_runs=1)
    running, _ = make_run(thread), make_run(thread)
    Run.objects.update(queued_at=timezone.now() - timedelta(minutes=5))
    Run.objects.filter(pk=running.pk).update(status=Status.RUNNING, started_at=timezone.now(), claim_token="claimed")
    assert health.health().checks["queue"].state == "ok"
    other = make_run(make_thread("Other"))
    Run.objects.filter(pk=other.pk).update(queued_at=timezone.now() - timedelta(minutes=5))
    health.memory.forget()
    assert "1 run waits though" in health.health().checks["queue"].message


def test_a_database_that_does_not_answer_is_down_and_no_500(anonymous: Caller, monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    def broken(*_: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(health, "_workers", broken)
    shown = anonymous.ok("GET", "health", status=503)
    assert (shown["status"], shown["checks"]["database"]) == ("down", "down")


def test_health_is_asked_of_the_database_once_a_second(anonymous: Caller, parts: None, django_assert_num_queries: Any) -> None:
    anonymous.ok("GET", "health")
    with django_assert_num_queries(0):
        anonymous.ok("GET", "health")


def test_the_version_is_the_projects(viewer: Caller) -> None:
    shown = viewer.ok("GET", "version")
    assert (shown["version"], shown["api"]) == ("0.1.0", "1")


def test_the_schema_is_valid_and_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))


def test_the_schema_is_served_and_names_every_field_of_a_run(viewer: Caller) -> None:
    schema = viewer.ok("GET", "schema")
    assert schema["openapi"].startswith("3.")
    run = schema["components"]["schemas"]["RunShape"]["properties"]
    assert {"id", "status", "steps", "progress", "worker"} <= run.keys()
    assert {"bearer", "apiKey", "session"} == set(schema["components"]["securitySchemes"])
    assert json.dumps(docs.schema())


def test_the_docs_page_shows_every_call_without_script_or_style_of_its_own(viewer: Caller) -> None:
    page = viewer.call("GET", "docs").content.decode()
    for section in sections_of(docs.schema()):
        for call in section.calls:
            assert call.path in page
            assert call.summary
            assert call.description
    assert "style=" not in page
    assert "swagger" not in page.lower()


def test_a_browser_without_a_log_in_is_sent_there(anonymous: Caller, db: None) -> None:
    response = anonymous.call("GET", "docs", headers={"Accept": "text/html"})
    assert response.status_code == 302
    assert response.headers["Location"].endswith("?next=/api/v1/docs")


@pytest.fixture
def busy(people: Any, make_run: Any, make_thread: Any) -> None:
    """Of the last day a success, a failure, a lost one and a stopped one; a failure of the day before; a success of another team."""
    thread = make_thread()
    elsewhere = make_thread("Elsewhere", team=people.other_team, user=people.stranger)
    now = timezone.now()
    for status, age in (
        (Status.FAILED, 30), (Status.SUCCESS, 20), (Status.FAILED, 3), (Status.LOST, 2), (Status.STOPPED, 1), (Status.SKIPPED, 1)
    ):  # fmt: skip
        at = now - timedelta(hours=age)
        Run.objects.filter(pk=make_run(thread).pk).update(status=status, queued_at=at, started_at=at, finished_at=at)
    Run.objects.filter(pk=make_run(elsewhere, user=people.stranger).pk).update(status=Status.SUCCESS, started_at=now, finished_at=now)
    make_run(thread)


def test_the_figures_are_of_the_last_day_and_of_ones_own_teams(people: Any, by_session: Any, busy: None) -> None:
    runs = by_session(people.viewer).ok("GET", "stats")["runs"]
    assert {name: count for name, count in runs["last_day"].items() if count} == {
        "queued": 1, "success": 1, "failed": 1, "lost": 1, "stopped": 1, "skipped": 1
    }  # fmt: skip
    assert (runs["started"], runs["queued"]) == (7, 1)
    assert by_session(people.operator).ok("GET", "stats")["runs"]["last_day"]["success"] == 2
    assert by_session(people.stranger).ok("GET", "stats")["runs"]["success_rate"] == 1.0


def test_what_was_stopped_or_skipped_is_no_failure_on_the_page_nor_over_the_api(people: Any, by_session: Any, busy: None) -> None:
    viewer = by_session(people.viewer)
    assert viewer.ok("GET", "stats")["runs"]["success_rate"] == 0.3333
    [thread] = viewer.ok("GET", "threads")["results"]
    assert thread["stats"]["success_rate"] == 0.25  # The older failure counts too.
    assert "33 % succeeded" in viewer.client.get("/").content.decode()


def test_many_teams_cost_no_more_queries(
    people: Any, viewer: Caller, monkeypatch: pytest.MonkeyPatch, make_run: Any, make_thread: Any
) -> None:
    make_run(make_thread())

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            viewer.ok("GET", "stats")
        return len(captured)

    few = queries()
    teams = [create_team(name=f"Team {number}", user=people.owner) for number in range(4)]
    for team in teams:
        set_member(team=team, member=people.viewer, role=Role.VIEWER, user=people.owner)
        make_run(make_thread("Job", team=team, user=people.owner), user=people.owner)
    assert queries() == few
    assert viewer.ok("GET", "stats")["runs"]["last_day"]["queued"] == 5
    monkeypatch.setattr("history.querysets.MOST_TEAMS", 2)
    assert viewer.ok("GET", "stats")["runs"]["last_day"]["queued"] == 5
    assert queries() <= few


def test_the_streams_are_described_too(viewer: Caller) -> None:
    paths = viewer.ok("GET", "schema")["paths"]
    for path in ("/api/v1/events", "/api/v1/runs/{id}/events"):
        assert "text/event-stream" in paths[path]["get"]["responses"]["200"]["content"]
        assert is_stream(path.format(id=1))
    page = viewer.call("GET", "docs").whole.decode()
    assert "/api/v1/runs/{id}/events" in page
    assert "/api/v1/events" in page


def test_isolation_is_told_to_operators_alone(people: Any, by_key: Any, settings: Any) -> None:
    settings.ISOLATION = "plain"
    for name in ("owner", "stranger"):
        by_key(people.named(name)).refused("GET", "isolation", status=403)
        by_key(people.named(name)).refused("POST", "isolation", status=403)
    Host.objects.create(key="testhost")
    operator = by_key(people.operator)
    assert operator.ok("GET", "isolation")["level"] is None
    found = operator.ok("POST", "isolation")
    assert (found["level"], [level["name"] for level in found["levels"] if level["holds"]]) == ("plain", ["plain"])
    assert found["hosts"][0] | {"seen_at": ""} == {
        "host": "testhost",
        "seen_at": "",
        "level": "plain",
        "remedy": "",
        "reason": "Scripts run as the platform's own user: they can read and change what the platform can.",
    }
    assert operator.ok("GET", "isolation") == found
    assert operator.ok("GET", "audit")["results"][0]["verb"] == "tried isolation of"


def test_what_a_script_could_do_is_told_of_each_level_that_was_tried(people: Any, by_key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = findings.Attempt("landlock", reached=("processes",))
    monkeypatch.setattr(canary, "_try", lambda name: held if name == "landlock" else findings.Attempt(name, "it is not here"))
    levels = by_key(people.operator).ok("POST", "isolation")["levels"]
    assert [(level["name"], level["holds"], level["reached"]) for level in levels] == [
        ("bubblewrap", False, None),
        ("user", False, None),
        ("landlock", True, ["see other processes"]),
        ("plain", False, None),
    ]


def test_a_key_lets_an_operator_do_no_more_than_its_scopes(people: Any, by_key: Any, settings: Any) -> None:
    settings.ISOLATION = "plain"
    reader = by_key(people.operator, scopes=["read"])
    assert reader.ok("GET", "isolation")["level"] is None
    reader.refused("POST", "isolation", status=403)


def test_a_host_that_can_isolate_nothing_degrades_health(parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "_missing", lambda name: None if name == "plain" else findings.Attempt(name, "it is not here", "Get it."))
    canary.find_out()
    found = health.health()
    assert (found.status, found.checks["isolation"].state) == ("degraded", "degraded")
    assert found.checks["isolation"].detail.startswith("bubblewrap cannot be had: it is not here.")


def test_a_disk_that_is_nearly_full_degrades_health(parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOW_DISK_SHARE", 1)
    monkeypatch.setattr(health, "LOW_DISK_BYTES", 10**18)
    found = health.health()
    assert (found.status, found.checks["disk"].state) == ("degraded", "degraded")
    assert found.checks["disk"].message.startswith("The disk is nearly full: ")


# Maintenance


def test_maintenance_is_begun_and_ended_by_operators_alone(people: Any, by_key: Any) -> None:
    for name in ("owner", "stranger"):
        by_key(people.named(name)).refused("POST", "maintenance", {"reason": "Mine"}, status=403)
        by_key(people.named(name)).refused("DELETE", "maintenance", status=403)
    by_key(people.operator, scopes=["write"]).refused("POST", "maintenance", {}, status=403)
    operator, viewer = by_key(people.operator), by_key(people.viewer)
    begun = operator.ok("POST", "maintenance", {"reason": "New disks"})
    assert (begun["active"], begun["reason"], begun["by"]) == (True, "New disks", "operator")
    assert viewer.ok("GET", "maintenance") == begun
    by_key(people.operator, scopes=["write"]).refused("DELETE", "maintenance", status=403)
    operator.ok("DELETE", "maintenance", status=204)
    assert viewer.ok("GET", "maintenance") == {"active": False, "reason": "", "by": "", "since": None}
    operator.ok("DELETE", "maintenance", status=204)
    verbs = [line["verb"] for line in operator.ok("GET", "audit?target_type=drain")["results"]]
    assert verbs == ["ended", "began"]


def test_a_reason_that_is_too_long_is_refused_beside_its_field(people: Any, by_key: Any) -> None:
    error = by_key(people.operator).refused("POST", "maintenance", {"reason": "x" * 201}, status=400)
    assert list(error["fields"]) == ["reason"]


# The least isolation of a team


def test_operators_set_a_teams_least_isolation_and_its_owner_reads_it(people: Any, by_key: Any) -> None:
    path = f"teams/{people.team.pk}"
    owner, operator = by_key(people.owner), by_key(people.operator)
    assert (owner.ok("GET", path)["min_isolation"], owner.ok("GET", path)["isolation_binds"]) == (None, "owner")
    owner.refused("PATCH", path, {"min_isolation": "plain"}, status=403)
    by_key(people.operator, scopes=["write"]).refused("PATCH", path, {"min_isolation": "plain"}, status=403)
    shown = operator.ok("PATCH", path, {"min_isolation": "bubblewrap", "isolation_binds": "editor"})
    assert (shown["min_isolation"], shown["isolation_binds"]) == ("bubblewrap", "editor")
    # What was read may be sent back.
    assert owner.ok("PATCH", path, {"name": "Rain", "min_isolation": "bubblewrap"})["name"] == "Rain"
    owner.refused("PATCH", path, {"min_isolation": None}, status=403)
    assert operator.ok("PATCH", path, {"min_isolation": None})["min_isolation"] is None
    error = operator.refused("PATCH", path, {"min_isolation": "steel", "isolation_binds": "viewer"}, status=400)
    assert set(error["fields"]) == {"min_isolation", "isolation_binds"}


def test_a_team_that_may_not_be_made_so_is_not_made(people: Any, by_key: Any) -> None:
    owner = by_key(people.owner)
    owner.refused("POST", "teams", {"name": "Loose", "min_isolation": "landlock"}, status=403)
    assert "Loose" not in [team["name"] for team in owner.ok("GET", "teams")["results"]]
