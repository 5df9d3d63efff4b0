"""A real installation for the tests of the streams, and what they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, Listening

PRELUDE = """
from events import stream
stream.RECHECK_SECONDS = 1.0
stream.HEARTBEAT_SECONDS = 2.0
"""


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    made = Installation(PRELUDE)
    yield made
    made.close()


@pytest.fixture
def site(installation: Installation) -> Iterator[Installation]:
    """With a web server that runs; a test may end it."""
    if installation.web.poll() is not None:
        installation.start_web()
    yield installation
    Listening.close_all()


@pytest.fixture
def run(site: Installation) -> int:
    """A queued run."""
    return int(site.tell("new_run", user_id=site.people["owner"]["id"], team_id=site.team))


@pytest.fixture
def log(site: Installation, run: int) -> Path:
    """Where the log of that run, which runs now, will be."""
    site.tell("start_run", run_id=run)
    return site.control(run) / "log"
