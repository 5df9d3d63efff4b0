"""The verb "try it again" of a run that has ended badly: anew, or from where it failed."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import TextChoices
from django.utils import timezone

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core import layout
from core.errors import Conflict, NotFound
from core.related import keep_related
from events.services import publish_all
from history.models import Run, StepRun
from history.orders import PlannedStep, check_can_run, settings_of, steps_planned
from history.queue import issue_ticket
from history.services import next_number, run_event, trigger_of
from history.status import ACTIVE, BROKEN, UNHAPPY, Status
from processes.models import OnFailure


class RetryFrom(TextChoices):
    """Where a retry begins."""

    START = "start", "From the start"
    FAILED = "failed", "From the failed step"


def retry_run(*, run: Run, user: User, since: RetryFrom = RetryFrom.START) -> Run:
    """Queue another attempt at a run that failed, was stopped or lost: a run of its own, the earlier one stays as it is.

    The same steps with the same parameters, each in the newest version of its thread and under the limits that are set now. From
    `failed`, those that succeeded are not run again: they are taken over with their outputs and files, and the others find what their
    scripts remembered. Rescues are for the attempt at hand.
    Conflict when the run goes on, succeeded, is being tried again already, or cannot be had again.
    """
    require(user, run.team, Role.RUNNER)
    if not run.is_final:
        raise Conflict(f"Run #{run.number} has not ended yet ({run.state.label.lower()}); stop it first.")
    if run.state not in UNHAPPY:
        raise Conflict(f"Run #{run.number} did not fail ({run.state.label.lower()}); use run again.")
    steps = list(run.steps.select_related("thread__current_version").order_by("position"))
    keeps = [step for step in steps if _is_done(step)] if since == RetryFrom.FAILED else []
    for step in steps:
        if step not in keeps:
            check_can_run(step.thread, step.name)
    target = run.thread or run.process
    present = steps_planned(target, {}) if target else []
    with transaction.atomic():
        _check_first(run)
        again = _run_again(run, user, trigger_of(user))
        following = [
            _kept(again, run, step) if step in keeps else _anew(again, step, run if since == RetryFrom.FAILED else None, present)
            for step in steps
        ]
        StepRun.objects.bulk_create(following)
        record(user=user, verb="retried", target=run, since=str(since), number=again.number)
        issue_ticket()
        publish_all([run_event(again)])
    keep_related(again, "steps", following)
    return again


def retry_lost(run: Run, steps: Sequence[StepRun]) -> None:
    """Go on in a new run, on whichever host is free, with a run whose host is gone; to be called in the transaction that ends it.

    What was done is taken over. Each other step is as it was planned, and an attempt that was lost counts: its next one is begun.
    """
    again = _run_again(run, run.user, run.trigger)
    StepRun.objects.bulk_create([_kept(again, run, step) if _is_done(step) else _next(again, run, step) for step in steps])
    issue_ticket()
    publish_all([run_event(again)])


def _check_first(run: Run) -> None:
    """Conflict while an earlier wish to try it again is being carried out: a second click makes no second run."""
    # Whoever comes second waits here for the first one's commit, so he sees its run. SQLite has one writer at a time anyway.
    if not Run.objects.select_for_update(no_key=True).filter(pk=run.pk).values_list("pk", flat=True).first():
        raise NotFound(f"Run #{run.number} was deleted meanwhile.")
    going_on = Run.objects.filter(retry_of=run, status__in=ACTIVE).values_list("number", flat=True).first()
    if going_on is not None:
        raise Conflict(f"Run #{run.number} is being tried again already, as run #{going_on}.")


def can_retry(run: Run, steps: Sequence[StepRun]) -> bool:
    """Did it end badly, and is everything that it ran still there?"""
    return run.state in UNHAPPY and all(step.thread_id for step in steps)


def can_resume(run: Run, steps: Sequence[StepRun]) -> bool:
    """Would a retry from the failed step skip any, or find what a script has remembered?"""
    is_possible = run.state in UNHAPPY and all(step.thread_id or _is_done(step) for step in steps)
    return is_possible and any(_is_done(step) or _remembers(run, step) for step in steps)


def _is_done(step: StepRun) -> bool:
    """Need not run again. A rescue looked after a failure that is tried again: it is there for the next one."""
    return step.state == Status.SUCCESS and step.on_failure != OnFailure.RESCUE


def _remembers(run: Run, step: StepRun) -> bool:
    return bool(run.output_dir) and layout.kept_state(run.output_dir, step.position, step.safe_name).is_dir()


def _run_again(run: Run, user: User | None, trigger: str) -> Run:
    team: Team = run.team
    copied = ("kind", "name", "safe_name", "thread_id", "process_id", "schedule_id", "schedule_name", "parameters", "priority")
    return Run.objects.create(
        team=team,
        number=next_number(team.pk),
        trigger=trigger,
        user=user,
        attempt=run.attempt + 1,
        retry_of=run,
        **{name: getattr(run, name) for name in copied},
    )


_PLAN = ("position", "stage", "name", "safe_name", "thread_id", "parameters", "on_failure", "timeout_seconds", "limits", "network",
         "retries", "retry_delay_seconds", "retry_exit_codes")  # fmt: skip
_RESULT = ("version_id", "version_number", "environment_key", "started_at", "finished_at", "exit_code", "isolation",
           "isolation_reason", "outputs", "peak_memory_bytes", "cpu_seconds")  # fmt: skip


def _anew(again: Run, step: StepRun, goes_on_from: Run | None, present: Sequence[PlannedStep]) -> StepRun:
    """A step that runs again. When it was cut short in the run that this one goes on from, it finds what it remembered there.

    It has the settings that are there now, for who retries what passed a limit may have raised it.
    """
    assert step.thread is not None and step.thread.current_version is not None  # check_can_run
    version = step.thread.current_version
    plan = {name: getattr(step, name) for name in _PLAN} | settings_of(step.thread) | _bounds_now(again, step, present)
    is_left = step.started_at is not None and step.state != Status.SUCCESS
    before = [*step.earlier_attempts, _told(step, goes_on_from)] if goes_on_from and is_left else []
    return StepRun(run=again, version=version, version_number=version.number, earlier_attempts=before, **plan)


def _next(again: Run, run: Run, step: StepRun) -> StepRun:
    """The step as it was planned, in the same version, and in its next attempt if it was begun."""
    plan = {name: getattr(step, name) for name in (*_PLAN, "version_id", "version_number", "attempt", "earlier_attempts")}
    if step.status in BROKEN:
        plan |= {"attempt": step.attempt + 1, "earlier_attempts": [*step.earlier_attempts, _told(step, run)]}
    return StepRun(run=again, **plan)


def _bounds_now(again: Run, step: StepRun, present: Sequence[PlannedStep]) -> dict[str, int]:
    """Timeout and retries as they are set now; nothing when its place has another thread by now, or none.

    Those of a schedule's run may be the schedule's: they stay, but for a timeout that is higher by now.
    """
    at = step.position - 1
    if at >= len(present) or present[at].thread.pk != step.thread_id:
        return {}
    if again.schedule_id:
        return {"timeout_seconds": max(step.timeout_seconds, present[at].timeout_seconds)}
    return {"timeout_seconds": present[at].timeout_seconds, "retries": present[at].retries}


def _told(step: StepRun, run: Run) -> dict[str, Any]:
    """How an attempt in an earlier run ended."""
    return {"run": run.number} | {name: getattr(step, name) for name in ("attempt", "status", "reason", "exit_code")}


def _kept(again: Run, run: Run, step: StepRun) -> StepRun:
    """A step that was done before: as it was, and where."""
    values = {name: getattr(step, name) for name in (*_PLAN, *_RESULT)}
    values["finished_at"] = step.finished_at or timezone.now()
    return StepRun(run=again, status=Status.SUCCESS, reason=f"Done in run #{run.number}.", **values)
