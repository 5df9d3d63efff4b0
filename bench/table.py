"""Rows of measurements beside their bare limit, printed so that those of all scripts stand below each other."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTHS = (66, 12, 12, 7, 21)
HEAD = ("what", "bare", "ours", "ratio", "goal")


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of the product, and of the machine alone (None where there is no such thing)."""

    what: str
    unit: str
    bare: float | None
    ours: float
    goal: "Goal | None" = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.bare if self.bare else None


@dataclass(frozen=True, slots=True)
class Goal:
    """A number of the design: how it reads, and whether a row reaches it."""

    text: str
    is_reached: Callable[[Row], bool]


def ratio_at_most(limit: float) -> Goal:
    return Goal(f"at most {limit:g} x bare", lambda row: row.ratio is not None and row.ratio <= limit)


def ratio_at_least(limit: float) -> Goal:
    return Goal(f"at least {limit:g} x bare", lambda row: row.ratio is not None and row.ratio >= limit)


def below(limit: float, unit: str) -> Goal:
    return Goal(f"under {limit:g} {unit}", lambda row: row.ours < limit)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed (nearest rank); of few values the largest one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
    print(title)
    print(_line(*HEAD, "reached?"))
    for row in rows:
        reached = "" if row.goal is None else "yes" if row.goal.is_reached(row) else "NO"
        goal = row.goal.text if row.goal else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        print(_line(row.what, _number(row.bare, row.unit), _number(row.ours, row.unit), ratio, goal, reached))
    for note in notes:
        print(f"  {note}")
    print(flush=True)


def _line(what: str, bare: str, ours: str, ratio: str, goal: str, reached: str) -> str:
    widths = WIDTHS
    return f"  {what:<{widths[0]}} {bare:>{widths[1]}} {ours:>{widths[2]}} {ratio:>{widths[3]}}  {goal:<{widths[4]}} {reached}".rstrip()


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}"
