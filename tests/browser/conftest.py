"""A platform started by `manage.py up`, and Chromium to meet it with: one of each per module."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import browser, machine
from tests.browser.visitor import DESKTOP, Visitor
from tests.platform import Platform, platform


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if browser.CHROMIUM is None:
        machine.lacks("Chromium")
    with browser.launched() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The running platform, its demo content included."""
    with platform(tmp_path_factory.mktemp("site")) as running:
        running.up()
        yield running


@pytest.fixture(scope="module")
def session(chromium: Any, site: Platform) -> Any:
    """The cookies of the administrator, who has logged in by the form."""
    visitor = Visitor(chromium, site, None, DESKTOP)
    visitor.log_in()
    state = visitor.context.storage_state()
    visitor.close()
    return state


@pytest.fixture
def visit(chromium: Any, site: Platform, session: Any) -> Iterator[Callable[..., Visitor]]:
    """Opens a browser's window of a person who is logged in; in the end no window has found a fault."""
    with ExitStack() as stack:

        def make(width: int = DESKTOP, **options: Any) -> Visitor:
            visitor = Visitor(chromium, site, options.pop("storage_state", session), width, **options)
            stack.callback(visitor.close)
            visitors.append(visitor)
            return visitor

        visitors: list[Visitor] = []
        yield make
        assert [fault for visitor in visitors for fault in visitor.faults] == []


@pytest.fixture(scope="session")
def pictures() -> Path:
    folder = Path(__file__).resolve().parents[2] / "test-output" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
