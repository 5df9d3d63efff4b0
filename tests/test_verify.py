"""`manage.py verify`: what it says when a part is missing, and that it leaves nothing behind. (`engine/test_services.py` has it pass.)"""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.platform import Platform, platform

pytestmark = pytest.mark.engine
COUNT = (
    "from threads.models import Thread; from processes.models import Process; from schedules.models import Schedule;"
    "from history.models import Run; from accounts.models import ApiKey, Team;"
    "print([model.objects.count() for model in (Thread, Process, Schedule, Run, ApiKey, Team)])"
)
CLEAN = ("[0, 0, 0, 0, 0, 1]", [])


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[Platform]:
    """A platform that is not started yet, on the database that the tests are run on."""
    environment = {}
    if os.environ.get("PYSCHED_TEST_DATABASE") == "postgres":
        server, name = os.environ["PYSCHED_DATABASE_URL"], f"verify_{os.getpid()}_{tmp_path.name}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        environment["PYSCHED_DATABASE_URL"] = f"{server.rsplit('/', 1)[0]}/{name}"
    with platform(tmp_path, environment) as made:
        yield made


def left(handle: Platform) -> tuple[str, list[Path]]:
    """What the installation has of threads, processes, schedules, runs, keys and teams, and of files."""
    counts = handle.manage("shell", "--no-imports", "-c", COUNT).strip()
    folders = [handle.folder / name for name in ("media/process_runs", "control", "code")]
    return counts, [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def refusal(handle: Platform, *options: str) -> str:
    """What a check that fails says."""
    with open(handle.folder / "verify.out", "wb"):
        assert handle.start("verify", *options).wait(180) == 1
    return handle.output("verify")


def test_it_leaves_nothing_behind(handle):
    handle.start("up", "--no-demo")
    handle.until(handle._answers)
    said = handle.manage("verify")
    for seen in ("ended as success", "run.log holds", "proof.txt holds", "The log over the API holds", "Removed what was made"):
        assert seen in said
    assert left(handle) == CLEAN


def test_it_names_the_part_that_is_missing(handle):
    handle.manage("migrate", "--verbosity", "0")
    assert "no administrator yet" in refusal(handle)
    handle.manage("prepare", "--no-demo")
    assert "nothing answers at" in refusal(handle)
    handle.start("web")
    handle.until(handle._answers)
    assert "is the scheduler running?" in refusal(handle, "--timeout", "1")
    handle.start("scheduler")
    assert "are workers running?" in refusal(handle, "--timeout", "4")
    assert left(handle) == CLEAN
