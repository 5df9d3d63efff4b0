"""Why a run waits, in words: a few queries for a whole page of runs, none when no run of it waits."""

from collections.abc import Sequence
from datetime import UTC, timedelta

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from core.text import span_words
from history import draining
from history.limits import Limits, alive_of, limits
from history.models import Host, Run
from history.status import ALIVE, Status

# A host says every five seconds that it lives.
SILENCE = timedelta(seconds=30)
_OF = {"team_id": "team", "thread_id": "thread", "process_id": "process"}


def tell_why(runs: Sequence[Run]) -> None:
    """Set `waiting_reason` of those that wait: in the queue, for another attempt, or for an environment."""
    queued = [run for run in runs if run.status == Status.QUEUED]
    for run in runs:
        if run.status == Status.RUNNING and run.not_before is not None:
            tried_again = f"A step that failed is tried again at {run.not_before.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
            run.waiting_reason = run.reason or tried_again
    if not queued:
        return
    bounds = limits()
    common, alive = _common_reason(), alive_of(bounds)
    for run in queued:
        run.waiting_reason = common or _earlier_run(run) or _limit_reached(run, bounds, alive) or _no_place() or "It starts in a moment."


def _common_reason() -> str:
    """What keeps all runs from starting."""
    if drain := draining.current():
        return f"Maintenance: no run starts until it is over{f' ({drain.reason})' if drain.reason else ''}."
    seen = Host.objects.aggregate(at=Max("seen_at"))["at"]
    if seen is None:
        return "No worker has been heard of yet."
    silence = timezone.now() - seen
    return f"No worker has been heard of for {span_words(silence.total_seconds(), parts=1)}." if silence > SILENCE else ""


def _earlier_run(run: Run) -> str:
    """A query for those alone that wait for earlier runs of their schedule."""
    if not run.in_turn:
        return ""
    unfinished = Run.objects.filter(schedule_id=run.schedule_id, pk__lt=run.pk, status__in=[Status.QUEUED, *ALIVE])
    earlier = unfinished.order_by("pk").first()
    return f"It waits until run #{earlier.number} of its schedule has ended." if earlier else ""


def _limit_reached(run: Run, bounds: Limits, alive: dict[str, dict[int, int]]) -> str:
    for column, kind in _OF.items():
        pk = getattr(run, column)
        most = bounds.get(column, {}).get(pk)
        if most is not None and (count := alive[column].get(pk, 0)) >= most:
            name = run.team.name if kind == "team" else run.name
            return f"It waits for a place: {kind} {name} has as many runs going on as it may ({count} of {most})."
    return ""


def _no_place() -> str:
    now = timezone.now()
    places = settings.MAX_RUNS * Host.objects.filter(seen_at__gte=now - SILENCE).count()
    busy = Run.objects.filter(status__in=ALIVE).count()
    return f"It waits for a place: the platform has as many runs going on as it may ({busy} of {places})." if busy >= places else ""
