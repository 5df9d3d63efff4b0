"""A week of five hundred schedules in simulated time: two clocks that get in each other's way and die again and again."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from events.services import publish_all
from history.models import Run
from history.status import Status
from schedules import firing
from schedules.clock import Clock
from schedules.lease import Lease
from schedules.models import Firing, Missed, Outcome, Overlap, Pause, Schedule, ScheduleKind
from schedules.timing import Timing

Maker = Callable[..., Any]
# Over the night in which the clock of Berlin goes forward.
START, END = datetime(2026, 3, 26, 0, 0, 30, tzinfo=UTC), datetime(2026, 4, 2, 0, 0, 30, tzinfo=UTC)
STEP = timedelta(minutes=20)
SCHEDULES, DEATHS = 500, 50
CRONS = ("0 */4 * * *", "30 2 * * *", "15 8,20 * * 1-5", "0 9,15,21 * * 6,0", "45 3 * * 0", "0 0 28 3 *")
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns")


class Killed(BaseException):
    """What the kernel does to a process, as far as a database sees it."""


class Week:
    """The two clocks. `dice` decides when they meet and when one of them dies; `seed` is theirs."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dice = random.Random(seed)
        self.deaths = self.meetings = self.names = 0
        self.clocks = [self._clock(), self._clock()]
        self._is_meeting = False
        self._carry_out, self._publish = firing._carry_out, publish_all
        monkeypatch.setattr(firing, "_carry_out", self.carry_out)
        monkeypatch.setattr(firing, "publish_all", self.publish)

    def _clock(self) -> Clock:
        self.names += 1
        return Clock(lambda: False, Lease(f"host/1/1/{self.names}/1"), started_at=START)

    def turn(self) -> None:
        """Each clock looks once; correctness must not rest on who leads, so both do."""
        for at, clock in enumerate(self.clocks):
            clock.lease.hold = lambda: True  # type: ignore[method-assign]
            try:
                clock.turn()
            except Killed:
                self.deaths += 1
                self.clocks[at] = self._clock()

    def carry_out(self, plans: Any) -> set[int]:
        """Between plan and deed the other clock may do the same."""
        if not self._is_meeting and self.dice.random() < 0.2:
            self._is_meeting = True
            self.meetings += 1
            try:
                firing.fire_next(firing.CHUNK, set())
            finally:
                self._is_meeting = False
        self._die()
        done = self._carry_out(plans)
        self._die()
        return done

    def publish(self, events: Any) -> None:
        """At the end of the transaction: what was written is gone with it."""
        self._publish(events)
        self._die()

    def _die(self) -> None:
        if self.deaths < DEATHS and not self._is_meeting and self.dice.random() < 0.05:
            raise Killed


def schedules_of(dice: random.Random, team: Any, targets: list[Any]) -> Iterator[Schedule]:
    """Of all kinds and policies, some of them off."""
    for number in range(SCHEDULES):
        kind = dice.choice([ScheduleKind.CRON, ScheduleKind.CRON, ScheduleKind.INTERVAL, *ScheduleKind])
        repeats = kind in (ScheduleKind.CRON, ScheduleKind.INTERVAL)
        row = Schedule(
            team=team, name=f"S{number}", thread=dice.choice(targets), kind=kind, anchor_at=START, timezone=dice.choice(ZONES),
            cron=dice.choice(CRONS) if kind == ScheduleKind.CRON else "",
            interval_seconds=dice.choice([5400, 14_400, 86_400]) if kind == ScheduleKind.INTERVAL else None,
            run_at=START + dice.random() * (END - START) if kind == ScheduleKind.ONCE else None,
            overlap=dice.choice(Overlap.values), missed=dice.choice(Missed.values), enabled=dice.random() < 0.95,
            jitter_seconds=dice.choice([0, 0, 600]) if repeats else 0,
            starts_at=START + timedelta(days=2) if repeats and dice.random() < 0.2 else None,
            ends_at=START + timedelta(days=5) if repeats and dice.random() < 0.2 else None,
            skip_next_by="editor" if dice.random() < 0.1 else "",
        )  # fmt: skip
        yield row


def define(dice: random.Random, team: Any, targets: list[Any]) -> list[Schedule]:
    rows = Schedule.objects.bulk_create(schedules_of(dice, team, targets))
    for row in rows:
        timing = Timing.of(row, seed=row.pk)
        if row.enabled and (due := timing.next_after(START)):
            row.next_due_at, row.next_run_at = due, timing.start_of(due)
    Schedule.objects.bulk_update(rows, ["next_due_at", "next_run_at"])
    windows = [(row, START + dice.random() * (END - START)) for row in dice.sample(rows, len(rows) // 5)]
    windows.append((None, START + timedelta(days=3)))
    Pause.objects.bulk_create(
        Pause(schedule=row, starts_at=start, ends_at=start + timedelta(hours=12), by="editor") for row, start in windows
    )
    return rows


def end_some(dice: random.Random, now: datetime) -> None:
    """Runs go on for a while: some are still there when the next is due."""
    going = Run.objects.filter(finished_at=None).values_list("pk", flat=True)
    ended = [pk for pk in going if dice.random() < 0.3]
    Run.objects.filter(pk__in=ended).update(status=Status.SUCCESS, finished_at=now, started_at=now)


def test_every_due_time_of_a_week_has_one_firing_and_every_fired_one_a_run(
    people: Any, make_thread: Maker, at: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    week = Week(1, monkeypatch)
    rows = define(week.dice, people.team, [make_thread("One"), make_thread("Two")])
    now, begun = START, [START]
    firing.set_off_startups(START)
    while now < END:
        # Now and then the platform is down for some hours.
        is_down = week.dice.random() < 0.02
        now = min(END, now + (timedelta(hours=9) if is_down else STEP))
        at(now)
        if is_down:
            begun.append(now)
            firing.set_off_startups(now)
        week.turn()
        end_some(week.dice, now)
    for _ in range(50):
        at(END)
        week.turn()
    assert (week.deaths, week.meetings > 50) == (DEATHS, True)
    assert not Schedule.objects.filter(enabled=True, next_run_at__lte=timezone.now()).exists()
    for row in rows:
        recorded = list(Firing.objects.filter(schedule=row).order_by("due_at"))
        timing = Timing.of(row, seed=row.pk)
        due = begun if row.kind == ScheduleKind.STARTUP else due_times(timing)
        assert [firing.due_at for firing in recorded] == (due if row.enabled else []), (row.pk, row.kind, row.missed)
    fired = Firing.objects.filter(outcome=Outcome.FIRED)
    assert fired.exclude(run=None).count() == fired.count() == Run.objects.count() > 1000
    assert not Firing.objects.filter(outcome=Outcome.SKIPPED, run__isnull=False).exists()
    for pause in Pause.objects.all():
        within = fired.filter(due_at__gte=pause.starts_at, due_at__lt=pause.ends_at)
        assert not (within.filter(schedule=pause.schedule) if pause.schedule else within).exists()
    assert Firing.objects.filter(reason__contains="paused").exists()
    assert Firing.objects.filter(reason__contains="stopped scheduling").exists()
    assert sum(Schedule.objects.values_list("run_count", flat=True)) == fired.count()


def due_times(timing: Timing) -> list[datetime]:
    """All that start within the week, one by one."""
    times, moment = [], START
    while (due := timing.next_after(moment)) and timing.start_of(due) <= END:
        times.append(due)
        moment = due
    return times
