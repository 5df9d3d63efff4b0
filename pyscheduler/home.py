"""What the start page tells, gathered in a fixed number of small queries, however long the history is."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from core.paging import by_id
from history.models import Host, Run
from history.querysets import Scope
from history.status import ACTIVE, ALIVE, Status
from schedules.models import Schedule

HOURS = 24
# Of the last day no more runs than these are counted: the page stays quick when there were a million.
MOST_COUNTED = 1000
BROKEN = frozenset({Status.FAILED, Status.TIMEOUT, Status.LOST})
# Hosts renew themselves every few seconds; one that was silent for so long serves nothing.
HOST_SILENCE = timedelta(seconds=60)


@dataclass(slots=True)
class Hour:
    """Runs that were queued in one hour, by how they ended."""

    begins_at: datetime
    good: int = 0
    bad: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        return self.good + self.bad + self.other


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the picture: where it is drawn, in units of its view box."""

    x: int
    y: float
    height: float
    tone: str
    title: str


@dataclass(slots=True)
class Day:
    """The last 24 hours, oldest first; `capped` when there was more than is counted."""

    hours: list[Hour] = field(default_factory=list)
    capped: bool = False

    @property
    def good(self) -> int:
        return sum(hour.good for hour in self.hours)

    @property
    def bad(self) -> int:
        return sum(hour.bad for hour in self.hours)

    @property
    def total(self) -> int:
        return sum(hour.total for hour in self.hours)

    @property
    def success_share(self) -> float | None:
        """Of the runs that ended one way or the other; None when none did."""
        ended = self.good + self.bad
        return self.good / ended if ended else None

    @property
    def bars(self) -> list[Bar]:
        most = max((hour.total for hour in self.hours), default=0) or 1
        return [bar for position, hour in enumerate(self.hours) for bar in _bars(position * 10, hour, 50 / most)]


def _bars(x: int, hour: Hour, scale: float) -> list[Bar]:
    title = f"{hour.begins_at:%H:%M} UTC: {hour.good} succeeded, {hour.bad} failed, {hour.other} others"
    if not hour.total:
        return [Bar(x, 54, 2, "none", title)]
    bars, bottom = [], 56.0
    for tone, count in (("good", hour.good), ("other", hour.other), ("bad", hour.bad)):
        if count:
            height = max(2.0, round(count * scale, 1))
            bottom -= height
            bars.append(Bar(x, round(bottom, 1), height, tone, title))
    return bars


def last_day(scope: Scope) -> Day:
    now = timezone.now()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    recent = by_id(scope.runs().only("status", "queued_at"), MOST_COUNTED, scope.parts())
    rows = [(run.status, run.queued_at) for run in recent if run.queued_at >= first]
    day = Day([Hour(first + timedelta(hours=number)) for number in range(HOURS)], capped=len(rows) == MOST_COUNTED)
    for status, queued_at in rows:
        hour = day.hours[min(HOURS - 1, int((queued_at - first).total_seconds() // 3600))]
        if status == Status.SUCCESS:
            hour.good += 1
        elif status in BROKEN:
            hour.bad += 1
        else:
            hour.other += 1
    return day


def active_runs(scope: Scope, most: int) -> tuple[list[Run], int]:
    """Runs that go on, then those that wait in the order in which they will start; and how many there are in all."""
    rows = scope.runs().select_related("team", "user")
    shown = list(rows.filter(status__in=ALIVE).order_by("started_at", "pk")[:most])
    if len(shown) < most:
        shown += rows.filter(status=Status.QUEUED).order_by("-priority", "queued_at", "pk")[: most - len(shown)]
    return shown, len(shown) if len(shown) < most else scope.runs().filter(status__in=ACTIVE).count()


def failures(scope: Scope, most: int) -> list[Run]:
    """What failed within the last day, newest first."""
    since = timezone.now() - timedelta(hours=HOURS)
    return [run for run in scope.newest(most, BROKEN) if run.finished_at and run.finished_at >= since]


def next_schedules(user: User, most: int) -> list[Schedule]:
    rows = Schedule.objects.visible_to(user).filter(enabled=True, next_run_at__isnull=False)
    return list(rows.select_related("team", "thread", "process").order_by("next_run_at")[:most])


def hosts() -> dict[str, Any]:
    """Which machines take work, and when the last that does not was heard of."""
    known = list(Host.objects.order_by("-seen_at")[:20])
    alive = [host for host in known if timezone.now() - host.seen_at < HOST_SILENCE]
    return {"alive": alive, "last": known[0] if known else None}
