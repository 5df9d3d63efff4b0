"""What comes next for a run, from what is recorded of its steps. Pure: the heart of `advance`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from history.models import Run, StepRun
from history.status import ALIVE, UNHAPPY, Status
from processes.models import OnFailure


@dataclass(frozen=True, slots=True)
class Wait:
    """Steps are running, or the run is paused."""


@dataclass(frozen=True, slots=True)
class Begin:
    """These steps are next: all of one stage, or those of it that are tried again."""

    steps: tuple[StepRun, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more is to be done; so it ended."""

    status: Status
    reason: str
    exit_code: int | None


Decision = Wait | Begin | Finish


def decide(run: Run, steps: Sequence[StepRun], now: datetime) -> Decision:
    """The next thing for a run that is alive. Asking again without a change gives the same answer."""
    alive = [step for step in steps if step.status in ALIVE]
    unhappy = [step for step in steps if step.status in UNHAPPY]
    if run.stop_requested_at is not None:
        return Wait() if alive else Finish(Status.STOPPED, f"Stopped by {run.stop_requested_by}.", None)
    failed = next((step for step in unhappy if step.on_failure != OnFailure.CONTINUE), None)
    waiting = _still_to_run(steps, unhappy, is_failed=failed is not None)
    if waiting and run.pause_requested_at is not None:
        return Wait()
    if alive or waiting:
        return _following(waiting, alive, now)
    if failed is not None:
        return Finish(Status(failed.status), _told(failed, len(steps)), failed.exit_code)
    reason = f"It continued after {' and '.join(step.name for step in unhappy)} failed." if unhappy else _notes(steps)
    return Finish(Status.SUCCESS, reason, 0)


def _still_to_run(steps: Sequence[StepRun], unhappy: Sequence[StepRun], *, is_failed: bool) -> list[StepRun]:
    """After a failure that stops the process only what is there for that; as long as nothing failed all else."""
    waiting = [step for step in steps if step.status == Status.QUEUED]
    return [
        step
        for step in waiting
        if (any(other.stage < step.stage for other in unhappy) if step.on_failure == OnFailure.RESCUE else not is_failed)
    ]


def _following(waiting: Sequence[StepRun], alive: Sequence[StepRun], now: datetime) -> Begin | Wait:
    """The next stage when nothing runs; beside what runs only those of the same stage whose time to be tried again has come."""
    stage = min(step.stage for step in alive or waiting)
    members = [step for step in waiting if step.stage == stage and (step.not_before is not None or not alive)]
    due = tuple(step for step in members if step.not_before is None or step.not_before <= now)
    return Begin(due) if due else Wait()


def _told(step: StepRun, count: int) -> str:
    return step.reason if count == 1 else f"Step {step.position} ({step.name}): {step.reason}"


def _notes(steps: Sequence[StepRun]) -> str:
    """What happy steps had to say, such as processes left running."""
    return " ".join(_told(step, len(steps)) for step in steps if step.reason)
