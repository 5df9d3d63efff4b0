"""What the scripts of a run used over time, as their supervisors noted it beside the log."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core import layout
from history.models import StepRun

WIDTH, HEIGHT = 300, 56


@dataclass(frozen=True, slots=True)
class Point:
    """`processors` is how many were kept busy since the point before."""

    seconds: float
    memory_bytes: int
    processors: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One step's points in their order, at least one; as lines of a picture of `WIDTH` × `HEIGHT`."""

    step: StepRun
    points: Sequence[Point]

    @property
    def seconds(self) -> float:
        return self.points[-1].seconds

    @property
    def milliseconds(self) -> float:
        return self.seconds * 1000

    @property
    def peak_memory(self) -> int:
        return max(point.memory_bytes for point in self.points)

    @property
    def peak_processors(self) -> float:
        return max(point.processors for point in self.points)

    @property
    def memory_line(self) -> str:
        return self._line([point.memory_bytes / (self.peak_memory or 1) for point in self.points])

    @property
    def processor_line(self) -> str:
        """One busy processor, or as many as were, reach the top."""
        return self._line([point.processors / max(1.0, self.peak_processors) for point in self.points])

    def _line(self, shares: Sequence[float]) -> str:
        """From the left edge, where the script began with nothing."""
        span = self.seconds or 1
        places = [(point.seconds / span, share) for point, share in zip(self.points, shares, strict=True)]
        return " ".join(f"{x * WIDTH:.1f},{HEIGHT - 1 - share * (HEIGHT - 2):.1f}" for x, share in [(0.0, 0.0), *places])


def curves(steps: Iterable[StepRun]) -> list[Curve]:
    """Of those steps that ran long enough to be looked at."""
    found = [(step, _points(step)) for step in steps]
    return [Curve(step, points) for step, points in found if points]


def _points(step: StepRun) -> list[Point]:
    path = layout.step_folder(step.run_id, step.position, step.attempt) / layout.RESOURCES
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [Point(*point) for point in json.loads(path.read_bytes())["points"]]
    return []
