"""Another attempt at a run that failed, on real parts."""

from collections.abc import Callable
from typing import Any

import pytest

from core.errors import Conflict
from history.models import Run
from history.retrying import RetryFrom, can_resume, retry_run
from history.services import request_stop
from history.status import Status
from processes.models import OnFailure
from processes.services import StepPlan, create_process
from tests.conftest import People
from tests.engine.conftest import Engine, directory_of
from threads.services import change_thread

pytestmark = pytest.mark.engine

Make = Callable[..., Any]

FIRST = """
import os, threadkit
open("table.csv", "a").write("row")
os.makedirs("deep", exist_ok=True)
open("deep/more.txt", "w").write("kept")
threadkit.output("rows", 3)
"""
SECOND = """
import sys
print(open("table.csv").read(), open("deep/more.txt").read(), sys.argv[1:])
open("table.csv", "a").write("+")
sys.exit({code})
"""


@pytest.fixture
def failed(engine: Engine, make_thread: Make, make_run: Make, people: People) -> Run:
    """A process whose second step has failed after the first left files and an output."""
    steps = [
        StepPlan(make_thread("First", FIRST), 1),
        StepPlan(make_thread("Second", SECOND.format(code=5)), 2, parameters={"rows": "{{steps.first.outputs.rows}}"}),
    ]
    run = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Two", steps=steps)))
    assert run.status == Status.FAILED
    return run


def test_from_the_failed_step_those_that_succeeded_are_not_run_again(engine: Engine, failed: Run, people: People) -> None:
    change_thread(thread=failed.steps.get(position=2).thread, user=people.editor, source=SECOND.format(code=0))
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    first, second = again.steps.all()
    assert (again.status, again.attempt, again.retry_of_id) == (Status.SUCCESS, 2, failed.pk)
    assert (first.status, first.reason) == (Status.SUCCESS, f"Done in run #{failed.number}.")
    assert (second.status, second.version_number) == (Status.SUCCESS, 2)
    assert (directory_of(again) / "run.log").read_text().splitlines()[1] == "row+ kept ['--rows=3']"
    assert (directory_of(again) / "table.csv").read_text() == "row++"
    assert sorted(again.artifacts.values_list("path", flat=True)) == ["deep/more.txt", "table.csv"]


def test_the_earlier_run_and_its_files_stay_as_they_were(engine: Engine, failed: Run, people: People) -> None:
    before = Run.objects.filter(pk=failed.pk).values().get()
    engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    assert Run.objects.filter(pk=failed.pk).values().get() == before
    assert (directory_of(failed) / "table.csv").read_text() == "row+"


def test_from_the_start_every_step_runs_again(engine: Engine, failed: Run, people: People) -> None:
    again = engine.finish(retry_run(run=failed, user=people.runner))
    assert (again.attempt, [step.status for step in again.steps.all()]) == (2, [Status.SUCCESS, Status.FAILED])
    assert (directory_of(again) / "table.csv").read_text() == "row+"


def test_a_rescue_looks_after_each_failure_anew(engine: Engine, make_thread: Make, make_run: Make, people: People) -> None:
    fails, rescue = make_thread("Fails", "raise SystemExit(5)"), make_thread("Rescue", "print('rescued')")
    steps = [StepPlan(fails, 1), StepPlan(rescue, 2, on_failure=OnFailure.RESCUE)]
    first = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Looked after", steps=steps)))
    assert not can_resume(first, list(first.steps.all()))
    second = engine.finish(retry_run(run=first, user=people.runner, since=RetryFrom.FAILED))
    rescued = second.steps.get(position=2)
    assert (rescued.status, rescued.reason, rescued.earlier_attempts) == (Status.SUCCESS, "", [])
    assert "rescued" in (directory_of(second) / "run.log").read_text()
    change_thread(thread=fails, user=people.editor, source="print('well')")
    third = engine.finish(retry_run(run=second, user=people.runner, since=RetryFrom.FAILED))
    assert (third.status, third.steps.get(position=2).status) == (Status.SUCCESS, Status.SKIPPED)


def test_a_stopped_run_can_be_tried_again(engine: Engine, make_thread: Make, make_run: Make, people: People) -> None:
    run = make_run(make_thread("Once", "print(1)"))
    run = request_stop(run=run, user=people.runner)
    assert engine.finish(retry_run(run=run, user=people.runner, since=RetryFrom.FAILED)).status == Status.SUCCESS


def test_what_goes_on_or_succeeded_is_not_tried_again(engine: Engine, make_thread: Make, make_run: Make, people: People) -> None:
    run = make_run(make_thread("Once", "print(1)"))
    with pytest.raises(Conflict, match="not ended"):
        retry_run(run=run, user=people.runner)
    with pytest.raises(Conflict, match="did not fail"):
        retry_run(run=engine.finish(run), user=people.runner)
