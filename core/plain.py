"""Is this value plain data that every part of the platform can keep, pass on and show?

JSON in Python holds more than that: NUL characters (PostgreSQL refuses them), halves of surrogate pairs (no UTF-8 can
write them), numbers that overflowed to infinity, and nesting that ends in a RecursionError somewhere else.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from core.errors import InvalidInput
from core.parameters import MAX_PARAMETERS

MAX_DEPTH = 20
MAX_DIGITS = 1000
MAX_PARAMETER_NAME = 100
MAX_PARAMETER_BYTES = 50_000


def text_fault(text: str) -> str | None:
    """What is wrong with a text, None when nothing is."""
    if "\0" in text:
        return "There is a NUL character in it."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "There is half of a surrogate pair in it, which is no text."
    return None


def first_fault(value: Any, path: str = "") -> tuple[str, str] | None:
    """Where in nested data the first thing is that cannot be kept, and what; `steps.1.name` is its form."""
    return next(_faults(value, path), None)


def _faults(value: Any, path: str) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[Any, str, int]] = [(value, path, 0)]
    while waiting:
        item, place, depth = waiting.pop()
        if fault := _fault_of(item, depth):
            yield place, fault
        elif isinstance(item, dict):
            for name, inner in item.items():
                if not isinstance(name, str) or text_fault(name):
                    yield place, "A name in it is no text that can be kept."
                waiting.append((inner, f"{place}.{name}" if place else name, depth + 1))
        elif isinstance(item, list):
            waiting.extend((inner, f"{place}.{position}" if place else str(position), depth + 1) for position, inner in enumerate(item))


def _fault_of(item: Any, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"It is nested more than {MAX_DEPTH} levels deep."
    if isinstance(item, str):
        return text_fault(item)
    if isinstance(item, float) and not math.isfinite(item):
        return "This number is too large, or is none."
    if isinstance(item, int) and abs(item) >= 10**MAX_DIGITS:
        return f"This number has more than {MAX_DIGITS} digits."
    if item is not None and not isinstance(item, (bool, int, float, str, list, dict)):
        return f"It is text, a number, a flag or a list, not {type(item).__name__}."
    return None


def check_parameters(parameters: Any, field: str = "parameters") -> dict[str, Any]:
    """The parameters, if a run can be given them; else InvalidInput by `field`.

    A run's and its step's are merged and reach the script in one variable, which Linux limits to 128 KiB.
    """
    if not isinstance(parameters, dict) or any(not isinstance(name, str) for name in parameters):
        raise InvalidInput.of(field, "Parameters are names with values.")
    if len(parameters) > MAX_PARAMETERS:
        raise InvalidInput.of(field, f"There are {len(parameters)} parameters; {MAX_PARAMETERS} are the most.")
    for name, value in parameters.items():
        if not name.strip() or len(name) > MAX_PARAMETER_NAME or not name.isprintable():
            raise InvalidInput.of(
                field, f"The name of a parameter has 1 to {MAX_PARAMETER_NAME} characters, none of them control characters."
            )
        if fault := first_fault(value):
            raise InvalidInput.of(field, f"{name}: {fault[1]}")
    size = len(json.dumps(parameters))
    if size > MAX_PARAMETER_BYTES:
        raise InvalidInput.of(field, f"The parameters have {size:,} bytes as JSON; {MAX_PARAMETER_BYTES:,} are the most.")
    return parameters
