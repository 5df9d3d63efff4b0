"""The figures of all one may see: what runs, what waits, how the last day went."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, Sum
from django.utils import timezone

from accounts.models import User
from accounts.querysets import teams_of
from history.models import Run
from history.status import ALIVE, FINAL, Status

SPAN = timedelta(hours=24)


def run_figures(user: User) -> dict[str, Any]:
    """`started` counts all runs there ever were; `last_day` those queued within 24 hours, by status."""
    runs = Run.objects.visible_to(user)
    by_status = _last_day(user)
    ended = sum(count for status, count in by_status.items() if status in FINAL)
    return {
        "started": teams_of(user).aggregate(total=Sum("run_counter"))["total"] or 0,
        "running": runs.filter(status__in=ALIVE).count(),
        "queued": runs.filter(status=Status.QUEUED).count(),
        "last_day": {status.value: by_status.get(status.value, 0) for status in Status},
        "success_rate": round(by_status.get(Status.SUCCESS, 0) / ended, 4) if ended else None,
    }


def _last_day(user: User) -> dict[str, int]:
    # Ids ascend with the time of queueing: the day's runs are those above the newest older one, found from the top.
    counts: dict[str, int] = {}
    since = timezone.now() - SPAN
    for team in teams_of(user):
        runs = Run.objects.filter(team=team).order_by("-pk")
        floor = runs.filter(queued_at__lt=since).values_list("pk", flat=True).first() or 0
        for status, count in runs.filter(pk__gt=floor).order_by().values_list("status").annotate(count=Count("pk")):
            counts[status] = counts.get(status, 0) + count
    return counts
