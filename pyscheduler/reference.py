"""From OpenAPI to what a page shows: sections of calls, each with its fields as flat rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_NESTING = 4
METHODS = ("get", "post", "put", "patch", "delete")
TITLES = {
    "api-keys": "API keys",
    "audit": "Audit log",
    "auth": "Log-in",
    "docs": "Description",
    "schema": "Description",
    "health": "Platform",
    "isolation": "Platform",
    "stats": "Platform",
    "version": "Platform",
}


# What people come for first; the rest follows in the schema's order.
FIRST = ("Threads", "Processes", "Schedules", "Runs", "Folders")
# The schema's generator writes each choice as a line of a list; the type says them already.
_CHOICES = re.compile(r"^\* `.*` - .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: words, or what stood between backticks."""

    text: str
    is_code: bool


Words = list[Span]


@dataclass(frozen=True, slots=True)
class Row:
    """One field: `steps.thread` for a field of each step."""

    name: str
    type: str
    required: bool
    help: Words


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent as, or comes as, one media type; `rows` is empty for what is no JSON object."""

    media_type: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    description: str
    body: Body | None


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    method: str
    path: str
    summary: str
    description: Words
    is_open: bool
    parameters: list[Row]
    bodies: list[Body]
    answers: list[Answer]
    refusals: list[Answer]


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    calls: list[Call] = field(default_factory=list)


def sections_of(schema: dict[str, Any]) -> list[Section]:
    """The calls by the first word of their path, in the schema's order."""
    sections: dict[str, Section] = {}
    for path, methods in schema["paths"].items():
        word = path.removeprefix("/api/v1/").split("/")[0]
        title = TITLES.get(word, word.capitalize())
        section = sections.setdefault(title, Section(id=title.lower().replace(" ", "-"), title=title))
        section.calls.extend(_call(schema, path, method, methods[method]) for method in METHODS if method in methods)
    return sorted(sections.values(), key=lambda section: FIRST.index(section.title) if section.title in FIRST else len(FIRST))


def _words(text: str) -> Words:
    pieces = _CHOICES.sub("", text).strip().split("`")
    return [Span(piece, bool(number % 2)) for number, piece in enumerate(pieces) if piece]


def _call(schema: dict[str, Any], path: str, method: str, described: dict[str, Any]) -> Call:
    answers = [_answer(schema, status, answer) for status, answer in described["responses"].items()]
    return Call(
        id=described["operationId"],
        method=method.upper(),
        path=path,
        summary=described.get("summary", ""),
        description=_words(described.get("description", "")),
        is_open={} in described.get("security", [{}]),
        parameters=[_parameter(schema, parameter) for parameter in described.get("parameters", [])],
        bodies=_bodies(schema, described.get("requestBody", {}).get("content", {})),
        answers=[answer for answer in answers if answer.status < "4"],
        refusals=[answer for answer in answers if answer.status >= "4"],
    )


def _parameter(schema: dict[str, Any], parameter: dict[str, Any]) -> Row:
    shape = parameter.get("schema", {})
    words = parameter.get("description") or shape.get("description", "")
    name = f"{{{parameter['name']}}}" if parameter["in"] == "path" else parameter["name"]
    return Row(name, _type(schema, shape), bool(parameter.get("required")), _words(words))


def _bodies(schema: dict[str, Any], content: dict[str, Any]) -> list[Body]:
    return [Body(media_type, list(_rows(schema, shape.get("schema", {})))) for media_type, shape in content.items()]


def _answer(schema: dict[str, Any], status: str, answer: dict[str, Any]) -> Answer:
    bodies = _bodies(schema, answer.get("content", {}))
    return Answer(status, answer.get("description", ""), bodies[0] if bodies else None)


def _rows(schema: dict[str, Any], shape: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[Row]:
    shape = _resolved(schema, shape)
    required = set(shape.get("required", []))
    for name, inner in shape.get("properties", {}).items():
        whole = _resolved(schema, inner)
        yield Row(prefix + name, _type(schema, inner), name in required, _words(whole.get("description", "")))
        below = _resolved(schema, whole["items"]) if "items" in whole else whole
        if depth < MAX_NESTING and "properties" in below:
            yield from _rows(schema, below, f"{prefix}{name}.", depth + 1)


def _resolved(schema: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """The shape with its references followed; what stands beside a reference wins."""
    parts = [shape, *shape.get("allOf", [])]
    references = [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]
    parts.extend(_resolved(schema, schema["components"]["schemas"][name]) for name in references)
    whole: dict[str, Any] = {}
    for part in reversed(parts):
        whole |= part
    return whole


def _type(schema: dict[str, Any], shape: dict[str, Any]) -> str:
    whole = _resolved(schema, shape)
    # A choice that may be null is one of several shapes; the words of all of them are what may be sent.
    choices = [choice for part in whole.get("oneOf", [whole]) for choice in _resolved(schema, part).get("enum", [])]
    if choices:
        words = " | ".join(str(choice) for choice in dict.fromkeys(choices) if choice not in (None, ""))
    elif whole.get("type") == "array":
        words = f"list of {_type(schema, whole.get('items', {}))}"
    elif whole.get("type") == "object" or "properties" in whole:
        words = "object"
    else:
        words = {"date-time": "time", "uri": "URL", "binary": "file"}.get(whole.get("format", ""), whole.get("type", "any"))
    return f"{words} or null" if whole.get("nullable") or None in choices else words
