"""What lists of threads, processes and schedules show of their runs: a fixed number of queries, whatever the page's size."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Avg, Count, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, fields
from django.db.models.functions import Coalesce

from core.related import newest_related
from history.models import Run
from history.status import BROKEN, FINAL, Status, success_rate
from processes.models import Process
from threads.models import Thread
from threads.summaries import Summary

COUNTED = 100


def of_targets(rows: Sequence[Thread] | Sequence[Process]) -> Mapping[int, Summary]:
    """By the ids of threads or of processes: the last run and the figures of the newest that have ended."""
    if not rows:
        return {}
    relation = "thread" if isinstance(rows[0], Thread) else "process"
    last, figures = newest_related(rows, "runs"), _figures(rows, relation)
    return {row.pk: Summary(last_run=last.get(row.pk), **figures.get(row.pk, {})) for row in rows}


def _figures(rows: Sequence[Any], relation: str) -> dict[int, dict[str, Any]]:
    # The floor is found by 100 entries of an index for each row; counting a thread's million runs would read them all.
    ended = Run.objects.filter(**{relation: OuterRef("pk")}, status__in=FINAL).order_by("-pk")
    model: Any = type(rows[0])
    floors = model.objects.filter(pk__in=[row.pk for row in rows]).values_list(
        "pk", Coalesce(Subquery(ended.values("pk")[COUNTED - 1 : COUNTED]), 0)
    )
    wanted = Q(pk__in=[])
    for pk, floor in floors:
        wanted |= Q(**{relation: pk}, pk__gte=floor)
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=fields.DurationField())
    counted: QuerySet[Run, Any] = Run.objects.filter(wanted, status__in=FINAL).order_by()
    groups = counted.values(relation).annotate(
        runs=Count("pk"),
        success=Count("pk", filter=Q(status=Status.SUCCESS)),
        broken=Count("pk", filter=Q(status__in=BROKEN)),
        average=Avg(took, filter=Q(status=Status.SUCCESS)),
    )
    return {
        group[relation]: {
            "runs": group["runs"],
            "success": group["success"],
            "success_rate": success_rate(group["success"], group["broken"]),
            "average_duration_ms": round(group["average"].total_seconds() * 1000) if group["average"] is not None else None,
        }
        for group in groups
    }
