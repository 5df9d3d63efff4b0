"""No input gives a 500: nasty values for every field of every body, every query parameter and every part of an address."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from pyscheduler.docs import schema
from tests.api.conftest import Caller
from tests.api.test_permissions import undone
from tests.api.world import CALLS, Call, World

# As JSON texts: what no Python value could say (half a surrogate pair, a number beyond all floats) is among them.
NASTY = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "9223372036854775807",
    "9223372036854775808",
    "1" + "0" * 40,
    "1" + "0" * 1100,
    "1" + "0" * 5000,
    '""',
    '" "',
    '"x"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udfff x"',
    '"../../etc"',
    '"天气"',
    '"😀"',
    '"' + "x" * 300 + '"',
    '"' + "x" * 100_000 + '"',
    "[]",
    "[null]",
    '["\\ud800"]',
    "[[]]",
    "{}",
    '{"a": null}',
    '{"\\u0000": 1}',
    '{"a": "\\u0000"}',
    '{"a": 1e999}',
    '{"\\ud800": 1}',
    '{"": 1}',
    "[" * 50 + "]" * 50,
    '{"a":' * 30 + "1" + "}" * 30,
    '"0000-00-00T00:00:00Z"',
    '"0001-01-01T00:00:00+14:00"',
    '"9999-12-31T23:59:59-14:00"',
    '"2026-13-45"',
    '"61 * * * *"',
    '"0 0 31 2 *"',
    '"Mars/Olympus"',
    '"\\u202e"',
    '"<script>"',
    "' OR 1=1",
]
WHOLE = [*NASTY, "", "{", '{"a": 1', "\ufeff{}", '{"a": 1}{', "[" * 100_000, '{"a":' * 100_000, '{"bogus": 1}']
QUERY = [
    "",
    "\0",
    "%00",
    "x" * 5000,
    "-1",
    "0",
    "1",
    "9" * 30,
    "9" * 5000,
    "1e400",
    "NaN",
    "[]",
    "null",
    "天",
    "b",
    "b1",
    "a0",
    "b" + "9" * 18,
    "²",
    "٣",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "failed,lost",
    "failed,,",
    "#1",
    "#²",
    "#" + "9" * 18,
    "true",
]
WITH_BODY = [call for call in CALLS if call.body is not None]


@pytest.fixture
def owner(people: Any, world: World, by_key: Any) -> Caller:
    return by_key(people.operator)


def _send(caller: Caller, method: str, path: str, text: str | bytes, content_type: str = "application/json") -> Any:
    with undone():
        return caller.raw(method, path, text.encode() if isinstance(text, str) else text, content_type)


def _check(response: Any, what: Any) -> None:
    """An answer, or a refusal in the one form; and never ours to blame."""
    assert response.status_code < 500, (what, response.whole[:500])
    if response.status_code >= 400:
        error = json.loads(response.whole)["error"]
        assert error.keys() == {"code", "message", "fields"}, what
        assert error["message"], what


def _with(body: Any, path: tuple[Any, ...]) -> tuple[Any, str]:
    """A copy of the body with a mark at the path, and the mark."""
    mark = "@@here@@"
    copy = json.loads(json.dumps(body))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = mark
    return copy, f'"{mark}"'


def _paths(body: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [path for name, inner in items for path in [(*prefix, name), *_paths(inner, (*prefix, name))]]


def _all_fields(call: Call) -> set[str]:
    """The fields that the schema names for the call's body."""
    path = "/api/v1/" + call.path.replace("versions/1", "versions/{number}").replace("/free/", "/{safe_name}/").replace(
        "/nightly/", "/{safe_name}/"
    )
    for name in ("team", "folder", "thread", "process", "schedule", "run", "key", "member"):
        path = path.replace(f"{{{name}}}", "{id}")
    for known, methods in schema()["paths"].items():
        if known.replace("{pk}", "{id}") == path and "requestBody" in methods.get(call.method.lower(), {}):
            reference = methods[call.method.lower()]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            return set(schema()["components"]["schemas"][reference.rpartition("/")[2]].get("properties", {}))
    return set()


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
def test_no_value_of_any_field_is_a_500(call: Call, owner: Caller, world: World) -> None:
    body = world.body(call) | {name: None for name in _all_fields(call) if name not in (call.body or {})}
    for path in _paths(body):
        template, mark = _with(world.body(call) if path[0] in (call.body or {}) else body, path)
        for value in NASTY:
            text = json.dumps(template).replace(mark, value)
            _check(_send(owner, call.method, world.path(call), text), (path, value[:60]))


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
def test_no_whole_body_is_a_500(call: Call, owner: Caller, world: World) -> None:
    for text in WHOLE:
        _check(_send(owner, call.method, world.path(call), text), text[:60])
    for raw in (b"\xff\xfe{}", b'{"name": "\xff"}', b"\0", b"\x1f\x8b\x08"):
        _check(_send(owner, call.method, world.path(call), raw), raw)
    assert _send(owner, call.method, world.path(call), "{", "application/json").status_code == 400
    for kind in (
        "text/plain",
        "application/xml",
        "application/json; charset=utf-99",
        "nonsense",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ):
        _check(_send(owner, call.method, world.path(call), "name=a&name=b&source=%00", kind), kind)
    assert _send(owner, call.method, world.path(call), "<a/>", "application/xml").status_code == 415


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
def test_a_field_that_nobody_knows_is_refused_by_name(call: Call, owner: Caller, world: World) -> None:
    response = _send(owner, call.method, world.path(call), json.dumps(world.body(call) | {"bogus": 1}))
    assert response.status_code == 400
    assert response.json()["error"]["fields"]["bogus"] == ["There is no such field."]


@pytest.mark.parametrize("call", [call for call in CALLS if call.method == "GET"], ids=str)
def test_no_query_is_a_500(call: Call, owner: Caller, world: World) -> None:
    path = world.path(call)
    names = {"cursor", "limit", "bogus", "format"} | _query_names(call)
    for name in sorted(names - {"wait"}):
        for value in QUERY:
            with undone():
                _check(owner.call("GET", path, query_params={name: value}), (name, value[:60]))
    for raw in ("?%ff=%ff", "?%00", "?limit=1&limit=2", "?cursor=b1&cursor=a1", "?=&=&&", "?wait=x", "?wait=-1", "?limit=%ff"):
        with undone():
            _check(owner.call("GET", path + raw), raw)


def _query_names(call: Call) -> set[str]:
    for known, methods in schema()["paths"].items():
        if known.rstrip("}").split("{")[0] == ("/api/v1/" + call.path).split("{")[0] and "get" in methods:
            return {parameter["name"] for parameter in methods["get"].get("parameters", []) if parameter["in"] == "query"}
    return set()


@pytest.mark.parametrize("call", [call for call in CALLS if "{" in call.path], ids=str)
def test_no_address_is_a_500(call: Call, owner: Caller, world: World) -> None:
    for value in ("0", "-1", "abc", "9223372036854775808", "9" * 40, "9" * 5000, "%00", "%ff", "..", "1.0", "²", "1%0a"):
        path = call.path.replace(call.path[call.path.index("{") : call.path.index("}") + 1], value)
        with undone():
            response = owner.call(call.method, path.format(**world.ids), world.body(call))
            _check(response, value)
            assert response.status_code == 404, value


@pytest.mark.parametrize(
    "path", ["../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "out", "out/", "/etc/passwd", "a%00b", "%ff", "x" * 3000, "out//table.csv"]
)
def test_no_path_leads_out_of_a_run(path: str, owner: Caller, world: World) -> None:
    assert owner.call("GET", f"runs/{world.ids['run']}/files/{path}").status_code == 404


@pytest.mark.parametrize(
    ("files", "field", "status"),
    [
        ({"script": SimpleUploadedFile("a.py", b"\xff\xfe")}, "script", 400),
        ({"script": SimpleUploadedFile("a.py", b"")}, "script", 400),
        ({"script": SimpleUploadedFile("a.py", b"if:\n")}, "script", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1\0")}, "script", 400),
        ({"script": SimpleUploadedFile("a.exe", b"MZ")}, "script", 415),
        ({"script": SimpleUploadedFile("a.py", b"#" * 1_048_577)}, "script", 413),
        ({"script": SimpleUploadedFile("x" * 200 + ".py", b"a = 1"), "name": "Long"}, "script", 400),
        ({"script": SimpleUploadedFile("!!!.py", b"a = 1")}, "name", 400),
        ({"script": "no file"}, "script", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "source": "a = 2"}, "source", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "input_file": SimpleUploadedFile("a.csv", b"a,b\n1\n")}, "input_file", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "files": SimpleUploadedFile("a.py", b"b = 1")}, "files", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "files": SimpleUploadedFile("a.so", b"b = 1")}, "files", 415),
        (
            {"script": SimpleUploadedFile("a.py", b"a = 1"), "files": [SimpleUploadedFile(f"{n}.txt", b"x") for n in range(21)]},
            "files",
            400,
        ),
        ({"input_file": SimpleUploadedFile("a.csv", b"a\n1\n")}, "name", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "folder": "x"}, "folder", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "name": "\0"}, "name", 400),
        ({"script": SimpleUploadedFile("a.py", b"a = 1"), "bogus": "1"}, "bogus", 400),
    ],
)
def test_a_bad_upload_is_refused_by_its_field(files: dict[str, Any], field: str, status: int, owner: Caller) -> None:
    response = owner.client.post("/api/v1/threads", {"team": "weather", **files}, headers=owner.headers)
    assert response.status_code == status, response.content
    assert response.json()["error"]["fields"][field]


def test_a_body_that_is_too_large_is_a_413(owner: Caller) -> None:
    assert owner.refused("POST", "threads", {"name": "x", "source": "#" * 9_000_000}, status=413)["code"] == "too_large"
    assert owner.refused("POST", "threads", {"team": "weather", "name": "x", "source": "#" * 1_048_577}, status=413)["fields"]["source"]


def test_too_many_form_fields_are_refused_in_the_apis_form(owner: Caller) -> None:
    response = owner.raw("POST", "threads", b"&".join(b"a%d=1" % n for n in range(2000)), "application/x-www-form-urlencoded")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_a_method_that_is_not_there_is_a_405(method: str, owner: Caller) -> None:
    assert owner.refused(method, "stats", {}, status=405)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["", "nothing", "threads/", "threads/1/nothing", "runs/compare", "%00"])
def test_what_is_not_there_is_told_in_json(path: str, owner: Caller, anonymous: Caller) -> None:
    assert owner.refused("GET", path, status=404)["code"] == "not_found"
    assert anonymous.refused("POST", path, {}, status=404)["code"] == "not_found"
