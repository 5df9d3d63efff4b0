"""What comes next for a run, from what is recorded of its steps. Pure: the heart of `advance`."""

from collections.abc import Sequence
from dataclasses import dataclass

from history.models import Run, StepRun
from history.status import ALIVE, UNHAPPY, Status
from processes.models import OnFailure


@dataclass(frozen=True, slots=True)
class Wait:
    """Steps are running, or the run is paused."""


@dataclass(frozen=True, slots=True)
class Begin:
    """These steps are next: all of one stage."""

    steps: tuple[StepRun, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more is to be done; so it ended."""

    status: Status
    reason: str
    exit_code: int | None


Decision = Wait | Begin | Finish


def decide(run: Run, steps: Sequence[StepRun]) -> Decision:
    """The next thing for a run that is alive. Asking again without a change gives the same answer."""
    if any(step.status in ALIVE for step in steps):
        return Wait()
    unhappy = [step for step in steps if step.status in UNHAPPY]
    if run.stop_requested_at is not None:
        return Finish(Status.STOPPED, f"Stopped by {run.stop_requested_by}.", None)
    stopping = next((step for step in unhappy if step.on_failure == OnFailure.STOP), None)
    if stopping is not None:
        return Finish(Status(stopping.status), _told(stopping, len(steps)), stopping.exit_code)
    waiting = [step for step in steps if step.status == Status.QUEUED]
    if waiting and run.pause_requested_at is not None:
        return Wait()
    if waiting:
        stage = min(step.stage for step in waiting)
        return Begin(tuple(step for step in waiting if step.stage == stage))
    reason = f"It continued after {' and '.join(step.name for step in unhappy)} failed." if unhappy else _notes(steps)
    return Finish(Status.SUCCESS, reason, 0)


def _told(step: StepRun, count: int) -> str:
    return step.reason if count == 1 else f"Step {step.position} ({step.name}): {step.reason}"


def _notes(steps: Sequence[StepRun]) -> str:
    """What happy steps had to say, such as processes left running."""
    return " ".join(_told(step, len(steps)) for step in steps if step.reason)
