"""The start page: what runs, what ran, what comes, and how to begin."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from accounts.models import User
from history import overview
from history.models import Host, Run
from history.overview import Day, Hour
from history.querysets import Scope
from history.status import Status
from operations.health import health
from pyscheduler import home
from schedules.models import ClockLease
from schedules.services import create_schedule
from tests.conftest import People

AsUser = Callable[[Any], Client]
Make = Callable[..., Any]


def test_a_new_team_is_told_how_to_begin(as_user: AsUser, people: People) -> None:
    page = as_user(people.stranger).get("/").content.decode()
    assert "Get started" in page
    assert "/threads/" in page


def test_who_is_in_no_team_is_told_whom_to_ask(as_user: AsUser, people: People) -> None:
    page = as_user(User.objects.create_user("lonely", password="secret")).get("/").content.decode()
    assert "You are in no team yet" in page
    assert "Get started" not in page


def test_it_shows_what_runs_what_failed_and_what_comes_next(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    now = timezone.now()
    make_run(thread)
    failed = make_run(make_thread("Broken one"))
    Run.objects.filter(pk=failed.pk).update(status=Status.FAILED, reason="It broke badly.", started_at=now, finished_at=now)
    create_schedule(team=people.team, user=people.editor, name="Each minute", target=thread, kind="interval", interval_seconds=60)
    page = as_user(people.viewer).get("/").content.decode()
    assert "It broke badly." in page
    assert "Each minute" in page
    assert 'data-time="until"' in page
    assert "Get started" not in page


def test_a_stranger_sees_nothing_of_it(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread("Secret work")
    make_run(thread)
    create_schedule(team=people.team, user=people.editor, name="Secret time", target=thread, kind="interval", interval_seconds=60)
    assert "Secret" not in as_user(people.stranger).get("/").content.decode()


def test_it_says_when_nothing_would_run(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    page = as_user(people.viewer).get("/").content.decode()
    assert "The scheduler is not running." in page
    assert "No worker is running." in page


def test_it_says_what_the_health_of_the_platform_says(as_user: AsUser, people: People, make_run: Make) -> None:
    now = timezone.now()
    ClockLease.objects.create(holder="elsewhere:1", beat_at=now - timedelta(hours=2), expires_at=now)
    Host.objects.create(key="here", seen_at=now - timedelta(seconds=40))
    Run.objects.filter(pk=make_run().pk).update(queued_at=now - timedelta(minutes=5))
    page = as_user(people.viewer).get("/").content.decode()
    troubles = health().troubles
    assert [check.state for check in troubles] == ["down", "down", "degraded"]
    for check in troubles:
        assert check.message in page
        assert check.advice in page
    assert page.count("Last seen") == 2
    assert "0 hosts online" in page


def test_it_is_quiet_when_all_is_well(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    now = timezone.now()
    Host.objects.create(key="here", seen_at=now)
    ClockLease.objects.create(holder="elsewhere:1", beat_at=now, expires_at=now + timedelta(minutes=1))
    page = as_user(people.viewer).get("/").content.decode()
    assert "is not running." not in page
    assert "No worker is running." not in page
    assert "1 host online" in page


def test_htmx_gets_the_overview_alone(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    page = as_user(people.viewer).get("/", headers={"HX-Request": "true", "HX-Request-Type": "partial"}).content.decode()
    assert page.strip().startswith('<div class="stack" id="overview"')
    assert "<html" not in page


def test_it_asks_a_fixed_number_of_questions(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, django_assert_max_num_queries: Any
) -> None:
    thread = make_thread()
    for _ in range(30):
        make_run(thread)
    client = as_user(people.viewer)
    with django_assert_max_num_queries(25):
        page = client.get("/").content.decode()
    assert "All 30" in page
    with django_assert_max_num_queries(17):  # The health of the platform is remembered for a second.
        client.get("/")


def test_the_last_day_is_counted_by_hour_and_result(people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    now = timezone.now()
    for status, age in ((Status.SUCCESS, 0), (Status.FAILED, 0), (Status.TIMEOUT, 2), (Status.STOPPED, 2), (Status.SUCCESS, 30)):
        at = now - timedelta(hours=age)
        Run.objects.filter(pk=make_run(thread).pk).update(status=status, queued_at=at, started_at=at, finished_at=at, reason="So it was.")
    day = overview.last_day(Scope(people.viewer))
    assert (day.total, day.good, day.bad, day.capped) == (4, 1, 2, False)
    assert day.success_rate == 0.3333
    assert [(hour.good, hour.bad, hour.other) for hour in (day.hours[-1], day.hours[-3])] == [(1, 1, 0), (0, 1, 1)]
    assert len(day.hours) == 24


def test_an_hour_is_drawn_within_the_picture(people: People) -> None:
    bars = home.bars_of(Day([Hour(timezone.now(), good=90, bad=1, other=9), Hour(timezone.now())]))
    assert all(bar.y >= 0 and bar.y + bar.height <= 56.1 for bar in bars)
    assert [bar.tone for bar in bars] == ["good", "other", "bad", "none"]


def test_what_ran_long_ago_is_no_failure_of_today(people: People, make_run: Make) -> None:
    old = timezone.now() - timedelta(days=3)
    Run.objects.filter(pk=make_run().pk).update(status=Status.FAILED, started_at=old, finished_at=old)
    assert overview.failures(Scope(people.viewer), 5) == []


def test_running_runs_stand_above_waiting_ones(people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    waiting, running = make_run(thread), make_run(thread)
    Run.objects.filter(pk=running.pk).update(status=Status.RUNNING, started_at=timezone.now(), claim_token="claimed")
    runs, count = overview.active_runs(Scope(people.viewer), most=8)
    assert ([run.pk for run in runs], count) == ([running.pk, waiting.pk], 2)


def test_numbers_keep_their_words(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    page = as_user(people.viewer).get("/").content.decode()
    assert re.search(r"Active runs</span><span class=\"tile-value\">1</span>", page)
