"""What the scribe of a scene can do; answers are JSON."""

from collections import Counter
from datetime import timedelta
from typing import Any

from accounts.models import User
from accounts.services import create_team
from history.models import Run
from schedules.models import ClockLease, Firing, Schedule
from schedules.services import create_schedule
from threads.services import create_thread


def seed(schedules: int, seconds: int = 1) -> int:
    """So many schedules that are due every so many seconds."""
    user = User.objects.create_user("editor")
    team = create_team(name="Clockmakers", user=user)
    target = create_thread(team=team, user=user, name="Tick", source="print('tick')\n")
    for number in range(schedules):
        create_schedule(team=team, user=user, name=f"S{number}", target=target, kind="interval", interval_seconds=seconds)
    return schedules


def lease() -> str:
    return ClockLease.objects.values_list("holder", flat=True).first() or ""


def fired() -> int:
    return Firing.objects.filter(outcome="fired").count()


def account() -> dict[str, Any]:
    """Whether each due time up to now has exactly one end: `gaps` and `doubles` count those that have not."""
    gaps = 0
    for schedule in Schedule.objects.all():
        assert schedule.next_run_at
        steps = (schedule.next_run_at - schedule.anchor_at) / timedelta(seconds=schedule.interval_seconds or 1)
        gaps += abs(round(steps) - 1 - sum(schedule.firings.values_list("covers", flat=True)))
    runs: Counter[int | None] = Counter(Run.objects.values_list("firing", flat=True))
    late = [
        (firing.run.queued_at - firing.due_at).total_seconds()
        for firing in Firing.objects.exclude(run=None).select_related("run")
        if firing.run
    ]
    return {
        "gaps": gaps,
        "doubles": sum(count - 1 for count in runs.values()) + runs.get(None, 0),
        "fired": fired(),
        "runs": Run.objects.count(),
        "counted": sum(Schedule.objects.values_list("run_count", flat=True)),
        "skipped": sorted(set(Firing.objects.filter(outcome="skipped").values_list("reason", flat=True))),
        "latest": max(late, default=0.0),
    }
