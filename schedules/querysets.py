"""What is looked for among schedules, and what they started last."""

from collections.abc import Sequence

from django.db.models import OuterRef, Q, QuerySet, Subquery

from history.models import Run
from schedules.models import Schedule


def named(rows: "QuerySet[Schedule]", text: str) -> "QuerySet[Schedule]":
    """Those with the text in their own name or in their target's; all of them for no text."""
    if not text:
        return rows
    return rows.filter(Q(name__icontains=text) | Q(thread__name__icontains=text) | Q(process__name__icontains=text))


def last_runs(schedules: Sequence[Schedule]) -> dict[int, Run]:
    """The newest run of each, by the schedules' ids; one query, one entry of an index for each.

    Runs name their schedule by a bare number, so there is no relation to follow.
    """
    newest = Run.objects.filter(schedule_id=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    ids = Schedule.objects.filter(pk__in=[row.pk for row in schedules]).values(newest=Subquery(newest))
    return {run.schedule_id: run for run in Run.objects.filter(pk__in=ids) if run.schedule_id}
