"""What the clock does with schedules that are due: each due time becomes a run, or a row that says why not.

Any number of clocks may do this at once. A due time belongs to the one whose conditional UPDATE moved `next_run_at`
away from it; should it have been recorded before (the time went backwards), it is not fired again.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Case, DateTimeField, F, Value, When
from django.utils import timezone

from core.errors import DomainError
from core.text import span_words
from events.services import publish_all
from history.models import Run
from history.orders import RunOrder, RunPlan, plan_run, steps_of
from history.services import queue_runs
from history.status import Trigger
from processes.models import Step
from schedules.ledger import schedule_event, skipped
from schedules.models import Firing, Outcome, Schedule
from schedules.timing import Arrears, Timing, arrears

logger = logging.getLogger(__name__)

# Of many that are due in the same second the first few are queued at once, the others in larger transactions.
FIRST_CHUNK = 4
CHUNK = 64
GRACE = timedelta(seconds=60)
NOT_RUNNING = "The platform was not running at that time."
OVERTAKEN = "The next time of this schedule came before this one could be started."


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall become of one due schedule. Decided before the transaction, so that it is short.

    Without a `run` the due time is skipped for `reason`; a `fault` sets the schedule aside.
    """

    schedule: Schedule
    due: Arrears
    run: RunPlan | None
    reason: str = ""
    fault: str = ""
    missed_reason: str = NOT_RUNNING


def fire_next(size: int, passed: set[int]) -> int:
    """Fire at most `size` due schedules, the longest due first, but for those `passed`; returns how many it looked at.

    Schedules that another clock or person holds are added to `passed`: they keep nobody else waiting. Errors of the
    database itself are raised; those of one schedule set that one aside.
    """
    plans = _plan_all(_due(timezone.now(), size, passed))
    if plans:
        passed |= {plan.schedule.pk for plan in plans} - _fire(plans)
    return len(plans)


def _fire(plans: Sequence[Plan]) -> set[int]:
    """Carry the plans out, all at once or, when something is wrong with them, one by one; the ids of those that were ours."""
    try:
        return _carry_out(plans)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("A batch of %d due schedules could not be fired; they are tried one by one.", len(plans))
        return set().union(*(_fire_alone(plan.schedule) for plan in plans))


def _due(now: datetime, size: int, passed: Collection[int] = (), **only: int) -> list[Schedule]:
    rows = Schedule.objects.filter(enabled=True, next_run_at__lte=now, **only).order_by("next_run_at", "pk")
    if passed:
        rows = rows.exclude(pk__in=passed)
    return list(rows.select_related("thread__current_version", "process")[:size])


def _fire_alone(schedule: Schedule) -> set[int]:
    """Deal with one schedule by itself, as it is now; whatever is wrong with it stays with it."""
    try:
        return _carry_out(_plan_all(_due(timezone.now(), 1, pk=schedule.pk)))
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        return _carry_out([_set_aside(row, error) for row in _due(timezone.now(), 1, pk=schedule.pk)])


def _plan_all(due: Sequence[Schedule]) -> list[Plan]:
    steps = steps_of(schedule.process for schedule in due if schedule.process)
    return [_plan(schedule, steps) for schedule in due]


def _plan(schedule: Schedule, steps: Mapping[int, Sequence[Step]]) -> Plan:
    now = timezone.now()
    due_at = schedule.next_run_at or now
    try:
        due = arrears(Timing.of(schedule), due_at, now)
        run, refusal = _run_of(schedule, steps)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        return _set_aside(schedule, error)
    missed_reason = NOT_RUNNING if now - due_at > GRACE else OVERTAKEN
    return Plan(schedule, due, run, refusal or _why_late(now - due.latest), missed_reason=missed_reason)


def _set_aside(schedule: Schedule, error: Exception) -> Plan:
    """A schedule that cannot be read or fired stops here, where its people and the operator see why; the others go on."""
    logger.error("Schedule %s (%s) is set aside.", schedule.pk, schedule, exc_info=error)
    words = error.message if isinstance(error, DomainError) else f"{type(error).__name__}: {error}"
    # What is wrong may be a character that the database does not take.
    words = words[:500].replace("\0", "").encode("utf-8", "replace").decode()
    fault = f"It cannot be scheduled as it is: {words}"
    due = Arrears(latest=schedule.next_run_at or timezone.now(), missed=(), following=None)
    return Plan(schedule, due, None, reason=fault, fault=fault)


def _run_of(schedule: Schedule, steps: Mapping[int, Sequence[Step]]) -> tuple[RunPlan | None, str]:
    """Its run, or why its target cannot run at this moment."""
    order = RunOrder(
        target=schedule.target,
        trigger=Trigger.SCHEDULE,
        parameters=schedule.parameters,
        priority=schedule.priority,
        schedule_id=schedule.pk,
        schedule_name=schedule.name,
    )
    try:
        return plan_run(order, steps), ""
    except DomainError as error:
        return None, error.message


def _why_late(lateness: timedelta) -> str:
    """Empty within the grace."""
    if lateness <= GRACE:
        return ""
    return f"Started {span_words(lateness.total_seconds())} late: the platform was not running when it was due."


@transaction.atomic
def _carry_out(plans: Sequence[Plan]) -> set[int]:
    won = _take(plans)
    ours = [plan.schedule.pk for plan in won]
    # The taken rows are ours until we commit: nobody else writes firings of these schedules meanwhile.
    recorded = set(
        Firing.objects.filter(schedule__in=ours, due_at__in={plan.due.latest for plan in won}).values_list("schedule_id", "due_at")
    )
    fresh = [plan for plan in won if (plan.schedule.pk, plan.due.latest) not in recorded]
    runs = {run.schedule_id: run for run in queue_runs([plan.run for plan in fresh if plan.run])}
    Schedule.objects.filter(pk__in=[plan.schedule.pk for plan in fresh if plan.run]).update(run_count=F("run_count") + 1)
    missed = [row for plan in won for row in skipped(plan.schedule, plan.due.missed, plan.missed_reason)]
    Firing.objects.bulk_create(missed, ignore_conflicts=True)
    firings = Firing.objects.bulk_create([_firing(plan, runs.get(plan.schedule.pk)) for plan in fresh])
    publish_all([schedule_event(firing.schedule, firing) for firing in firings])
    return set(ours)


def _take(plans: Sequence[Plan]) -> list[Plan]:
    """Move those schedules on that still are as they were read, and return their plans; of several clocks one succeeds."""
    rows = Schedule.objects.filter(pk__in=[plan.schedule.pk for plan in plans], enabled=True).order_by("pk")
    now_there = {row[0]: row[1:] for row in rows.select_for_update(skip_locked=True).values_list("pk", "next_run_at", "updated_at")}
    won = [plan for plan in plans if now_there.get(plan.schedule.pk) == (plan.schedule.next_run_at, plan.schedule.updated_at)]
    if won:
        _move(won)
    for plan in won:
        plan.schedule.next_run_at, plan.schedule.fault = plan.due.following, plan.fault
        if plan.fault:
            Schedule.objects.filter(pk=plan.schedule.pk).update(fault=plan.fault)
    return won


def _move(won: Sequence[Plan]) -> None:
    """One conditional UPDATE for all; our locks make its condition true, and should it not be, nothing of this batch happens."""
    there = Schedule.objects.filter(
        pk__in=[plan.schedule.pk for plan in won], enabled=True, next_run_at__in={plan.schedule.next_run_at for plan in won}
    )
    times = [When(pk=plan.schedule.pk, then=Value(plan.due.following, output_field=DateTimeField())) for plan in won]
    # The default is never taken; it gives the expression its type where all times are NULL.
    if there.update(next_run_at=Case(*times, default=F("next_run_at"))) != len(won):
        raise OperationalError("Due schedules changed under their locks.")


def _firing(plan: Plan, run: Run | None) -> Firing:
    plan.schedule.run_count += 1 if run else 0
    outcome = Outcome.FIRED if run else Outcome.SKIPPED
    return Firing(schedule=plan.schedule, due_at=plan.due.latest, outcome=outcome, reason=plan.reason, run=run)
