"""The loop: who leads, what wakes it, what it survives, and what is said of it."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from core import layout
from core.doorbell import Listener
from events.models import Event
from history.models import Run
from schedules import clock as clock_module
from schedules import lease as lease_module
from schedules.clock import LOOK_SECONDS, Clock, run_clock
from schedules.firing import FIRST_CHUNK
from schedules.lease import LEASE_SECONDS, Lease, is_known_dead, own_name
from schedules.models import ClockLease, Firing, Schedule
from schedules.services import change_schedule, delete_schedule, set_enabled
from schedules.status import clock_status

Maker = Callable[..., Any]


@pytest.fixture
def dead_clock(settings: Any) -> str:
    """The name of a clock of this machine whose process is gone."""
    code = "import django; django.setup(); from schedules.lease import own_name; print(own_name())"
    env = {**os.environ, "PYSCHED_HOST_KEY": settings.HOST_KEY}
    name = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env).stdout.strip()
    assert name.rsplit("/", 2)[0] == own_name().rsplit("/", 2)[0]
    return name


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass for the leases."""
    passed = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + passed[0])

    def let(seconds: float) -> None:
        passed[0] += seconds

    return let


@pytest.mark.django_db
class TestLease:
    def test_the_first_leads_and_the_second_stands_by(self) -> None:
        first, second = Lease("elsewhere/1/1/1/1"), Lease("elsewhere/1/1/2/1")
        assert (first.hold(), second.hold(), first.hold()) == (True, False, True)

    def test_a_leader_that_renews_stays_however_long(self, monotonic: Callable[[float], None]) -> None:
        first, second = Lease("elsewhere/1/1/1/1"), Lease("elsewhere/1/1/2/1")
        for _ in range(20):
            assert (first.hold(), second.hold()) == (True, False)
            monotonic(lease_module.RENEW_SECONDS)

    def test_a_leader_that_hangs_is_replaced_and_notices(self, monotonic: Callable[[float], None]) -> None:
        first, second = Lease("elsewhere/1/1/1/1"), Lease("elsewhere/1/1/2/1")
        assert (first.hold(), second.hold()) == (True, False)
        monotonic(LEASE_SECONDS - 0.1)
        assert second.hold() is False
        monotonic(0.2)
        assert second.hold() is True
        assert first.hold() is False

    def test_a_leader_whose_time_of_day_is_wrong_keeps_the_lead(self, at: Maker, monotonic: Callable[[float], None]) -> None:
        first, second = Lease("elsewhere/1/1/1/1"), Lease("elsewhere/1/1/2/1")
        real = timezone.now()
        for passed in range(0, 20, 2):
            at(real + timedelta(seconds=passed - 100))
            assert first.hold() is True
            at(real + timedelta(seconds=passed))
            assert second.hold() is False
            monotonic(2)

    def test_a_dead_clock_of_this_machine_is_replaced_at_once(self, dead_clock: str) -> None:
        assert Lease(dead_clock).hold() is True
        assert Lease().hold() is True
        assert ClockLease.objects.get().holder == own_name()

    def test_a_released_lease_is_free_at_once(self) -> None:
        first, second = Lease("elsewhere/1/1/1/1"), Lease("elsewhere/1/1/2/1")
        assert (first.hold(), second.hold()) == (True, False)
        first.release()
        assert second.hold() is True
        first.release()
        assert ClockLease.objects.get().holder == second.name

    def test_of_two_that_see_it_free_one_wins(self) -> None:
        ClockLease.objects.create(name="clock", holder="")
        rows = ClockLease.objects.get()
        first = Lease("elsewhere/1/1/1/1")
        assert first.hold() is True
        stale = ClockLease.objects.filter(name="clock", holder=rows.holder, expires_at=rows.expires_at)
        assert Lease("elsewhere/1/1/2/1")._write(stale) is False

    def test_who_is_known_to_be_dead(self, dead_clock: str) -> None:
        machine = own_name().rsplit("/", 2)[0]
        host, _boot, space = machine.rsplit("/", 2)
        assert is_known_dead(dead_clock)
        assert is_known_dead(f"{machine}/{os.getpid()}/1"), "another process with a reused id"
        assert is_known_dead(f"{host}/00000000/{space}/1/1"), "before the last boot"
        assert not is_known_dead(own_name())
        assert not is_known_dead(f"{host}/00000000/1/1/1"), "a container of the same name"
        assert not is_known_dead("elsewhere/1/1/1/1")
        assert not is_known_dead("")
        assert not is_known_dead("nonsense")


def leading(stop: Callable[[], bool] = lambda: False) -> Clock:
    return Clock(stop)


def test_a_turn_fires_what_is_due_and_says_when_to_look_again(make_schedule: Maker, make_due: Maker) -> None:
    for number in range(12):
        make_due(make_schedule(f"Due {number}"))
    pause = leading().turn()
    assert Run.objects.count() == 12
    assert 0 < pause <= LOOK_SECONDS


@pytest.mark.django_db
def test_without_schedules_it_looks_once_a_second_with_one_query(django_assert_num_queries: Any) -> None:
    clock = leading()
    assert clock.turn() == LOOK_SECONDS
    with django_assert_num_queries(1):
        assert clock.turn() == LOOK_SECONDS


def test_it_sleeps_until_the_next_due_time(make_schedule: Maker, make_due: Maker) -> None:
    schedule = make_schedule()
    clock = leading()
    clock.turn()
    make_due(schedule, -0.4)
    assert 0.2 < clock.turn() <= 0.4


def test_a_standby_fires_nothing(make_schedule: Maker, make_due: Maker) -> None:
    Lease("elsewhere/1/1/1/1").hold()
    make_due(make_schedule())
    assert leading().turn() == LOOK_SECONDS
    assert not Firing.objects.exists()


def test_schedules_that_another_clock_holds_do_not_keep_the_others_waiting(
    make_schedule: Maker, make_due: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from schedules import firing

    for number in range(FIRST_CHUNK + 3):
        make_due(make_schedule(f"S{number}"), 100 - number)
    held = set(Schedule.objects.order_by("next_run_at").values_list("pk", flat=True)[:FIRST_CHUNK])
    real = firing._take
    monkeypatch.setattr(firing, "_take", lambda plans: real([plan for plan in plans if plan.schedule.pk not in held]))
    assert 0 < leading().turn() < 0.1
    assert Run.objects.count() == 3


def test_an_error_never_ends_it_and_is_told_once(
    make_schedule: Maker, make_due: Maker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_due(make_schedule())
    turns: list[int] = []

    def outage(_size: int, _passed: set[int]) -> int:
        turns.append(1)
        raise OperationalError("the database is away")

    clock = Clock(lambda: len(turns) >= 3)
    monkeypatch.setattr(clock_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(clock_module, "fire_next", outage)
    monkeypatch.setattr(connection, "close", lambda: None)
    with caplog.at_level(logging.ERROR):
        clock.run()
    assert len(turns) == 3
    assert caplog.text.count("The scheduler could not do its turn") == 1


@pytest.mark.django_db
def test_it_drops_old_events_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Event.objects.create(topic="run", created_at=timezone.now() - timedelta(hours=1))
    fresh = Event.objects.create(topic="run")
    clock = leading()
    clock.turn()
    assert Event.objects.filter(pk=old.pk).exists()
    clock._pruned_at -= clock_module.PRUNE_SECONDS
    clock.turn()
    assert list(Event.objects.values_list("pk", flat=True)) == [fresh.pk]


@pytest.mark.django_db
def test_it_ends_when_it_is_asked_to_and_leaves_the_lead() -> None:
    asked = iter([False, True])
    run_clock(lambda: next(asked))
    assert ClockLease.objects.get().holder == ""


def test_each_change_wakes_the_clock(make_schedule: Maker, people: Any, django_capture_on_commit_callbacks: Any) -> None:
    listener = Listener(layout.bells(), "clock")
    try:
        with django_capture_on_commit_callbacks(execute=True):
            schedule = make_schedule()
        assert listener.drain()
        for verb in (
            lambda: change_schedule(schedule=schedule, user=people.editor, cron="* * * * *"),
            lambda: set_enabled(schedule=schedule, user=people.editor, enabled=False),
            lambda: set_enabled(schedule=schedule, user=people.editor, enabled=True),
            lambda: delete_schedule(schedule=schedule, user=people.editor),
        ):
            with django_capture_on_commit_callbacks(execute=True):
                verb()
            assert listener.drain()
    finally:
        listener.close()


def test_the_status_tells_of_a_clock_that_runs_is_late_or_is_gone(
    make_schedule: Maker, make_due: Maker, dead_clock: str, at: Maker
) -> None:
    late, coming = make_schedule("Late"), make_schedule("Coming")
    assert clock_status().running is False
    make_due(late, 30)
    Lease().hold()
    status = clock_status()
    assert (status.running, status.holder, status.due, status.next) == (True, own_name(), 1, coming.next_run_at)
    assert 29 < status.late_seconds < 300
    assert status.beat_at is not None
    ClockLease.objects.update(holder=dead_clock)
    assert clock_status().running is False
    ClockLease.objects.update(holder="elsewhere/1/1/1/1")
    assert clock_status().running is True
    at(timezone.now() + timedelta(seconds=LEASE_SECONDS + 1))
    assert clock_status().running is False


@pytest.mark.django_db
def test_the_status_of_an_empty_platform() -> None:
    status = clock_status()
    assert (status.running, status.holder, status.beat_at, status.due, status.late_seconds, status.next) == (False, "", None, 0, 0.0, None)
