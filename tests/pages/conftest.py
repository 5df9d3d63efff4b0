"""Makers that only the tests of pages need."""

from collections.abc import Callable
from typing import Any

import pytest

from schedules.models import Schedule
from schedules.services import create_schedule
from tests.conftest import People

Make = Callable[..., Any]


@pytest.fixture
def make_schedule(people: People, make_thread: Make) -> Make:
    def make(name: str = "Nightly", **more: Any) -> Schedule:
        values = {"team": people.team, "user": people.editor, "kind": "cron", "cron": "0 7 * * *", "target": None, **more}
        values["target"] = values["target"] or make_thread(f"Target of {name}")
        return create_schedule(name=name, **values)

    return make
