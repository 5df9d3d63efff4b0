"""A caller of the API: by session or by key, JSON in and out."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.services import create_api_key
from tests.api.world import World, build


class Caller:
    """`call("GET", "threads")` gives the response; `ok` and `refused` give its JSON and check the status."""

    def __init__(self, **headers: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = headers

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        send = getattr(self.client, method.lower())
        options: dict[str, Any] = {"headers": self.headers | more.pop("headers", {})}
        if body is not None:
            options |= {"data": body, "content_type": "application/json"}
        return self._read(send(f"/api/v1/{path}", **options, **more))

    def raw(self, method: str, path: str, body: bytes, content_type: str) -> Any:
        """Bytes as they are."""
        return self._read(self.client.generic(method, f"/api/v1/{path}", body, content_type, headers=self.headers))

    def _read(self, response: Any) -> Any:
        response.whole = response.getvalue() if response.streaming else response.content
        # Not `close()`: that says the request has ended, and Django drops the connection of the test's own transaction.
        for close in response._resource_closers:
            close()
        return response

    def ok(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        response = self.call(method, path, body, **more)
        assert response.status_code == status, response.whole
        return response.json() if response.whole else None

    def refused(self, method: str, path: str, body: Any = None, status: int = 400, **more: Any) -> Any:
        response = self.call(method, path, body, **more)
        assert response.status_code == status, response.whole
        error = response.json()["error"]
        assert error.keys() == {"code", "message", "fields"}
        assert error["message"]
        return error


@pytest.fixture
def by_session() -> Callable[[Any], Caller]:
    def enter(user: Any) -> Caller:
        caller = Caller()
        caller.client.force_login(user)
        return caller

    return enter


@pytest.fixture
def by_key() -> Callable[..., Caller]:
    """A caller with a fresh key of the user's: `scopes` and `team` as in `create_api_key`."""

    def make(user: Any, **more: Any) -> Caller:
        _, text = create_api_key(user=user, name="Test", by=None, **more)
        return Caller(Authorization=f"Bearer {text}")

    return make


@pytest.fixture
def editor(people: Any, by_session: Any) -> Caller:
    return by_session(people.editor)


@pytest.fixture
def viewer(people: Any, by_session: Any) -> Caller:
    return by_session(people.viewer)


@pytest.fixture
def anonymous() -> Caller:
    return Caller()


@pytest.fixture
def world(people: Any) -> World:
    return build(people)
