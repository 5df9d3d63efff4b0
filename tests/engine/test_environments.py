"""Runs in the environments of their threads."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from core import layout
from core.interpreter import interpreter
from environments.models import BuildStatus, Environment, EnvironmentBuild
from history.models import Run
from history.services import request_stop
from history.status import Status
from history.why_waiting import tell_why
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


@pytest.fixture
def lacking(make_thread: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A thread with an environment that another host built: this one lacks it. The test plays the builder too."""
    monkeypatch.setattr("threads.building.start_builder", lambda: None)
    thread = make_thread(source=SOURCE, python_version=f"{sys.version_info[0]}.{sys.version_info[1]}")
    build_waiting()
    thread.refresh_from_db()
    shutil.rmtree(layout.environments_folder())
    return thread


def look_until(engine: Engine, condition: Callable[[], bool]) -> None:
    def looked() -> bool:
        engine.look()
        return condition()

    engine.until(looked)


def told_to_wait(run: Run) -> str:
    run.refresh_from_db()
    tell_why([run])
    return run.waiting_reason


def test_a_run_waits_while_its_host_builds_the_environment_that_another_host_built(engine: Engine, lacking: Any, make_run: Any) -> None:
    runs = [make_run(lacking) for _ in range(3)]
    words = "Its Python environment is being built on host testhost."
    engine.until(lambda: all(told_to_wait(run) == words for run in runs))
    [build] = EnvironmentBuild.objects.filter(status=BuildStatus.QUEUED)
    assert (build.only_host, build.environment) == ("testhost", lacking.environment)
    assert engine.finish(make_run()).status == Status.SUCCESS  # They take up no place.
    time.sleep(2.1)
    engine.look()
    assert [told_to_wait(run) for run in runs] == [words] * 3
    build_waiting()
    look_until(engine, lambda: Run.objects.filter(status=Status.SUCCESS).count() == 4)
    steps = [run.steps.get() for run in runs]
    assert [(step.attempt, step.earlier_attempts, step.reason) for step in steps] == [(1, [], "")] * 3


def test_a_run_fails_in_words_when_its_host_cannot_build_the_environment(engine: Engine, lacking: Any, make_run: Any) -> None:
    Environment.objects.update(python_version="3.99.1")
    run = make_run(lacking)
    engine.until(lambda: told_to_wait(run) != "" and EnvironmentBuild.objects.filter(status=BuildStatus.QUEUED).exists())
    build_waiting()
    look_until(engine, lambda: Run.objects.get(pk=run.pk).is_final)
    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert "cannot be built on host testhost: There is no Python 3.99.1" in run.reason
    again = make_run(lacking)
    again.steps.update(environment_key="0" * 64)
    gone = engine.finish(again)
    assert "is known no more" in gone.reason


def test_a_run_that_waits_for_its_environment_can_be_stopped(engine: Engine, lacking: Any, make_run: Any, people: Any) -> None:
    run = make_run(lacking)
    engine.until(lambda: "is being built" in told_to_wait(run))
    request_stop(run=run, user=people.runner)
    assert engine.finish(run).status == Status.STOPPED


def test_a_script_that_asks_for_nothing_runs_with_the_platforms_own_python(engine: Engine, make_thread: Any, make_run: Any) -> None:
    run = engine.finish(make_run(make_thread(source=SOURCE)))
    assert log_of(run).decode().split()[-1] == interpreter()
