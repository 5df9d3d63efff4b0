"""Runs in the environments of their threads."""

import shutil
import sys
from typing import Any

import pytest

from core import layout
from core.interpreter import interpreter
from history.status import Status
from tests.engine.conftest import Engine, log_of
from threads.building import build_waiting

pytestmark = pytest.mark.engine
SOURCE = "import sys\nprint(sys.prefix)\nprint(sys.executable)\n"


def test_a_script_runs_in_its_threads_environment(engine: Engine, make_thread: Any, make_run: Any) -> None:
    thread = make_thread(source=SOURCE, python_version=f"{sys.version_info[0]}.{sys.version_info[1]}")
    build_waiting()
    thread.refresh_from_db()
    run = engine.finish(make_run(thread))
    folder = layout.environment_folder(thread.environment.key)
    assert log_of(run).decode().split()[-2:] == [str(folder), str(folder / "bin" / "python")]
    assert run.status == Status.SUCCESS
    shutil.rmtree(folder)
    lost = engine.finish(make_run(thread))
    assert lost.status == Status.FAILED
    assert "is not on this host" in lost.reason


def test_a_script_that_asks_for_nothing_runs_with_the_platforms_own_python(engine: Engine, make_thread: Any, make_run: Any) -> None:
    run = engine.finish(make_run(make_thread(source=SOURCE)))
    assert log_of(run).decode().split()[-1] == interpreter()
