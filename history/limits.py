"""How many runs may go on at once of a team, a thread, a process. The platform's own limit is the claim's."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import BooleanField, Count, QuerySet
from django.db.models.expressions import RawSQL

from accounts.models import Team
from history.models import Run
from history.status import ALIVE, Status
from processes.models import Process
from threads.models import Thread

# By the column of a run that tells what it belongs to.
_KINDS = {"team_id": Team, "thread_id": Thread, "process_id": Process}
# The claims of a burst do not all ask anew whether somebody has set a limit.
REMEMBERED_SECONDS = 1.0
CHUNK = 200
# Hosts that claim under limits do so one after another: each counts what the others took. Any number that nobody else uses.
_LOCK = 7_203_511

# Of a waiting run: no earlier one of its schedule is in its way.
ITS_TURN = """NOT (history_run.in_turn AND EXISTS (
    SELECT 1 FROM history_run earlier WHERE earlier.schedule_id = history_run.schedule_id AND earlier.id < history_run.id
    AND earlier.status IN ('queued', 'running', 'paused')
))"""

Limits = Mapping[str, Mapping[int, int]]
# By column and id, how many more may start.
Room = dict[tuple[str, int], int]


@dataclass(slots=True)
class _Memory:
    limits: Limits = field(default_factory=dict)
    until: float = 0.0


_memory = _Memory()


def forget() -> None:
    """The next question is answered by the database."""
    _memory.until = 0.0


def limits() -> Limits:
    """Most runs at once by column and id, of those alone that have a limit; as they were within the last second."""
    if time.monotonic() >= _memory.until:
        rows = {column: model.objects.exclude(max_runs=None).values_list("pk", "max_runs") for column, model in _KINDS.items()}  # type: ignore[attr-defined]
        _memory.limits = {column: found for column, pairs in rows.items() if (found := dict(pairs))}
        _memory.until = time.monotonic() + REMEMBERED_SECONDS
    return _memory.limits


def alive_of(bounds: Limits) -> dict[str, dict[int, int]]:
    """How many runs of each that has a limit are alive; those too that wait for another attempt."""
    counts: dict[str, dict[int, int]] = {}
    for column, most in bounds.items():
        alive = Run.objects.filter(status__in=ALIVE, **{f"{column}__in": list(most)}).order_by()
        counts[column] = dict(alive.values_list(column).annotate(Count("pk")))
    return counts


def free_to_start() -> "QuerySet[Run]":
    """The waiting runs that none of these limits keeps from starting."""
    return _without_full(_room(limits()))


def choose(bounds: Limits, most: int) -> list[int]:
    """The best waiting runs that their limits let start, at most so many. One whose limit is reached holds up none behind it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    room = _room(bounds)
    chosen: list[int] = []
    is_more = True
    while is_more and len(chosen) < most:
        rows = _waiting(room, chosen)
        for pk, *ids in rows:
            groups = [group for group in zip(_KINDS, ids, strict=True) if group in room]
            if len(chosen) < most and all(room[group] > 0 for group in groups):
                chosen.append(pk)
                for group in groups:
                    room[group] -= 1
        is_more = len(rows) == CHUNK
    return chosen


def _room(bounds: Limits) -> Room:
    alive = alive_of(bounds)
    return {(column, pk): limit - alive[column].get(pk, 0) for column, by_id in bounds.items() for pk, limit in by_id.items()}


def _waiting(room: Room, chosen: list[int]) -> list[tuple[int, ...]]:
    """The next waiting runs with their team, thread and process, without those of which no more may start."""
    rows = _without_full(room).exclude(pk__in=chosen)
    return list(rows.order_by("-priority", "pk").values_list("pk", *_KINDS)[:CHUNK])


def _without_full(room: Room) -> "QuerySet[Run]":
    full: dict[str, list[int]] = defaultdict(list)
    for (column, pk), free in room.items():
        if free <= 0:
            full[column].append(pk)
    rows = Run.objects.filter(RawSQL(ITS_TURN, [], BooleanField()), status=Status.QUEUED)  # noqa: S611 - no input in it
    for column, ids in full.items():
        rows = rows.exclude(**{f"{column}__in": ids})
    return rows
