"""Parameters of a run as people type them: rows of a name and a value.

A value is text, unless it reads as JSON: `10`, `true`, `["a", "b"]`. Text that would read as JSON is written in
quotes, so what was kept comes back the same when it is shown and saved again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import InvalidInput

MAX_PARAMETERS = 50
MAX_VALUE = 10_000


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON; PostgreSQL refuses them.


def value_of(text: str) -> Any:
    """The value a typed text stands for."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text
    return text if "\\u0000" in encoded.decode() else value


def text_of(value: Any) -> str:
    """How a value is shown in a field, so that `value_of` gives it back."""
    # A field of one line keeps no line breaks, and spaces around a value are not meant: quotes keep both.
    if isinstance(value, str) and value_of(value) == value and value == value.strip() and len(value.splitlines()) < 2:
        return value
    return json.dumps(value, ensure_ascii=False)


def from_rows(names: Sequence[str], texts: Sequence[str], field: str = "parameters") -> dict[str, Any]:
    """Parameters from rows; rows left empty are passed over. InvalidInput by `field` names the faulty row."""
    parameters: dict[str, Any] = {}
    for number, (name, text) in enumerate(zip(names, texts, strict=False), start=1):
        name = name.strip()
        if not name and not text.strip():
            continue
        if not name:
            raise InvalidInput.of(field, f"Parameter {number} has a value but no name.")
        if len(name) > 100 or not name.isprintable():
            raise InvalidInput.of(field, f"The name of parameter {number} is longer than 100 characters or has control characters in it.")
        if name in parameters:
            raise InvalidInput.of(field, f"There are two parameters {name!r}.")
        if len(text) > MAX_VALUE or "\0" in text:
            raise InvalidInput.of(field, f"The value of {name!r} is longer than {MAX_VALUE:,} characters or has a NUL in it.")
        parameters[name] = value_of(text.strip())
    if len(parameters) > MAX_PARAMETERS:
        raise InvalidInput.of(field, f"There are {len(parameters)} parameters; {MAX_PARAMETERS} are the most.")
    return parameters


def to_rows(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, text_of(value)) for name, value in parameters.items()]
