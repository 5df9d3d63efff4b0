"""Large bodies cost little, and what is wrong with them is said in few words."""

import json
import tracemalloc
from typing import Any

import pytest

from core.errors import InvalidInput
from core.names import clean_name
from tests.api.conftest import Caller
from tests.api.world import World

JSON = "application/json"
UNKNOWN = json.dumps({f"n{number}": 1 for number in range(500_000)}).encode()
TEXTS = b'{"name": [' + b'"",' * 2_000_000 + b'""]}'


@pytest.mark.parametrize("body", [UNKNOWN, TEXTS, b"[" + b"[]," * 2_000_000 + b"[]]"], ids=["names", "texts", "lists"])
def test_a_body_of_very_many_values_is_refused_before_it_is_read(editor: Caller, body: bytes) -> None:
    tracemalloc.start()
    response = editor.raw("POST", "schedules/preview", body, JSON)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.status_code == 413
    assert response.json()["error"]["message"] == "The body has more than 20,000 values."
    assert peak < 5 * len(body), "copies of the bytes, no values"


def test_commas_in_a_script_are_no_values(editor: Caller) -> None:
    source = "x = [" + "1," * 30_000 + ']\n# "[{,\\\n'
    made = editor.ok("POST", "threads", {"name": "Numbers", "source": source}, status=201)
    assert made["source"] == source


def test_of_many_faults_the_first_twenty_are_told(editor: Caller) -> None:
    body = {f"n{number}": 1 for number in range(15_000)} | {"n" * 100_000: 1}
    response = editor.raw("POST", "schedules/preview", json.dumps(body).encode(), JSON)
    assert response.status_code == 400
    assert 20 <= len(response.json()["error"]["fields"]) <= 20
    assert len(response.whole) < 5000


def test_a_long_name_is_not_sent_back_whole(editor: Caller) -> None:
    response = editor.raw("POST", "schedules/preview", json.dumps({"n" * 1_000_000: 1}).encode(), JSON)
    assert response.status_code == 400
    assert len(response.whole) < 5000


def test_faults_of_a_list_are_told_for_its_first_items(editor: Caller, world: World) -> None:
    steps = [{"thread": "x", "bogus": 1} for _ in range(100)]
    error = editor.refused("POST", "processes", {"name": "Many", "steps": steps})
    assert len(error["fields"]) == 20
    assert {"steps.0.thread", "steps.0.bogus"} <= error["fields"].keys()


def test_a_list_that_is_too_long_is_refused_for_its_length_alone(editor: Caller) -> None:
    error = editor.refused("POST", "processes", {"name": "Many", "steps": [{"thread": "x"}] * 5000})
    assert error["fields"] == {"steps": ["Ensure this field has no more than 100 elements."]}


def test_a_log_in_is_small(anonymous: Caller, people: Any) -> None:
    error = anonymous.refused("POST", "auth/login", {"username": "owner", "password": "x" * 20_000}, status=413)
    assert error["code"] == "too_large"


@pytest.mark.parametrize("name", ["abc\u202egpj.exe", "a\u2066b\u2069", "a\u200bb", "a\ufeffb", "soft\u00adhyphen", "a\x07b"])
def test_a_name_that_reads_as_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="control characters"):
        clean_name(name)


@pytest.mark.parametrize("name", ["Family 👨‍👩‍👧 1", "می‌خواهم", "क्‍ष"])
def test_joiners_that_a_script_needs_stay(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST", "DELETE", "HEAD"])
def test_an_unknown_call_is_not_found_by_any_method(anonymous: Caller, method: str) -> None:
    response = anonymous.call(method, "nosuch")
    assert response.status_code == 404
    assert response["Content-Type"] == JSON
    if method != "HEAD":
        assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["health", "threads", "nosuch"])
def test_a_foreign_host_is_refused_in_the_form_of_the_api(anonymous: Caller, path: str) -> None:
    error = anonymous.refused("GET", path, status=400, headers={"Host": "evil.example"})
    assert error["code"] == "invalid"
