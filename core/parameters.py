"""Parameters of a run: what may be one, and how people type them, as rows of a name and a value.

A value is text, unless it reads as JSON: `10`, `true`, `["a", "b"]`. Text that would read as JSON is written in
quotes, so what was kept comes back the same when it is shown and saved again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import InvalidInput
from core.plain import first_fault

MAX_PARAMETERS = 50
MAX_NAME = 100
MAX_VALUE = 10_000  # Characters, as a field shows it.
MAX_BYTES = 50_000  # All of them together, as JSON.


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


def check_parameters(parameters: Any) -> dict[str, Any]:
    """The parameters, if a run can be given them and a page can show them; else InvalidInput by `parameters`.

    A run's and its step's are merged and reach the script in one variable, which Linux limits to 128 KiB.
    """
    if not isinstance(parameters, dict) or any(not isinstance(name, str) for name in parameters):
        raise _fault("Parameters are names with values.")
    if len(parameters) > MAX_PARAMETERS:
        raise _fault(f"There are {len(parameters)} parameters; the limit is {MAX_PARAMETERS}.")
    for name, value in parameters.items():
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise _fault(f"The name of a parameter has 1 to {MAX_NAME} characters, none of them control characters.")
        if fault := first_fault(value):
            raise _fault(f"{name}: {fault[1]}")
    size = len(json.dumps(parameters))
    if size > MAX_BYTES:
        raise _fault(f"The parameters have {size:,} bytes as JSON; the limit is {MAX_BYTES:,}.")
    for name, value in parameters.items():
        if (length := len(text_of(value))) > MAX_VALUE:
            raise _fault(f"The value of {name!r} has {length:,} characters; the limit is {MAX_VALUE:,}.")
    return parameters


def _fault(message: str) -> InvalidInput:
    return InvalidInput.of("parameters", message)


def from_rows(names: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Parameters from rows; rows left empty are passed over. InvalidInput as by `check_parameters`, or names the faulty row."""
    parameters: dict[str, Any] = {}
    for number, (name, text) in enumerate(zip(names, texts, strict=False), start=1):
        name, text = name.strip(), text.strip()
        if not name and not text:
            continue
        if not name:
            raise _fault(f"Parameter {number} has a value but no name.")
        if name in parameters:
            raise _fault(f"There are two parameters {name!r}.")
        parameters[name] = value_of(text)
    return check_parameters(parameters)


def to_rows(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, text_of(value)) for name, value in parameters.items()]
