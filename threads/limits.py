"""The limits of a thread, by their names there. A run that passes one is ended, and its reason says which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from core.checks import is_whole, operators_fault, within_operators


@dataclass(frozen=True, slots=True)
class Bound:
    """What a limit may be; `unit` is the word people read."""

    least: int
    most: int
    unit: str

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value; None stands for the platform's own limit and is fine."""
        if value is None or is_whole(value, self.least, self.most):
            return None
        return f"Use a whole number of {self.unit} from {self.least} to {self.most:,}, or leave it empty."


MAX_TIMEOUT_SECONDS = 30 * 86400
LIMITS = {
    "memory_limit_mb": Bound(16, 1_048_576, "MiB"),
    "cpu_limit": Bound(1, MAX_TIMEOUT_SECONDS, "seconds"),
    "process_limit": Bound(1, 100_000, "processes"),
    "output_limit_mb": Bound(1, 100_000, "MiB"),
    "directory_limit_mb": Bound(1, 10_000_000, "MiB"),
}


def default_limit(name: str) -> int | None:
    """The platform's own limit, for threads that were given none; None where it has none."""
    output = settings.DEFAULT_OUTPUT_LIMIT_MB
    return {
        "memory_limit_mb": settings.DEFAULT_MEMORY_LIMIT_MB,
        "process_limit": settings.DEFAULT_PROCESS_LIMIT,
        "output_limit_mb": output if output < LIMITS["output_limit_mb"].most else None,
        "directory_limit_mb": settings.RUN_DIRECTORY_LIMIT_BYTES // (1024 * 1024),
    }.get(name)


def limit_of(name: str, own: Mapping[str, int]) -> int | None:
    """What holds for a thread of these own limits; never more than the operator lets teams give, whenever it was given."""
    value = own.get(name) or default_limit(name)
    return None if value is None else within_operators(name, value)


def limit_faults(given: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong with the limits among the given fields."""
    faults = {name: _fault(name, value) for name, value in given.items() if name in LIMITS}
    return {name: [fault] for name, fault in faults.items() if fault}


def _fault(name: str, value: Any) -> str | None:
    bound = LIMITS[name]
    return bound.fault(value) or operators_fault(name, value, bound.unit)
