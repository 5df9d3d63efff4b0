"""What shall run: an order, and the plan of its steps as they stand at this moment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accounts.models import User
from core.checks import within_operators
from core.errors import Conflict, InvalidInput
from core.parameters import check_parameters
from history.status import Trigger
from processes.models import OnFailure, Process, Step
from threads.building import missing_environment
from threads.limits import LIMITS
from threads.models import Thread

MAX_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What shall run, and why. `user` None: nobody in person, a schedule did it.

    `retries` and `timeout_seconds`, where given, count for each step instead of its own. One that is `in_turn` waits until all
    earlier runs of its schedule have ended.
    """

    target: Thread | Process
    trigger: Trigger
    user: User | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    schedule_id: int | None = None
    schedule_name: str = ""
    retries: int | None = None
    timeout_seconds: int | None = None
    in_turn: bool = False


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a run to be, as it stands at this moment."""

    thread: Thread
    stage: int
    parameters: dict[str, Any]
    on_failure: str
    timeout_seconds: int
    retries: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """An order that can be carried out, with the steps it comes to."""

    order: RunOrder
    steps: Sequence[PlannedStep]

    def in_turn(self) -> "RunPlan":
        return replace(self, order=replace(self.order, in_turn=True))


def plan_run(order: RunOrder, steps: Mapping[int, Sequence[Step]] | None = None) -> RunPlan:
    """The order with its steps as they are now; InvalidInput by field, or Conflict with what cannot run.

    `steps` are those of processes as `steps_of` read them: many orders are then planned without asking the database.
    """
    check_parameters(order.parameters)
    check_priority(order.priority)
    if not order.target.enabled:
        raise Conflict(f"{order.target.name} is disabled; enable it first.")
    planned = [_as_ordered(order, step) for step in steps_planned(order.target, order.parameters, steps)]
    if not planned:
        raise Conflict(f"{order.target.name} has no steps yet; add a thread to it first.")
    for step in planned:
        check_can_run(step.thread, step.thread.name)
    return RunPlan(order, planned)


def check_can_run(thread: Thread | None, name: str) -> None:
    """Conflict that says what a thread of that name lacks to run now; None is one that was deleted."""
    if thread is None:
        raise Conflict(f"{name} was deleted since; it cannot run again.")
    if thread.current_version is None:
        raise Conflict(f"{thread.name} has no saved version yet; save its script first.")
    if not thread.enabled:
        raise Conflict(f"{thread.name} is disabled; enable it first.")
    if thread.lacks_environment:
        raise Conflict(missing_environment(thread))


def check_priority(priority: Any) -> int:
    """The priority, if runs can have it; InvalidInput by its field else."""
    if isinstance(priority, bool) or not isinstance(priority, int) or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInput.of("priority", f"Use a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}.")
    return priority


def steps_of(processes: Iterable[Process]) -> dict[int, list[Step]]:
    """The steps of each process in their order, by its id, with threads and versions; one query for all."""
    found: dict[int, list[Step]] = defaultdict(list)
    rows = Step.objects.filter(process__in=[process.pk for process in processes]).select_related("thread__current_version")
    for step in rows.order_by("process", "position"):
        found[step.process_id].append(step)
    return found


def settings_of(thread: Thread) -> dict[str, Any]:
    """What a step notes of its thread's settings as they are now, by the names of a step's columns."""
    return {
        "retry_delay_seconds": thread.retry_delay_seconds,
        "retry_exit_codes": thread.retry_exit_codes,
        "environment_key": thread.environment_id or "",
        "limits": {name: value for name in LIMITS if (value := getattr(thread, name)) is not None},
        "network": thread.network,
    }


def steps_planned(
    target: Thread | Process, parameters: Mapping[str, Any], steps: Mapping[int, Sequence[Step]] | None = None
) -> list[PlannedStep]:
    """The steps that a run of it would have now, in their order."""
    if isinstance(target, Thread):
        timeout = within_operators("timeout_seconds", target.timeout_seconds)
        return [PlannedStep(target, 1, dict(parameters), OnFailure.STOP, timeout, target.retries)]
    if steps is None:
        steps = steps_of([target])
    return [
        PlannedStep(
            thread=step.thread,
            stage=step.stage,
            parameters={**step.parameters, **parameters},
            on_failure=step.on_failure,
            timeout_seconds=within_operators("timeout_seconds", step.timeout_seconds or step.thread.timeout_seconds),
            retries=step.thread.retries if step.retries is None else step.retries,
        )
        for step in steps.get(target.pk, ())
    ]


def _as_ordered(order: RunOrder, step: PlannedStep) -> PlannedStep:
    """The order's timeout and retries, where it has any, go before the step's own."""
    timeout = step.timeout_seconds if order.timeout_seconds is None else within_operators("timeout_seconds", order.timeout_seconds)
    return replace(step, timeout_seconds=timeout, retries=step.retries if order.retries is None else order.retries)
