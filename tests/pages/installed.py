"""An installation with a real browser before it: who is logged in there, and how things come into it."""

import json
from typing import Any

import pytest

from tests import browser
from tests.installation import Installation

MARKS = [pytest.mark.browser, pytest.mark.skipif(browser.CHROMIUM is None, reason="There is no Chromium here.")]
SCRIPT = "print('hello')\n"


def log_in(place: Installation, page: Any, role: str = "editor") -> None:
    cookie = {"name": "sessionid", "value": place.people[role]["session"], "url": f"http://127.0.0.1:{place.port}"}
    page.context.add_cookies([cookie])


def api(place: Installation, method: str, path: str, **body: Any) -> Any:
    headers = place.key("editor") | {"Content-Type": "application/json"}
    status, _, answer = place.request(method, f"/api/v1/{path}", json.dumps(body) if body else None, headers)
    assert status < 400, answer
    return json.loads(answer)


def new_thread(place: Installation, name: str, source: str = SCRIPT) -> int:
    return int(api(place, "POST", "threads", name=name, source=source)["id"])
