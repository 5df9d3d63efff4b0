"""Steps that are tried again, and steps that look after the failure of others, on real parts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from engine.retries import delay_seconds
from history import ledger
from history.models import Run, StepRun
from history.services import request_stop
from history.status import Status
from processes.models import OnFailure
from processes.services import StepPlan, create_process
from tests.engine.conftest import Engine, log_of
from threads.models import Thread

pytestmark = pytest.mark.engine

Make = Callable[..., Any]

FAILS_TWICE = """
import os, sys
attempt = int(os.environ["PYSCHED_ATTEMPT"])
print("attempt", attempt)
open("seen.txt", "a").write(str(attempt))
sys.exit(0 if attempt == 3 else 7)
"""


def retried(thread: Thread, retries: int, **more: Any) -> Thread:
    Thread.objects.filter(pk=thread.pk).update(retries=retries, retry_delay_seconds=1, **more)
    thread.refresh_from_db()
    return thread


def until_it_waits(engine: Engine, run: Run, attempt: int = 2) -> StepRun:
    engine.until(lambda: run.steps.filter(status=Status.QUEUED, attempt=attempt).exists())
    return run.steps.get(attempt=attempt)


def its_time_comes(engine: Engine, run: Run) -> None:
    past = timezone.now() - timedelta(seconds=1)
    run.steps.filter(status=Status.QUEUED).update(not_before=past)
    Run.objects.filter(pk=run.pk).update(not_before=past)
    engine.look()


def test_a_failed_step_is_tried_again_until_it_succeeds(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = make_run(retried(make_thread("Shaky", FAILS_TWICE), 3))
    for attempt in (2, 3):
        step = until_it_waits(engine, run, attempt)
        assert step.not_before is not None
        assert Run.objects.get(pk=run.pk).not_before == step.not_before
        its_time_comes(engine, run)
    run = engine.finish(run)
    step = run.steps.get()
    assert (run.status, step.status, step.attempt, run.not_before) == (Status.SUCCESS, Status.SUCCESS, 3, None)
    assert [(ended["attempt"], ended["status"], ended["exit_code"]) for ended in step.earlier_attempts] == [
        (1, "failed", 7),
        (2, "failed", 7),
    ]
    assert log_of(run).decode().splitlines() == ["attempt 1", "--- Attempt 2 of 4 ---", "attempt 2", "--- Attempt 3 of 4 ---", "attempt 3"]
    assert [file.path for file in run.artifacts.all()] == ["seen.txt"]


def test_the_last_attempt_s_failure_is_the_run_s_end(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = make_run(retried(make_thread("Never", "raise SystemExit(4)"), 1))
    until_it_waits(engine, run)
    its_time_comes(engine, run)
    run = engine.finish(run)
    assert (run.status, run.exit_code, run.steps.get().attempt) == (Status.FAILED, 4, 2)


def test_only_the_chosen_exit_codes_are_tried_again(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(retried(make_thread("Chosen", "raise SystemExit(4)"), 5, retry_exit_codes=[75])))
    assert (run.status, run.steps.get().attempt) == (Status.FAILED, 1)


def test_a_run_that_waits_for_its_next_attempt_takes_up_no_place(engine: Engine, make_thread: Make, make_run: Make, settings: Any) -> None:
    settings.MAX_RUNS = 1
    waiting = make_run(retried(make_thread("Waits", "raise SystemExit(1)"), 1))
    until_it_waits(engine, waiting)
    Run.objects.filter(pk=waiting.pk).update(not_before=timezone.now() + timedelta(hours=1))
    assert engine.finish(make_run(make_thread("Other", "print(1)"))).status == Status.SUCCESS
    assert ledger.due_again("testhost", 1) == []


def test_a_stop_ends_the_wait(engine: Engine, make_thread: Make, make_run: Make, people: Any) -> None:
    run = make_run(retried(make_thread("Waits", "raise SystemExit(1)"), 1))
    until_it_waits(engine, run)
    request_stop(run=run, user=people.runner)
    run = engine.finish(run)
    assert (run.status, run.steps.get().status) == (Status.STOPPED, Status.SKIPPED)
    assert "before it was tried again" in run.steps.get().reason


def test_a_sibling_is_tried_again_while_the_other_runs(engine: Engine, make_thread: Make, make_run: Make, people: Any) -> None:
    patient = make_thread("Patient", "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\n")
    shaky = retried(make_thread("Shaky", "import os, sys\nif os.environ['PYSCHED_ATTEMPT'] == '1': sys.exit(3)\nopen('go', 'w')\n"), 1)
    steps = [StepPlan(patient, 1), StepPlan(shaky, 1)]
    run = make_run(create_process(team=people.team, user=people.editor, name="Both", steps=steps))
    until_it_waits(engine, run)
    its_time_comes(engine, run)
    assert engine.finish(run).status == Status.SUCCESS


@pytest.mark.parametrize(
    ("source", "ends", "statuses"),
    [
        ("raise SystemExit(9)", Status.FAILED, ["failed", "skipped", "success"]),
        ("print(1)", Status.SUCCESS, ["success", "success", "skipped"]),
    ],
)
def test_a_rescue_runs_only_after_a_failure(
    source: str, ends: Status, statuses: list[str], engine: Engine, make_thread: Make, make_run: Make, people: Any
) -> None:
    first, second, rescue = make_thread("First", source), make_thread("Second", "print(2)"), make_thread("Rescue", "print(3)")
    steps = [StepPlan(first, 1), StepPlan(second, 2), StepPlan(rescue, 3, on_failure=OnFailure.RESCUE)]
    run = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Careful", steps=steps)))
    assert (run.status, [step.status for step in run.steps.all()]) == (ends, statuses)
    if ends == Status.SUCCESS:
        assert run.steps.last().reason == "It runs only if an earlier step failed."


def test_delays_double_up_to_an_hour_a_fifth_more_or_less() -> None:
    for attempt, expected in ((1, 10), (2, 20), (5, 160), (30, 3600)):
        assert all(0.8 * expected <= delay_seconds(attempt, 10) <= 1.2 * expected for _ in range(50))
