"""Verbs about runs: queue and stop. What the engine records of them is in `history.ledger`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.errors import Conflict, InvalidInput
from core.parameters import check_parameters
from events.models import Event
from events.services import publish_all
from history.models import Run, StepRun
from history.queue import host_queue, issue_ticket
from history.status import ALIVE, Kind, Status, Trigger
from processes.models import OnFailure, Process, Step
from threads.models import Thread

MAX_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What shall run, and why. `user` None: nobody in person, a schedule did it."""

    target: Thread | Process
    trigger: Trigger
    user: User | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    schedule_id: int | None = None
    schedule_name: str = ""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a run to be, as it stands at this moment."""

    thread: Thread
    stage: int
    parameters: dict[str, Any]
    on_failure: str
    timeout_seconds: int


def queue_run(
    *, target: Thread | Process, user: User, trigger: Trigger, parameters: dict[str, Any] | None = None, priority: int = 0
) -> Run:
    """Queue one run for a person; Conflict when the target cannot run, by role NotFound or Forbidden."""
    require(user, target.team, Role.RUNNER)
    order = RunOrder(target=target, trigger=trigger, user=user, parameters=parameters or {}, priority=priority)
    check_order(order)
    with transaction.atomic():
        [run] = queue_runs([order])
        record(user=user, verb="started", target=run)
    return run


def check_order(order: RunOrder) -> None:
    """Returns if the order can be queued; InvalidInput by field or Conflict with what is missing."""
    check_parameters(order.parameters)
    if isinstance(order.priority, bool) or not isinstance(order.priority, int) or not -MAX_PRIORITY <= order.priority <= MAX_PRIORITY:
        raise InvalidInput.of("priority", f"Use a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}.")
    plan_steps(order)


def plan_steps(order: RunOrder) -> list[PlannedStep]:
    """The target's steps as they are now; Conflict when there is something that cannot run."""
    target = order.target
    if not target.enabled:
        raise Conflict(f"{target.name} is disabled; enable it first.")
    if isinstance(target, Thread):
        steps = [PlannedStep(target, 1, dict(order.parameters), OnFailure.STOP, target.timeout_seconds)]
    else:
        steps = [
            PlannedStep(
                step.thread,
                step.stage,
                {**step.parameters, **order.parameters},
                step.on_failure,
                step.timeout_seconds or step.thread.timeout_seconds,
            )
            for step in _steps_of(target)
        ]
    if not steps:
        raise Conflict(f"{target.name} has no steps yet; add a thread to it first.")
    for step in steps:
        if step.thread.current_version is None:
            raise Conflict(f"{step.thread.name} has no saved version yet; save its script first.")
        if not step.thread.enabled:
            raise Conflict(f"{step.thread.name} is disabled; enable it first.")
    return steps


def load_steps(targets: Iterable[Thread | Process]) -> None:
    """Read the steps of all processes among the targets at once: to plan many orders then asks the database no more."""
    processes = [target for target in targets if isinstance(target, Process)]
    steps: dict[int, list[Step]] = {process.pk: [] for process in processes}
    for step in Step.objects.filter(process__in=steps).select_related("thread__current_version").order_by("process", "position"):
        steps[step.process_id].append(step)
    for process in processes:
        process.loaded_steps = steps[process.pk]  # type: ignore[attr-defined]


def _steps_of(process: Process) -> list[Step]:
    loaded: list[Step] | None = getattr(process, "loaded_steps", None)
    if loaded is not None:
        return loaded
    return list(process.steps.select_related("thread__current_version").order_by("position"))


@transaction.atomic
def queue_runs(orders: Sequence[RunOrder]) -> list[Run]:
    """Queue runs in one transaction: rows, snapshots of their steps, one ticket, one bell. Roles are the caller's matter."""
    plans = [(order, plan_steps(order)) for order in orders]
    numbers = _numbers(order.target.team_id for order, _ in plans)
    now = timezone.now()
    runs = Run.objects.bulk_create([_run_of(order, number, now) for (order, _), number in zip(plans, numbers, strict=True)])
    StepRun.objects.bulk_create(
        _step_of(run, position, step) for run, (_, steps) in zip(runs, plans, strict=True) for position, step in enumerate(steps, start=1)
    )
    if runs:
        issue_ticket()
        publish_all([run_event(run) for run in runs])
    return runs


def _numbers(team_ids: Any) -> list[int]:
    """The next run numbers, one for each of the given teams in their order."""
    wanted = list(team_ids)
    following: dict[int, int] = {}
    for team_id in sorted(set(wanted)):
        count = wanted.count(team_id)
        # The UPDATE locks the team's row until we commit: numbers are given once and without gaps.
        Team.objects.filter(pk=team_id).update(run_counter=F("run_counter") + count)
        following[team_id] = Team.objects.values_list("run_counter", flat=True).get(pk=team_id) - count
    numbers = []
    for team_id in wanted:
        following[team_id] += 1
        numbers.append(following[team_id])
    return numbers


def _run_of(order: RunOrder, number: int, now: Any) -> Run:
    target = order.target
    is_thread = isinstance(target, Thread)
    return Run(
        team_id=target.team_id,
        number=number,
        kind=Kind.THREAD if is_thread else Kind.PROCESS,
        name=target.name,
        safe_name=target.safe_name,
        thread=target if isinstance(target, Thread) else None,
        process=target if isinstance(target, Process) else None,
        schedule_id=order.schedule_id,
        schedule_name=order.schedule_name,
        trigger=order.trigger,
        user=order.user,
        parameters=order.parameters,
        priority=order.priority,
        queued_at=now,
    )


def _step_of(run: Run, position: int, step: PlannedStep) -> StepRun:
    version = step.thread.current_version
    assert version is not None  # plan_steps
    return StepRun(
        run=run,
        position=position,
        stage=step.stage,
        name=step.thread.name,
        safe_name=step.thread.safe_name,
        thread=step.thread,
        version=version,
        version_number=version.number,
        parameters=step.parameters,
        on_failure=step.on_failure,
        timeout_seconds=step.timeout_seconds,
    )


@transaction.atomic
def request_stop(*, run: Run, user: User) -> Run:
    """Stop a run: at once when it waits, else its host is told. Stopping a run that is being stopped does nothing more.

    Conflict when the run has ended.
    """
    require(user, run.team, Role.RUNNER)
    now = timezone.now()
    reason = f"Stopped by {user.username}."
    waiting = Run.objects.filter(pk=run.pk, status=Status.QUEUED)
    if waiting.update(
        status=Status.STOPPED,
        reason=f"{reason[:-1]} before it started.",
        finished_at=now,
        stop_requested_at=now,
        stop_requested_by=user.username,
    ):
        StepRun.objects.filter(run=run).update(status=Status.SKIPPED, reason=reason, finished_at=now)
    elif Run.objects.filter(pk=run.pk, status__in=ALIVE, stop_requested_at=None).update(
        stop_requested_at=now, stop_requested_by=user.username
    ):
        issue_ticket(host_queue(Run.objects.values_list("host_key", flat=True).get(pk=run.pk)))
    elif not Run.objects.filter(pk=run.pk, status__in=ALIVE).exists():
        run.refresh_from_db()
        raise Conflict(f"Run #{run.number} has ended already ({run.state.label.lower()}).")
    record(user=user, verb="stopped", target=run)
    run.refresh_from_db()
    publish_all([run_event(run)])
    return run


def run_event(run: Run) -> Event:
    """What the streams are told of a run."""
    return Event(
        topic="run",
        subject_id=run.pk,
        team_id=run.team_id,
        payload={
            "id": run.pk,
            "number": run.number,
            "name": run.name,
            "status": run.status,
            "reason": run.reason,
            "progress": run.progress,
            "started_at": run.started_at.isoformat() if run.started_at else None,
            "finished_at": run.finished_at.isoformat() if run.finished_at else None,
            "duration_ms": run.duration_ms,
            "stopping": run.stop_requested_at is not None and not run.is_final,
        },
    )
