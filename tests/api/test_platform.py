"""Health, version, schema and the docs page."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from history.models import Host, Run
from operations import health
from operations.api import Health
from operations.health import Remembered
from pyscheduler import docs
from pyscheduler.reference import sections_of
from schedules.models import ClockLease
from tests.api.conftest import Caller


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "remembered", Remembered())


@pytest.fixture
def parts(db: None) -> None:
    """A clock and a host that are alive."""
    now = timezone.now()
    ClockLease.objects.create(holder="elsewhere:1", beat_at=now, expires_at=now + timedelta(seconds=30))
    Host.objects.create(key="here", seen_at=now)


def test_health_is_open_and_short(anonymous: Caller, parts: None) -> None:
    assert anonymous.ok("GET", "health") == {
        "status": "ok",
        "checks": {"database": "ok", "scheduler": "ok", "workers": "ok", "queue": "ok"},
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
    assert "1 runs wait" in found.checks["queue"].message


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
