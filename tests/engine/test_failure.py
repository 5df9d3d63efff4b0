"""What the record keeps of why a real script failed."""

from collections.abc import Callable
from typing import Any

import pytest

from history.status import Status
from processes.models import OnFailure
from processes.services import StepPlan, create_process
from tests.conftest import People
from tests.engine.conftest import Engine

pytestmark = pytest.mark.engine

Make = Callable[..., Any]
BAD = "def parse(rows):\n    raise ValueError(f'no rows in {rows}')\n\nparse(3)\n"


def test_a_script_that_raises_keeps_its_exception_and_line(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Bad", BAD)))
    assert (run.status, run.reason) == (Status.FAILED, "Exit code 1. ValueError: no rows in 3")
    failure = run.steps.get().failure
    assert (failure["kind"], failure["exception"], failure["message"]) == ("exception", "ValueError", "no rows in 3")
    assert (failure["file"], failure["line"], failure["function"]) == ("main.py", 2, "parse")
    assert [frame["line"] for frame in failure["frames"]] == [4, 2]
    assert run.failure_signature == failure["signature"] != ""


def test_a_good_run_keeps_nothing_of_failures(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Good", "print('Traceback (most recent call last):')\n")))
    assert (run.status, run.failure_signature, run.steps.get().failure) == (Status.SUCCESS, "", {})


def test_steps_of_a_process_are_told_apart(engine: Engine, people: People, make_thread: Make, make_run: Make) -> None:
    bad, quiet = make_thread("Bad", BAD), make_thread("Quiet", "import sys\nsys.exit(4)\n")
    missing = make_thread("Missing", "import nowhere_to_be_found\n")
    steps = [
        StepPlan(thread=bad, stage=1, on_failure=OnFailure.CONTINUE),
        StepPlan(thread=quiet, stage=2, on_failure=OnFailure.CONTINUE),
        StepPlan(thread=missing, stage=3),
        StepPlan(thread=bad, stage=3, on_failure=OnFailure.CONTINUE),
    ]
    run = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Mixed", steps=steps)))
    first, second, third, fourth = run.steps.order_by("position")
    assert (first.failure["kind"], second.failure["kind"]) == ("exception", "exit_code")
    assert (third.failure["kind"], third.failure["module"]) == ("missing_module", "nowhere_to_be_found")
    assert fourth.failure["signature"] == first.failure["signature"]
    assert (run.status, run.failure_signature) == (Status.FAILED, third.failure["signature"])


def test_a_killed_script_is_said_to_be_killed(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Crash", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")))
    failure = run.steps.get().failure
    assert (failure["kind"], failure["exception"]) == ("signal", "SIGSEGV")


def test_a_deep_recursion_is_found_in_its_long_traceback(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = "def even(n):\n    return odd(n)\n\ndef odd(n):\n    return even(n)\n\neven(0)\n"
    failure = engine.finish(make_run(make_thread("Deep", source))).steps.get().failure
    assert (failure["exception"], failure["file"]) == ("RecursionError", "main.py")
    assert len(failure["frames"]) == 5


def test_a_start_that_fails_says_so(engine: Engine, make_thread: Make, make_run: Make) -> None:
    thread = make_thread("Gone")
    run = make_run(thread)
    run.steps.update(version=None)
    run = engine.finish(run)
    assert (run.status, run.steps.get().failure["kind"]) == (Status.FAILED, "start")
    assert "version was deleted" in run.steps.get().failure["message"]
