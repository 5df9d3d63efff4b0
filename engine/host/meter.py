"""What the processes of a script use, looked at now and then, and whether it is more than they may."""

import contextlib
import os
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.host import kernel, records
from engine.host.series import Series

SAMPLE_SECONDS = 1.0
# After the start: what grows without end does so from the beginning, as a rule.
EARLY_SECONDS = (0.25, SAMPLE_SECONDS)
# One too many, and two that a sandbox has of its own.
_TELLS = 3


class Excess(NamedTuple):
    """A limit that was passed: `used` and `limit` in bytes, seconds or processes."""

    cause: str
    used: int
    limit: int


class Meter:
    """Measures what `scripts` finds against the limits of the spec; one that is None there is not enforced."""

    def __init__(self, folder: str, spec: dict[str, Any], scripts: Callable[[int | None], list[int]]) -> None:
        self.spec = spec
        self.scripts = scripts
        self.began = time.monotonic()
        self.next_sample = self.began + EARLY_SECONDS[0]
        self.next_measure = self.began + SAMPLE_SECONDS
        self.series = Series(os.path.join(folder, records.RESOURCES), self.began)
        self.peak_bytes = 0
        self.output_bytes = 0

    def count_output(self, count: int) -> Excess | None:
        self.output_bytes += count
        return self._excess("output", self.output_bytes, self.spec["output_limit_bytes"])

    def sample(self, now: float) -> Excess | None:
        """The first limit that is passed, if any."""
        age = now - self.began
        self.next_sample = next((self.began + early for early in EARLY_SECONDS if early > age), now + SAMPLE_SECONDS)
        tree, excess = self.count()
        if excess:
            return excess
        held = self._held(tree)
        self.peak_bytes = max(self.peak_bytes, held)
        busy = self._processor_seconds(tree)
        if age >= SAMPLE_SECONDS:
            self.series.add(now, held, busy)
        return (
            self._excess("memory", held, self.spec["memory_limit_bytes"])
            or self._excess("cpu", int(busy), self.spec["cpu_limit_seconds"])
            or self._directory(now)
        )

    def count(self) -> tuple[list[int], Excess | None]:
        """The processes, and whether they are too many. No more of those are looked for than tell it: there is no time to be lost."""
        limit = self.spec["process_limit"]
        tree = self.scripts(None if limit is None else limit + _TELLS)
        return tree, self._excess("processes", len(tree), limit)

    def _held(self, tree: list[int]) -> int:
        """Memory of all together. What they share is counted in each, unless that made it too much: counting exactly is dear."""
        held = kernel.resident_bytes(tree)
        limit = self.spec["memory_limit_bytes"]
        return kernel.proportional_bytes(tree) if limit is not None and held > limit and len(tree) > 1 else held

    def _processor_seconds(self, tree: list[int]) -> float:
        """Of the living by what the kernel tells of them, of the dead by what was added up when they were waited for."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime + kernel.processor_seconds(tree)

    def _directory(self, now: float) -> Excess | None:
        if now < self.next_measure:
            return None
        began = time.monotonic()
        size = directory_bytes(self.spec["directory"])
        # A directory of very many files is measured less often: at most a fiftieth of the time.
        self.next_measure = now + max(SAMPLE_SECONDS, 50 * (time.monotonic() - began))
        return self._excess("disk", size, self.spec["directory_limit_bytes"])

    def _excess(self, cause: str, used: int, limit: int | None) -> Excess | None:
        return Excess(cause, used, limit) if limit is not None and used > limit else None


def directory_bytes(path: str) -> int:
    """Room that the files below take on disk, links not followed; sparse files count what they really take."""
    total = 0
    pending = [path]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total
