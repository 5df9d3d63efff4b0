"""Isolation as operators see it: what the hosts can do, and the button that finds it out anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from accounts.access import require_operator
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from engine.canary import find_out, known_report
from engine.findings import DEEDS, Attempt, IsolationUnavailable, Report
from engine.isolation import LEVELS
from history.models import Host, StepRun

# Hosts that were silent for longer are no longer asked for, and what they could do is looked for among so many steps.
HOSTS_OF, STEPS_LOOKED_AT = timedelta(days=1), 2000


def isolation_report(*, user: User) -> Report | None:
    """What is known of this host; None before its first run. For operators."""
    require_operator(user, "Isolation", Role.VIEWER)
    return known_report()


def try_isolation(*, user: User) -> Report:
    """Have the canary try the levels now: runs that start from now on go by what it finds. For operators."""
    require_operator(user, "Isolation")
    report = find_out()
    # Not made when it is not there: hosts are those that have workers.
    record(user=user, verb="tried isolation of", target=Host(key=settings.HOST_KEY), level=_level(report))
    return report


@dataclass(frozen=True, slots=True)
class HostLevel:
    """The level in force on a host, "" when it is not known; `reason` is why no higher one, `remedy` what would help."""

    host: Host
    is_here: bool
    level: str = ""
    reason: str = ""
    remedy: str = ""


def levels_of_hosts(report: Report | None) -> Iterator[HostLevel]:
    """Of this host what the canary found, of others what the latest steps say that ran there. A day's hosts, by name."""
    others = _levels_told()
    for host in Host.objects.filter(seen_at__gt=timezone.now() - HOSTS_OF).order_by("key"):
        if host.key == settings.HOST_KEY:
            yield _here(host, report)
        else:
            yield HostLevel(host, False, *others.get(host.key, ()))


def _here(host: Host, report: Report | None) -> HostLevel:
    if report is None:
        return HostLevel(host, is_here=True)
    try:
        return HostLevel(host, True, report.level.name, report.level.account, report.level.remedy)
    except IsolationUnavailable as error:
        return HostLevel(host, True, "", error.message)


def _levels_told() -> dict[str, tuple[str, str]]:
    newest = StepRun.objects.aggregate(newest=Max("pk"))["newest"] or 0
    latest = StepRun.objects.filter(pk__gt=newest - STEPS_LOOKED_AT).exclude(isolation="").order_by("pk")
    return {key: (level, reason) for key, level, reason in latest.values_list("run__host_key", "isolation", "isolation_reason")}


def demands_of(teams: QuerySet[Team]) -> list[tuple[Team, bool]]:
    """Those that ask for a least level, and whether it is more than this host is known to do."""
    report = known_report()
    level = _level(report) if report else None
    asking = teams.exclude(min_isolation="")
    return [(team, level is not None and LEVELS.index(level) > LEVELS.index(team.min_isolation)) for team in asking]


@dataclass(frozen=True, slots=True)
class Table:
    """What the canary's script tried: for each deed at each of `levels`, the highest first, whether it succeeded."""

    levels: list[str]
    rows: list[tuple[str, list[bool]]]


def attempts_table(report: Report) -> Table:
    """Of the levels at which a script could be started at all."""
    tried = [(attempt.level, attempt.reached) for attempt in report.attempts if attempt.reached is not None]
    rows = [(deed[0].upper() + deed[1:], [name in reached for _, reached in tried]) for name, deed in DEEDS.items()]
    return Table([level for level, _ in tried], rows)


def _level(report: Report) -> str | None:
    try:
        return report.level.name
    except IsolationUnavailable:
        return None


def _deeds(attempt: Attempt | None) -> list[str] | None:
    return None if attempt is None or attempt.reached is None else [DEEDS[name] for name in attempt.reached]


def summary(report: Report | None) -> dict[str, Any]:
    """As the API tells it: `level` is None when it is not known yet or a demanded one cannot be had."""
    tried = {attempt.level: attempt for attempt in report.attempts} if report else {}
    return {
        "host": settings.HOST_KEY,
        "demanded": settings.ISOLATION,
        "least": settings.MIN_ISOLATION or None,
        "level": _level(report) if report else None,
        "checked_at": datetime.fromtimestamp(report.checked_at, UTC) if report else None,
        "levels": [
            {
                "name": name,
                "tried": name in tried,
                "holds": name in tried and not tried[name].fault,
                "reason": tried[name].fault if name in tried else "",
                "remedy": tried[name].remedy if name in tried else "",
                "gaps": list(tried[name].gaps) if name in tried else [],
                "reached": _deeds(tried.get(name)),
            }
            for name in LEVELS
        ],
    }
