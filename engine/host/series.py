"""What a script used over time, thinned as it grows longer: a curve needs no more points than a page is wide."""

import contextlib
from typing import Any

from engine.host import records

MOST_POINTS = 600
WRITE_SECONDS = 2.0


class Series:
    """Points of seconds since the start, the most bytes of memory and processors kept busy since the point before."""

    def __init__(self, path: str, began: float) -> None:
        self.path = path
        self.began = self.last_at = began
        self.last_used, self.highest = 0.0, 0
        self.points: list[tuple[float, int, float]] = []
        self.every = 0.0
        self.next_write = began + WRITE_SECONDS

    def add(self, now: float, memory_bytes: int, processor_seconds: float) -> None:
        """`processor_seconds` is what was used in all until now."""
        self.highest = max(self.highest, memory_bytes)
        if now - self.last_at < self.every:
            return
        busy = max(0.0, processor_seconds - self.last_used) / max(now - self.last_at, 0.001)
        self.points.append((round(now - self.began, 1), self.highest, round(busy, 2)))
        self.last_at, self.last_used, self.highest = now, processor_seconds, 0
        if len(self.points) >= MOST_POINTS:
            self._thin()
        if now >= self.next_write:
            self.write()
            # The longer it runs the less does a moment matter: the whole file is written each time.
            self.next_write = now + max(WRITE_SECONDS, (now - self.began) / 100)

    def _thin(self) -> None:
        """Of two points one stays, with the higher memory of both and their processors in the middle."""
        pairs = zip(self.points[::2], self.points[1::2], strict=False)
        self.points = [(late[0], max(early[1], late[1]), round((early[2] + late[2]) / 2, 2)) for early, late in pairs]
        # A little less than they are apart now: a look that comes early must not be left out.
        self.every = 0.95 * self.points[-1][0] / len(self.points)

    def write(self) -> None:
        """Nothing for a script that was over before it was looked at; that it cannot be written is no matter of the run."""
        content: dict[str, Any] = {"points": self.points}
        if self.points:
            with contextlib.suppress(OSError):
                records.write(self.path, content)
