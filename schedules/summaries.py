"""The last run of each schedule of a page. Runs name their schedule by a bare number, so there is no relation to follow."""

from collections.abc import Sequence

from django.db.models import OuterRef, Subquery

from history.models import Run
from schedules.models import Schedule


def last_runs(schedules: Sequence[Schedule]) -> dict[int, Run]:
    """By the schedules' ids; one query, one entry of an index for each."""
    newest = Run.objects.filter(schedule_id=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    ids = Schedule.objects.filter(pk__in=[row.pk for row in schedules]).values(newest=Subquery(newest))
    return {run.schedule_id: run for run in Run.objects.filter(pk__in=ids) if run.schedule_id}
