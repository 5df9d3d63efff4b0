"""The limits of a thread, by their names there. A run that passes one is ended, and its reason says which."""

from dataclasses import dataclass
from typing import Any

from core.checks import is_whole


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


def limit_faults(given: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong with the limits among the given fields."""
    faults = {name: LIMITS[name].fault(value) for name, value in given.items() if name in LIMITS}
    return {name: [fault] for name, fault in faults.items() if fault}
