"""The page about the platform's health: a line on each part for everybody, what is behind it and maintenance for operators."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from engine import canary
from engine.canary import known_report
from engine.findings import DEEDS, Attempt, Report
from engine.isolation import BUBBLEWRAP, LANDLOCK, PLAIN
from environments.models import Environment
from events.models import Event
from history import draining
from history.models import Host, Run, StepRun
from operations import health
from operations.isolation import attempts_table, levels_of_hosts
from operations.parts import environments_check
from schedules.models import ClockLease
from schedules.pauses import stop_scheduling
from tests.conftest import People
from threads.models import Thread

AsUser = Callable[[Any], Client]
Make = Callable[..., Any]
PIECE = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, db: None) -> Report:
    """A host that can do `landlock`, as far as is known."""
    attempts = {
        BUBBLEWRAP: Attempt(BUBBLEWRAP, "there are no namespaces", "Allow namespaces."),
        LANDLOCK: Attempt(LANDLOCK, gaps=("A script tried, and it could see other processes.",), reached=("processes",)),
    }
    missing = Attempt("user", "the platform does not run as root")
    monkeypatch.setattr(canary, "_try", lambda name: attempts.get(name, missing))
    Host.objects.create(key="testhost")
    return canary.find_out()


def text_of(answer: Any) -> str:
    """What is to be read on a page, without the markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_everybody_reads_a_line_on_each_part(as_user: AsUser, people: People, tried: Any) -> None:
    page = text_of(as_user(people.viewer).get("/health/"))
    for name in ("Database", "Scheduler", "Workers", "Queue", "Disk", "Isolation", "Environments"):
        assert name in page
    assert "The scheduler is not running. Nothing starts by schedule." in page
    assert "Scripts run at level landlock." in page


def test_commands_names_and_reasons_are_for_operators(as_user: AsUser, people: People, tried: Any) -> None:
    inner = ("manage.py", "Allow namespaces.", "testhost", "Test again", "Begin maintenance")
    viewer, operator = (text_of(as_user(person).get("/health/")) for person in (people.owner, people.operator))
    assert [words for words in inner if words in viewer] == []
    assert [words for words in inner if words not in operator] == []


def test_the_start_page_tells_operators_alone_what_to_do(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    assert "manage.py" not in text_of(as_user(people.owner).get("/"))
    assert "Start it with manage.py up or manage.py scheduler." in text_of(as_user(people.operator).get("/"))


def test_htmx_gets_the_lines_alone(as_user: AsUser, people: People) -> None:
    page = as_user(people.viewer).get("/health/", headers=PIECE).content.decode()
    assert page.strip().startswith('<section class="card" id="state"')
    assert "<html" not in page


def test_it_is_well_when_all_is_well(as_user: AsUser, people: People, tried: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOW_DISK_SHARE", 0)
    now = timezone.now()
    ClockLease.objects.create(holder="elsewhere:1", beat_at=now, expires_at=now + timedelta(seconds=30))
    page = text_of(as_user(people.viewer).get("/health/"))
    assert "All is well." in page
    assert "Attention" not in page
    stop_scheduling(user=people.operator, reason="New disks")
    health.memory.forget()
    assert "operator stopped scheduling (New disks)." in text_of(as_user(people.viewer).get("/health/"))


def test_an_environment_that_a_thread_uses_and_that_is_broken_is_told_of(make_thread: Make, db: None) -> None:
    broken = Environment.objects.create(key="b" * 64, python_version="3.13.1", health="numpy cannot be imported")
    assert (environments_check().state, environments_check().message) == ("ok", "1 is ready.")
    Thread.objects.filter(pk=make_thread().pk).update(environment=broken)
    assert (environments_check().state, environments_check().message) == ("degraded", "1 is ready; 1 that threads use has faults.")


# Isolation


def test_the_table_says_of_each_deed_how_it_went_at_each_level(tried: Report) -> None:
    table = attempts_table(tried)
    assert (table.levels, len(table.rows)) == ([LANDLOCK], len(DEEDS))
    assert dict(table.rows)["See other processes"] == [True]
    assert dict(table.rows)["Read the platform's secrets"] == [False]


def test_the_page_names_reason_and_remedy_of_this_host(as_user: AsUser, people: People, tried: Any) -> None:
    page = text_of(as_user(people.operator).get("/health/"))
    assert "bubblewrap cannot be had: there are no namespaces." in page
    assert "To do: Allow namespaces." in page
    assert "landlock In force." in page


def test_other_hosts_are_known_by_what_ran_there(tried: Report, make_run: Make, make_thread: Make) -> None:
    for key in ("away", "idle"):
        Host.objects.create(key=key)
    Host.objects.create(key="gone", seen_at=timezone.now() - timedelta(days=2))
    for level in (LANDLOCK, BUBBLEWRAP):
        run = make_run(make_thread())
        Run.objects.filter(pk=run.pk).update(host_key="away")
        StepRun.objects.filter(run=run).update(isolation=level, isolation_reason="")
    found = {entry.host.key: (entry.level, entry.is_here) for entry in levels_of_hosts(tried)}
    assert found == {"away": (BUBBLEWRAP, False), "idle": ("", False), "testhost": (LANDLOCK, True)}


def test_the_button_tries_the_levels_and_shows_what_was_found(as_user: AsUser, people: People, settings: Any) -> None:
    settings.ISOLATION = PLAIN
    client = as_user(people.operator)
    assert "Nothing was tried on this host yet" in text_of(client.get("/health/"))
    answer = client.post("/health/isolation", headers=PIECE)
    assert answer.content.decode().strip().startswith('<section class="card" id="isolation"')
    assert "plain In force." in text_of(answer)
    assert "ps:toast" in answer["HX-Trigger"]
    assert known_report() is not None
    assert not Host.objects.exists(), "a host without workers was counted among those that work"
    assert client.post("/health/isolation")["Location"] == "/health/"
    assert AuditEntry.objects.filter(verb="tried isolation of").count() == 2


def test_an_operator_sets_what_a_team_asks_for_and_its_members_read_it(as_user: AsUser, people: People, tried: Any) -> None:
    values = {"team": people.team.pk, "min_isolation": BUBBLEWRAP, "isolation_binds": "editor"}
    assert as_user(people.operator).post("/health/isolation/least", values)["Location"] == "/health/"
    words = "Weather Runs started by runners and editors, and by schedules, need it at least."
    page = text_of(as_user(people.viewer).get("/health/"))
    assert words in page
    assert "This host cannot do it" in page
    assert words not in text_of(as_user(people.stranger).get("/health/"))
    as_user(people.operator).post("/health/isolation/least", values | {"min_isolation": ""})
    assert words not in text_of(as_user(people.viewer).get("/health/"))
    assert AuditEntry.objects.filter(verb="asked isolation of", team=people.team).count() == 2


def test_a_level_that_there_is_not_is_refused_beside_its_field(as_user: AsUser, people: People) -> None:
    answer = as_user(people.operator).post("/health/isolation/least", {"team": people.team.pk, "min_isolation": "steel"})
    assert answer.status_code == 422
    assert "steel is not one of the available choices" in text_of(answer)


# Maintenance


def test_who_is_no_operator_does_not_learn_which_teams_there_are(as_user: AsUser, people: People) -> None:
    for team in (people.team.pk, 999_999):
        assert as_user(people.stranger).post("/health/isolation/least", {"team": team}).status_code == 403


def test_an_operator_begins_and_ends_maintenance_on_the_page(as_user: AsUser, people: People) -> None:
    client = as_user(people.operator)
    assert client.post("/health/maintenance", {"reason": "New disks"})["Location"] == "/health/"
    page = text_of(client.get("/health/"))
    assert "Begun by operator" in page
    assert "Reason: New disks" in page
    client.post("/health/maintenance/end")
    assert draining.current() is None
    assert [(entry.verb, entry.target_name) for entry in AuditEntry.objects.filter(target_type="drain")] == [
        ("ended", "New disks"),
        ("began", "New disks"),
    ]


def test_a_reason_that_is_too_long_is_told_beside_its_field(as_user: AsUser, people: People) -> None:
    answer = as_user(people.operator).post("/health/maintenance", {"reason": "x" * 201})
    assert (answer.status_code, draining.current()) == (422, None)
    assert "at most 200 characters" in text_of(answer)


@pytest.mark.parametrize("path", ["/", "/threads/", "/history/", "/health/"])
def test_all_pages_say_so_and_none_says_a_command_to_members(as_user: AsUser, people: People, make_thread: Make, path: str) -> None:
    make_thread()
    draining.begin_drain(user=people.operator, reason="New disks")
    page = text_of(as_user(people.viewer).get(path))
    assert "Maintenance: no run starts until it is over. New disks" in page
    assert "manage.py drain" not in page
    assert "End it" not in page
    assert "End it" in text_of(as_user(people.operator).get(path))


def test_open_pages_hear_of_its_beginning_and_its_end(as_user: AsUser, people: People) -> None:
    draining.begin_drain(user=people.operator, reason="New disks")
    draining.end_drain(user=people.operator)
    began, ended = Event.objects.filter(topic="maintenance").order_by("pk")
    assert (began.payload["active"], began.payload["reason"], ended.payload["active"]) == (True, "New disks", False)
    assert (began.team_id, ended.team_id) == (None, None)
    page = as_user(people.viewer).get("/").content.decode()
    assert re.search(r'data-live-topics="[^"]*\bmaintenance"', page)
    assert 'hx-trigger="ps:maintenance from:body, ps:resync from:body"' in page


def test_the_banner_is_a_piece_of_a_page_that_is_empty_without_maintenance(as_user: AsUser, people: People) -> None:
    client = as_user(people.viewer)
    assert text_of(client.get("/health/banner")).strip() == ""
    draining.begin_drain(user=people.operator)
    assert "Maintenance" in text_of(client.get("/health/banner"))
    assert "<html" not in client.get("/health/banner").content.decode()
