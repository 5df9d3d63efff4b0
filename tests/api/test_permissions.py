"""Every address of the API × everybody who may come to it. An address that `world.CALLS` does not list fails the first test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.urls import resolve

from accounts.roles import RANKS, Role, Scope
from pyscheduler.api import urlpatterns
from tests.api.conftest import Caller
from tests.api.world import ALL, CALLS, OPEN, SPECIAL, VIEWER, Call, World

METHODS = ("get", "post", "put", "patch", "delete")
ROLES = [role.value for role in Role]


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_every_address_and_method_is_listed() -> None:
    there = {
        (method.upper(), str(pattern.pattern))
        for pattern in urlpatterns[:-1]
        for method in METHODS
        if hasattr(pattern.callback.cls, method)
    }
    listed = {(call.method, resolve(f"/api/v1/{_filled(call)}").route.removeprefix("api/v1/")) for call in CALLS}
    assert there == listed


def _filled(call: Call) -> str:
    return call.path.format(
        **dict.fromkeys(("team", "folder", "thread", "process", "schedule", "run", "key", "member", "variable", "environment", "pause"), 1)
    )


def _expected(call: Call, role: str) -> int:
    """What a member is told; an operator is told what an owner is."""
    if call.needs in (ALL, OPEN) or RANKS[Role(role)] >= RANKS[Role(call.needs)]:
        return call.status
    return 403


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_each_call_serves_whom_it_should(call: Call, people: Any, world: World, by_key: Any, anonymous: Caller) -> None:
    path, body = world.path(call), world.body(call)
    with undone():
        assert anonymous.call(call.method, path, body).status_code == (call.status if call.needs == OPEN else 401)
    if call.needs == SPECIAL:
        return
    expected = {role: _expected(call, role) for role in ROLES}
    expected["operator"] = call.status
    expected["stranger"] = call.status if call.needs in (ALL, OPEN) else call.stranger
    for name, status in expected.items():
        with undone():
            response = by_key(people.named(name)).call(call.method, path, body)
            assert response.status_code == status, (name, response.whole[:300])


@pytest.mark.parametrize("call", [call for call in CALLS if isinstance(call.needs, Role)], ids=str)
def test_a_keys_scope_is_its_ceiling(call: Call, people: Any, world: World, by_key: Any) -> None:
    for scope, role in zip(Scope.values, ROLES, strict=True):
        with undone():
            response = by_key(people.owner, scopes=[scope]).call(call.method, world.path(call), world.body(call))
            assert response.status_code == _expected(call, role), scope


@pytest.mark.parametrize("call", [call for call in CALLS if isinstance(call.needs, Role)], ids=str)
def test_a_teams_key_opens_no_other_team(call: Call, people: Any, world: World, by_key: Any) -> None:
    """Not even an operator's."""
    elsewhere = by_key(people.operator, team=people.other_team)
    with undone():
        assert elsewhere.call(call.method, world.path(call), world.body(call)).status_code == call.stranger


@pytest.mark.parametrize("path", ["teams", "members", "folders", "threads", "variables", "processes", "schedules", "runs", "api-keys"])
def test_a_strangers_lists_have_nothing_of_others(path: str, people: Any, world: World, by_session: Any) -> None:
    stranger = by_session(people.stranger).ok("GET", path)["results"]
    assert {row.get("team", row.get("slug")) for row in stranger} <= {"elsewhere"}
    assert by_session(people.owner).ok("GET", path)["results"]
    assert by_session(people.operator).ok("GET", path)["results"]


def test_figures_count_what_one_may_see(people: Any, world: World, by_session: Any) -> None:
    assert by_session(people.stranger).ok("GET", "stats")["runs"]["started"] == 0
    seen = by_session(people.viewer).ok("GET", "stats")
    assert (seen["threads"], seen["processes"], seen["schedules"], seen["runs"]["queued"]) == (2, 1, 1, 1)


def test_the_audit_log_is_the_owners(people: Any, world: World, by_key: Any) -> None:
    for name in ("viewer", "runner", "editor"):
        by_key(people.named(name)).refused("GET", "audit", status=403)
    lines = by_key(people.owner).ok("GET", "audit?limit=200")["results"]
    assert {"created", "started"} <= {line["verb"] for line in lines}
    assert {line["team"] for line in lines} == {"weather"}
    assert {line["team"] for line in by_key(people.stranger).ok("GET", "audit")["results"]} == {"elsewhere"}
    assert "elsewhere" in {line["team"] for line in by_key(people.operator).ok("GET", "audit?limit=200")["results"]}
    by_key(people.owner, scopes=["write"]).refused("GET", "audit", status=403)


def test_a_key_is_seen_and_ended_by_its_person_and_the_owners(people: Any, world: World, by_key: Any) -> None:
    path = f"api-keys/{world.ids['key']}"
    for name in ("stranger", "viewer", "editor"):
        by_key(people.named(name)).refused("GET", path, status=404)
        by_key(people.named(name)).refused("DELETE", path, status=404)
    for name in ("runner", "owner", "operator"):
        with undone():
            assert "key" not in by_key(people.named(name)).ok("GET", path)
            by_key(people.named(name)).ok("DELETE", path, status=204)
    by_key(people.runner, scopes=["run"]).refused("DELETE", path, status=403)


def test_a_session_does_not_trigger(people: Any, world: World, by_session: Any) -> None:
    by_session(people.owner).refused("GET", "threads/free/trigger", status=401)


def test_a_viewer_is_told_what_is_missing(people: Any, world: World, by_session: Any) -> None:
    error = by_session(people.viewer).refused("POST", f"threads/{world.ids['thread']}/run", {}, status=403)
    assert "Runner" in error["message"]
    assert VIEWER.label in error["message"]
