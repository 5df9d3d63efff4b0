"""Verbs about runs: queue and stop. What the engine records of them is in `history.ledger`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.errors import Conflict, NotFound
from core.related import keep_related
from core.rows import select_column
from events.models import Event
from events.services import publish_all
from history.models import Run, StepRun
from history.orders import PlannedStep, RunOrder, RunPlan, plan_run, settings_of
from history.queue import host_queue, issue_ticket
from history.status import ALIVE, Kind, Status, Trigger
from processes.models import Process
from threads.models import Thread

_COUNT_ON = f"UPDATE {Team._meta.db_table} SET run_counter = run_counter + %s WHERE id = %s RETURNING run_counter"  # noqa: S608


def queue_run(
    *, target: Thread | Process, user: User, trigger: Trigger, parameters: dict[str, Any] | None = None, priority: int = 0
) -> Run:
    """Queue one run for a person; Conflict when the target cannot run, by role NotFound or Forbidden.

    It comes with its team, person and steps as they were written: to show it takes no further look.
    """
    require(user, target.team, Role.RUNNER)
    plan = plan_run(RunOrder(target=target, trigger=trigger, user=user, parameters=parameters or {}, priority=priority))
    with transaction.atomic():
        [(run, steps)] = _write([plan])
        run.team = target.team
        record(user=user, verb="started", target=run)
    keep_related(run, "steps", steps)
    return run


def trigger_of(user: User) -> Trigger:
    """What starts a run that this person orders: a script that has a key, or the person."""
    return Trigger.API if user.key else Trigger.MANUAL


def run_again(*, run: Run, user: User) -> Run:
    """Queue the same target with the same parameters, as it is now: its newest versions run. Conflict when it is gone."""
    require(user, run.team, Role.RUNNER)
    target = run.thread or run.process
    if target is None:
        raise Conflict(f"{run.name} was deleted since; there is nothing to run again.")
    return queue_run(target=target, user=user, trigger=Trigger.MANUAL, parameters=run.parameters, priority=run.priority)


def queue_runs(plans: Sequence[RunPlan]) -> list[Run]:
    """Queue runs in one transaction: rows, snapshots of their steps, one ticket, one bell. Roles are the caller's matter."""
    # Without a savepoint: what fails here is the database, and then nothing of the caller's transaction stands.
    with transaction.atomic(savepoint=False):
        return [run for run, _ in _write(plans)]


def _write(plans: Sequence[RunPlan]) -> list[tuple[Run, list[StepRun]]]:
    if not plans:
        return []
    numbers = _numbers([plan.order.target.team_id for plan in plans])
    now = timezone.now()
    runs = Run.objects.bulk_create([_run_of(plan.order, number, now) for plan, number in zip(plans, numbers, strict=True)])
    written = [
        (run, [_step_of(run, position, step) for position, step in enumerate(plan.steps, start=1)])
        for run, plan in zip(runs, plans, strict=True)
    ]
    StepRun.objects.bulk_create([step for _, steps in written for step in steps])
    issue_ticket()
    publish_all([run_event(run) for run in runs])
    return written


def next_number(team_id: int) -> int:
    """The next run number of a team, taken; NotFound when the team is gone."""
    return _numbers([team_id])[0]


def _numbers(team_ids: Sequence[int]) -> list[int]:
    """The next run numbers, one for each of the given teams in their order; NotFound when a team is gone."""
    following: dict[int, int] = {}
    for team_id in sorted(set(team_ids)):
        count = team_ids.count(team_id)
        # The UPDATE locks the team's row until we commit: numbers are given once and without gaps.
        counted = select_column(_COUNT_ON, [count, team_id])
        if not counted:
            raise NotFound
        following[team_id] = counted[0] - count
    numbers = []
    for team_id in team_ids:
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
        in_turn=order.in_turn,
        trigger=order.trigger,
        user=order.user,
        parameters=order.parameters,
        priority=order.priority,
        queued_at=now,
    )


def _step_of(run: Run, position: int, step: PlannedStep) -> StepRun:
    version = step.thread.current_version
    assert version is not None  # plan_run
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
        retries=step.retries,
        **settings_of(step.thread),
    )


@transaction.atomic
def request_stop(*, run: Run, user: User) -> Run:
    """Stop a run: at once when it waits, else its host is told. Stopping a run that is being stopped does nothing more.

    Conflict when the run has ended.
    """
    require(user, run.team, Role.RUNNER)
    if not _stop(run, user.username):
        run.refresh_from_db()
        if run.is_final:
            raise Conflict(f"Run #{run.number} has already ended ({run.state.label.lower()}).")
        return run
    record(user=user, verb="stopped", target=run)
    run.refresh_from_db()
    publish_all([run_event(run)])
    return run


def stop_for(runs: Sequence[Run], *, by: str) -> None:
    """Stop what still goes on of these runs, in the caller's transaction. Nobody in person does it; `by` says what does."""
    for run in runs:
        if _stop(run, by[:150]):
            record(user=None, verb="stopped", target=run, by=by)
            run.refresh_from_db()
            publish_all([run_event(run)])


def _stop(run: Run, by: str) -> bool:
    """False when it has ended, or is being stopped already."""
    return _stop_waiting(run, by) or _stop_alive(run, by)


def _stop_waiting(run: Run, by: str) -> bool:
    now, reason = timezone.now(), f"Stopped by {by}"
    ended = {"finished_at": now, "stop_requested_at": now, "stop_requested_by": by}
    waiting = Run.objects.filter(pk=run.pk, status=Status.QUEUED)
    if not waiting.update(status=Status.STOPPED, reason=f"{reason} before it started.", **ended):
        return False
    StepRun.objects.filter(run=run).update(status=Status.SKIPPED, reason=f"{reason}.", finished_at=now)
    return True


def _stop_alive(run: Run, by: str) -> bool:
    alive = Run.objects.filter(pk=run.pk, status__in=ALIVE, stop_requested_at=None)
    if not alive.update(stop_requested_at=timezone.now(), stop_requested_by=by):
        return False
    issue_ticket(host_queue(Run.objects.values_list("host_key", flat=True).get(pk=run.pk)))
    return True


@transaction.atomic
def pause_run(*, run: Run, user: User) -> Run:
    """Have all processes of a running run stand still until it is resumed; its steps that wait do not start meanwhile.

    Its host is told. Pausing what is paused does nothing more; Conflict when it does not run.
    """
    require(user, run.team, Role.RUNNER)
    running = Run.objects.filter(pk=run.pk, status__in=ALIVE, stop_requested_at=None, pause_requested_at=None)
    if running.update(pause_requested_at=timezone.now(), pause_requested_by=user.username):
        return _tell_host(run, user, "paused")
    run.refresh_from_db()
    if run.state not in ALIVE or run.stop_requested_at is not None:
        raise Conflict(f"Run #{run.number} {_standing(run)}; only a run that is going on can be paused.")
    return run


@transaction.atomic
def resume_run(*, run: Run, user: User) -> Run:
    """Have a paused run go on where it stood; Conflict when it is not paused."""
    require(user, run.team, Role.RUNNER)
    row = Run.objects.select_for_update().get(pk=run.pk)
    if row.pause_requested_at is None or row.is_final or row.stop_requested_at is not None:
        raise Conflict(f"Run #{run.number} {_standing(row)}; only a paused run can be resumed.")
    paused_ms = row.paused_ms + milliseconds(row.pause_requested_at, timezone.now())
    Run.objects.filter(pk=run.pk).update(pause_requested_at=None, pause_requested_by="", paused_ms=paused_ms)
    return _tell_host(run, user, "resumed")


def _tell_host(run: Run, user: User, verb: str) -> Run:
    record(user=user, verb=verb, target=run)
    run.refresh_from_db()
    issue_ticket(host_queue(run.host_key))
    publish_all([run_event(run)])
    return run


def _standing(run: Run) -> str:
    """How it stands with a run, as the middle of a sentence."""
    if run.is_final:
        return f"has already ended ({run.state.label.lower()})"
    if run.state == Status.QUEUED:
        return "has not started yet"
    return "is being stopped" if run.stop_requested_at is not None else "is not paused"


def milliseconds(since: datetime, until: datetime) -> int:
    return max(0, round((until - since).total_seconds() * 1000))


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
            "pausing": run.pause_requested_at is not None and run.status == Status.RUNNING,
            "stopping": run.stop_requested_at is not None and not run.is_final,
        },
    )
