"""What a further attempt of a step finds of the one before, by `threadkit` on real parts."""

from typing import Any

import pytest

from history.models import StepRun
from history.retrying import RetryFrom, can_resume, retry_run
from history.status import Status
from tests.conftest import People
from tests.engine.conftest import Engine, log_of
from threads.models import Thread
from threads.uploads import Upload

pytestmark = pytest.mark.engine

GOES_ON = """
import os, threadkit
attempt = int(os.environ["PYSCHED_ATTEMPT"])
print("attempt", attempt, "from page", threadkit.restore(default=0))
threadkit.output("attempt", attempt)
if attempt == 1:
    threadkit.output("first", True)
for row in threadkit.rows():
    print("row", row.number)
    threadkit.checkpoint(row.number)
    if attempt == 1 and row.number == 2:
        os.kill(os.getpid(), 9)
"""


def test_it_goes_on_where_the_one_before_was_killed(engine: Engine, make_thread: Any, make_run: Any) -> None:
    thread = make_thread(source=GOES_ON, input_file=Upload("cities.csv", b"city\nOslo\nBern\nRome\n"))
    Thread.objects.filter(pk=thread.pk).update(retries=1, retry_delay_seconds=1)
    thread.refresh_from_db()
    run = make_run(thread)

    def has_ended() -> bool:
        engine.look()
        return StepRun.objects.get(run=run).status == Status.SUCCESS

    engine.until(has_ended)
    said = [line for line in log_of(run).decode().splitlines() if line.startswith(("attempt ", "row "))]
    assert said == ["attempt 1 from page 0", "row 1", "row 2", "attempt 2 from page 2", "row 2", "row 3"]
    assert StepRun.objects.get(run=run).outputs == {"attempt": 2}


def test_a_run_that_goes_on_from_a_failed_one_remembers_what_that_did_and_a_fresh_one_does_not(
    engine: Engine, people: People, make_thread: Any, make_run: Any
) -> None:
    source = GOES_ON.replace('attempt = int(os.environ["PYSCHED_ATTEMPT"])', "attempt = 2 if threadkit.restore() else 1")
    thread = make_thread(source=source, input_file=Upload("cities.csv", b"city\nOslo\nBern\nRome\n"))
    failed = engine.finish(make_run(thread))
    assert failed.status == Status.FAILED
    assert can_resume(failed, list(failed.steps.all()))
    fresh = engine.finish(retry_run(run=failed, user=people.runner))
    assert b"from page 0" in log_of(fresh)
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    assert again.status == Status.SUCCESS, again.reason
    assert log_of(again).decode().splitlines() == ["attempt 2 from page 2", "row 2", "row 3"]
    assert again.artifacts.filter(path__startswith="rows-").count() == 1
    assert again.steps.get().outputs == {"attempt": 2}
