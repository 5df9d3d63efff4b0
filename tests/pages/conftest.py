"""Makers that only the tests of pages need, and an installation to meet with a browser."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schedules.models import Schedule
from schedules.services import create_schedule
from tests import browser
from tests.conftest import People
from tests.installation import Installation
from tests.pages.installed import log_in

Make = Callable[..., Any]


@pytest.fixture
def make_schedule(people: People, make_thread: Make) -> Make:
    def make(name: str = "Nightly", **more: Any) -> Schedule:
        values = {"team": people.team, "user": people.editor, "kind": "cron", "cron": "0 7 * * *", "target": None, **more}
        values["target"] = values["target"] or make_thread(f"Target of {name}")
        return create_schedule(name=name, **values)

    return make


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    made = Installation()
    yield made
    made.close()


@pytest.fixture
def page(place: Installation) -> Iterator[Any]:
    """An editor's page; it must end without a complaint in its console."""
    with browser.opened(
        viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo", base_url=f"http://127.0.0.1:{place.port}"
    ) as page:
        log_in(place, page)
        faults = browser.faults_of(page)
        yield page
        refused = "the server responded with a status of"
        assert [fault for fault in faults if refused not in fault] == []
