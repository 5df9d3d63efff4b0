"""What a list shows of each row's runs. Rooms below the history ask by this; it is filled in where all rooms meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Summary:
    """`last_run` is a run or None; the figures are of the newest 100 that have ended."""

    last_run: Any = None
    runs: int = 0
    success: int = 0
    average_duration_ms: int | None = None

    @property
    def success_rate(self) -> float | None:
        return round(self.success / self.runs, 4) if self.runs else None


Summaries = Callable[[Sequence[Any]], Mapping[int, Summary]]


def no_summaries(rows: Sequence[Any]) -> Mapping[int, Summary]:
    return {row.pk: Summary() for row in rows}
