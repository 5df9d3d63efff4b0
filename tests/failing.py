"""Runs that failed, without an engine: the record as the engine leaves it."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from history.failures import Script, explain
from history.models import Run, StepRun
from history.status import Status


def traceback_of(message: str = "no rows", *, kind: str = "ValueError", line: int = 2) -> str:
    return (
        "Traceback (most recent call last):\n"
        f'  File "/code/main.py", line {line}, in parse\n    raise {kind}({message!r})\n{kind}: {message}\n'
    )


def fail(run: Run, log: str | None = None, **record: Any) -> Run:
    """End the run and all its steps as failed, for the reason that the log and the exit record give."""
    ended = {"cause": "", "exit_code": 1, "signal": None, **record}
    failure = explain(ended, log=traceback_of() if log is None else log, script=Script("/code", ["main.py"])).as_record()
    end(run, Status.FAILED, reason="Exit code 1.", failure=failure)
    Run.objects.filter(pk=run.pk).update(failure_signature=failure["signature"])
    run.refresh_from_db()
    return run


def succeed(run: Run) -> Run:
    end(run, Status.SUCCESS)
    run.refresh_from_db()
    return run


def end(run: Run, status: Status, reason: str = "", **of_steps: Any) -> None:
    now = timezone.now()
    fields = {"status": status, "reason": reason, "started_at": now - timedelta(seconds=42), "finished_at": now}
    Run.objects.filter(pk=run.pk).update(**fields)
    StepRun.objects.filter(run=run).update(**fields, exit_code=0 if status == Status.SUCCESS else 1, **of_steps)
