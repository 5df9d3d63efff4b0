"""Is this value plain data that every part of the platform can keep, pass on and show?

JSON in Python holds more than that: NUL characters (PostgreSQL refuses them), halves of surrogate pairs (no UTF-8 can
write them), numbers that overflowed to infinity, and nesting that ends in a RecursionError somewhere else.
"""

import math
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 20
MAX_DIGITS = 1000


def text_fault(text: str) -> str | None:
    """What is wrong with a text, None when nothing is."""
    if "\0" in text:
        return "There is a NUL character in it."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "There is half of a surrogate pair in it, which is not text."
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
                    yield place, "A name in it is not text that can be kept."
                waiting.append((inner, f"{place}.{name}" if place else name, depth + 1))
        elif isinstance(item, list):
            waiting.extend((inner, f"{place}.{position}" if place else str(position), depth + 1) for position, inner in enumerate(item))


def _fault_of(item: Any, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"It is nested more than {MAX_DEPTH} levels deep."
    if isinstance(item, str):
        return text_fault(item)
    if isinstance(item, float) and not math.isfinite(item):
        return "This is not a number, or it is too large."
    if isinstance(item, int) and abs(item) >= 10**MAX_DIGITS:
        return f"This number has more than {MAX_DIGITS} digits."
    if item is not None and not isinstance(item, (bool, int, float, str, list, dict)):
        return f"It is text, a number, a flag or a list, not {type(item).__name__}."
    return None
