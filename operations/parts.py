"""The parts of the platform as the page about its health lists them, a line each."""

from dataclasses import dataclass

from django.db.models import Count, Q

from environments.models import UNDER_WAY, Environment, EnvironmentBuild, EnvironmentState
from operations.health import DEGRADED, DOWN, OK, Check, Health

_READY = Q(state=EnvironmentState.READY)


@dataclass(frozen=True, slots=True)
class Shown:
    """A state as a badge."""

    value: str
    label: str
    icon: str
    tone: str


_STATES = {
    OK: Shown(OK, "Fine", "check", "good"),
    DEGRADED: Shown(DEGRADED, "Attention", "alert", "warn"),
    DOWN: Shown(DOWN, "Down", "x", "bad"),
}
OVERALL = {OK: "All is well.", DEGRADED: "Something needs attention.", DOWN: "The platform does not work."}
_NAMES = {
    "database": ("Database", "server"),
    "scheduler": ("Scheduler", "calendar"),
    "workers": ("Workers", "activity"),
    "queue": ("Queue", "list"),
    "disk": ("Disk", "save"),
    "isolation": ("Isolation", "shield"),
    "environments": ("Environments", "layers"),
}


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    icon: str
    check: Check

    @property
    def state(self) -> Shown:
        return _STATES[self.check.state]


def parts_of(health: Health) -> list[Part]:
    """What `health` says, and a line about the environments."""
    checks = dict(health.checks)
    if health.status != DOWN:
        checks["environments"] = environments_check()
    return [Part(*_NAMES[name], check) for name, check in checks.items()]


def environments_check() -> Check:
    """Trouble when there are some that threads use and that do not work. No matter of the platform's own health: a team mends it."""
    is_bad = Q(state=EnvironmentState.BROKEN) | (_READY & ~Q(health=""))
    used = Environment.objects.filter(threads__isnull=False)
    counts = Environment.objects.aggregate(ready=Count("pk", filter=_READY))
    bad = used.filter(is_bad).distinct().count()
    building = EnvironmentBuild.objects.filter(status__in=UNDER_WAY).count()
    if not counts["ready"] and not building and not bad:
        return Check(OK, "None is in use.")
    words = f"{counts['ready']:,} {'is' if counts['ready'] == 1 else 'are'} ready{f', {building:,} being built' if building else ''}"
    if bad:
        return Check(DEGRADED, f"{words}; {bad:,} that threads use {'has' if bad == 1 else 'have'} faults.")
    return Check(OK, f"{words}.")
