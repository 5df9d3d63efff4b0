"""Reading the outbox: what was committed since the last look, each event once, whatever order ids become visible in."""

import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from events.models import Event

BATCH = 1000
# On PostgreSQL an id is taken when the row is written and seen when its transaction commits: an id that is missing
# below a seen one may still come. Rolled-back ones never do, so they are given up after a while.
GAP_SECONDS = 60.0
MOST_GAPS = 2000


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as streams send it: `text` is its payload as JSON. `late`: higher ids were seen before it."""

    id: int
    topic: str
    subject_id: int | None
    team_id: int | None
    text: str
    is_end: bool
    late: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """Events after a cursor. `complete` is False when some are no longer kept, or they are too many to send.

    Nothing up to `floor` is missing from it; 0 where that cannot be told.
    """

    events: list[Heard]
    complete: bool
    floor: int = 0


def heard(row: tuple[int, str, int | None, int | None, dict[str, Any]], *, late: bool = False) -> Heard:
    """Encoded once, however many streams send it."""
    number, topic, subject_id, team_id, payload = row
    text = json.dumps({"id": subject_id} | payload, separators=(",", ":"))
    return Heard(number, topic, subject_id, team_id, text, payload.get("finished_at") is not None, late)


class Outbox:
    """One reader's place in the outbox. All methods but the properties touch the database; call them in one thread."""

    def __init__(self) -> None:
        self.high = 0
        self._gaps: dict[int, float] = {}
        self._data_version: int | None = None
        self._late: deque[tuple[float, Heard]] = deque()

    @property
    def settled(self) -> int:
        """All events up to here were heard; the cursor to go on from."""
        return min(self._gaps, default=self.high + 1) - 1

    def start(self) -> None:
        """Begin behind the newest event, with an eye on what is still uncommitted below it."""
        newest = list(Event.objects.order_by("-id").values_list("id", flat=True)[:200])
        self.high = newest[0] if newest else 0
        if newest:
            self._note_gaps(newest[-1], newest)

    def has_changed(self) -> bool:
        """May there be something new? On SQLite asked for a few microseconds; elsewhere always "perhaps"."""
        if connection.vendor != "sqlite":
            return True
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            [version] = cursor.fetchone()
        before, self._data_version = self._data_version, version
        return bool(version != before)

    def look(self) -> list[Heard]:
        """What became visible since the last look, by id."""
        found = self._latecomers() if self._gaps else []
        while True:
            rows = list(_rows().filter(id__gt=self.high).order_by("id")[:BATCH])
            if rows:
                first, self.high = self.high + 1, rows[-1][0]
                self._note_gaps(max(first, self.high - MOST_GAPS), [row[0] for row in rows])
            found += [heard(row) for row in rows]
            if len(rows) < BATCH:
                return found

    def replay(self, cursor: int) -> Replay:
        """What a stream has missed that was told of everything up to `cursor`."""
        oldest = Event.objects.order_by("id").values_list("id", flat=True).first()
        newest = Event.objects.order_by("-id").values_list("id", flat=True).first()
        if cursor > (newest or 0) or (oldest is not None and cursor < oldest - 1):
            return Replay([], complete=False)
        rows = list(_rows().filter(id__gt=cursor).order_by("id")[: BATCH + 1])
        # A page takes its cursor when it is rendered; what was uncommitted below it then may have been heard since.
        missed = [event for _, event in self._late if event.id <= cursor]
        floor = rows[-1][0] if rows and connection.vendor == "sqlite" else 0
        return Replay(missed + [heard(row) for row in rows[:BATCH]], complete=len(rows) <= BATCH, floor=floor)

    def _latecomers(self) -> list[Heard]:
        now = time.monotonic()
        found = [heard(row, late=True) for row in _rows().filter(id__in=list(self._gaps)).order_by("id")]
        for event in found:
            del self._gaps[event.id]
            self._late.append((now, event))
        while self._late and self._late[0][0] < now - GAP_SECONDS:
            self._late.popleft()
        self._gaps = {number: since for number, since in self._gaps.items() if since > now - GAP_SECONDS}
        return found

    def _note_gaps(self, first: int, seen: Iterable[int]) -> None:
        if connection.vendor == "sqlite":
            return  # One writer at a time: ids become visible in order.
        now = time.monotonic()
        missing = sorted(set(range(first, self.high)).difference(seen))
        self._gaps |= dict.fromkeys(missing[-MOST_GAPS:], now)


def _rows() -> Any:
    return Event.objects.values_list("id", "topic", "subject_id", "team_id", "payload")
