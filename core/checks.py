"""Rules that verbs of several rooms share. Each returns when it is content, else InvalidInput by field."""

from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings

from core.errors import InvalidInput

MAX_DESCRIPTION = 5000
MAX_RUNS = 10_000


def check_known(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Nothing is given that nobody reads."""
    if unknown := sorted(given.keys() - set(known)):
        raise InvalidInput("Some fields are not known here.", fields={name: ["There is no such field."] for name in unknown})


def is_whole(value: Any, least: int, most: int) -> bool:
    """A whole number in these bounds; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def operators_fault(field: str, value: Any, unit: str) -> str | None:
    """What is wrong with a thread's limit beside the most that the operator lets teams give; None when nothing is."""
    most = settings.MAX_LIMITS.get(field)
    fits = most is None or value is None or value <= most
    return None if fits else f"On this installation a thread may have at most {most:,} {unit}."


def within_operators(field: str, value: int) -> int:
    """A limit, no higher than the operator lets teams give."""
    return min(value, settings.MAX_LIMITS.get(field, value))


def runs_fault(value: Any) -> str | None:
    """What is wrong with a number of runs at once, None when nothing is; it may be None, for no limit."""
    fits = value is None or is_whole(value, 1, MAX_RUNS)
    return None if fits else f"Use a whole number from 1 to {MAX_RUNS:,}, or leave it empty for no limit."


def check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput.of("description", f"The description has more than {MAX_DESCRIPTION:,} characters.")
