"""What is going on, in a fixed number of small queries however long the history is: what runs, what failed, how the last day went."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Team, User
from accounts.querysets import teams_of
from core.paging import by_id
from history.models import Host, Run
from history.querysets import Scope
from history.status import ACTIVE, ALIVE, BROKEN, Status, success_rate

HOURS = 24
# Of the last day no more runs than these are counted by hour: the page stays quick when there were a million.
MOST_COUNTED = 1000
# Hosts renew themselves every few seconds; one that was silent for so long serves nothing.
HOST_SILENCE = timedelta(seconds=30)


def hosts_alive() -> list[Host]:
    """The machines that take work at the moment."""
    return list(Host.objects.filter(seen_at__gt=timezone.now() - HOST_SILENCE).order_by("key"))


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
    def success_rate(self) -> float | None:
        return success_rate(self.good, self.bad)


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


def run_figures(user: User) -> dict[str, Any]:
    """`started` counts all runs there ever were; `last_day` those queued within 24 hours, by status."""
    scope = Scope(user)
    counts = _counts_of_last_day(scope)
    return {
        "started": teams_of(user).aggregate(total=Sum("run_counter"))["total"] or 0,
        "running": scope.runs().filter(status__in=ALIVE).count(),
        "queued": scope.runs().filter(status=Status.QUEUED).count(),
        "last_day": {status.value: counts.get(status, 0) for status in Status},
        "success_rate": success_rate(counts.get(Status.SUCCESS, 0), sum(counts.get(status, 0) for status in BROKEN)),
    }


def _counts_of_last_day(scope: Scope) -> dict[str, int]:
    runs = scope.runs().filter(_since(scope, timezone.now() - timedelta(hours=HOURS))).order_by()
    return dict(runs.values_list("status").annotate(count=Count("pk")))


def _since(scope: Scope, moment: datetime) -> Q:
    """The scope's runs that were queued since; one query.

    Ids ascend with the time of queueing: they are those above the newest older one, found from the top, in each team
    by its own index where the scope names its teams.
    """
    older: QuerySet[Run, Any] = Run.objects.filter(queued_at__lt=moment).order_by("-pk")
    if not scope.teams:
        return Q(pk__gt=older.values_list("pk", flat=True).first() or 0)
    newest = older.filter(team=OuterRef("pk")).values("pk")[:1]
    found = Q(pk__in=[])
    for team, floor in Team.objects.filter(pk__in=scope.teams).order_by().values_list("pk", Coalesce(Subquery(newest), 0)):
        found |= Q(team=team, pk__gt=floor)
    return found
