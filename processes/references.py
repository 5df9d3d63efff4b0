"""What a step's parameters may refer to: `{{steps.NAME.outputs.KEY}}`, a value that an earlier step has put out. Pure.

NAME is the safe name of the earlier step's thread, or its position where a thread comes twice.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

REFERENCE = re.compile(r"\{\{\s*steps\.([a-z0-9-]+)\.outputs\.([A-Za-z0-9_-]+)\s*\}\}")
MARK = re.compile(r"\{\{\s*steps\b")
FORM = "{{steps.NAME.outputs.KEY}}"


def is_broken(text: str) -> bool:
    """It begins like a reference and is none."""
    return MARK.search(REFERENCE.sub("", text)) is not None


def reference_fault(parameters: dict[str, Any], earlier: Collection[str]) -> str | None:
    """What is wrong with the references of a step, None when nothing is; `earlier` are names and positions of the steps before it."""
    for text in _texts(parameters):
        if is_broken(text):
            return f"{text[:100]!r} is no reference to an output; write {FORM}."
        for name, _ in REFERENCE.findall(text):
            if name not in earlier:
                return f"No step {name!r} ends before this one; an output is taken from a step of an earlier stage."
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
