"""What the clock does with schedules that are due: each due time becomes a run, or a row that says why not.

Any number of clocks may do this at once. A due time belongs to the one whose conditional UPDATE moved `next_run_at`
away from it; should it have been recorded before (the time went backwards), it is not fired again.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Case, DateTimeField, F, Value, When
from django.utils import timezone

from core.errors import DomainError
from events.services import publish_all
from history.orders import RunOrder, RunPlan, plan_run, steps_of
from history.services import queue_runs
from history.status import Trigger
from processes.models import Step
from schedules.ledger import schedule_event
from schedules.models import Firing, Outcome, Overlap, Schedule, ScheduleKind
from schedules.overlaps import Standing
from schedules.pauses import Pauses
from schedules.policies import Skip, Verdict, due_of, judge
from schedules.timing import Timing, arrears

logger = logging.getLogger(__name__)

# Of many that are due in the same second the first few are queued at once, the others in larger transactions.
FIRST_CHUNK = 4
CHUNK = 64
REPLACED = "A later time of this schedule took its place."


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall become of one due schedule. Decided before the transaction, so that it is short.

    `was` is its `next_run_at` as it was read. Without a `run` nothing starts, for `refusal`; a `fault` sets the schedule aside.
    """

    schedule: Schedule
    was: datetime | None
    verdict: Verdict
    next_run_at: datetime | None
    run: RunPlan | None = None
    refusal: str = ""
    fault: str = ""


def fire_next(size: int, passed: set[int]) -> int:
    """Fire at most `size` due schedules, the longest due first, but for those `passed`; returns how many it looked at.

    Schedules that another clock or person holds are added to `passed`: they keep nobody else waiting. Errors of the
    database itself are raised; those of one schedule set that one aside.
    """
    plans = _plan_all(_due(timezone.now(), size, passed))
    if plans:
        passed |= {plan.schedule.pk for plan in plans} - _fire(plans)
    return len(plans)


def set_off_startups(at: datetime) -> None:
    """What runs when the platform starts is due: from here on it goes the way of all others. Telling one start twice fires once."""
    rows = Schedule.objects.filter(kind=ScheduleKind.STARTUP, enabled=True, next_run_at=None, fault="")
    rows.exclude(firings__due_at=at).update(next_run_at=at)


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
    pauses = Pauses.of(due, timezone.now())
    return [_plan(schedule, steps, pauses) for schedule in due]


def _plan(schedule: Schedule, steps: Mapping[int, Sequence[Step]], pauses: Pauses) -> Plan:
    now = timezone.now()
    try:
        timing = Timing.of(schedule, seed=schedule.pk)
        due = arrears(timing, due_of(schedule, schedule.next_run_at or now), now)
        verdict = judge(schedule, timing, due, now, lambda at: pauses.refusal(schedule, at, now))
        run, refusal = _run_of(schedule, steps)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        return _set_aside(schedule, error)
    following = timing.start_of(verdict.following) if verdict.following else None
    return Plan(schedule, schedule.next_run_at, verdict, following, run, refusal)


def _set_aside(schedule: Schedule, error: Exception) -> Plan:
    """A schedule that cannot be read or fired stops here, where its people and the operator see why; the others go on."""
    logger.error("Schedule %s (%s) is set aside.", schedule.pk, schedule, exc_info=error)
    words = error.message if isinstance(error, DomainError) else f"{type(error).__name__}: {error}"
    # What is wrong may be a character that the database does not take.
    words = words[:500].replace("\0", "").encode("utf-8", "replace").decode()
    fault = f"It cannot be scheduled as it is: {words}"
    verdict = Verdict((), (Skip(schedule.next_run_at or timezone.now(), fault),), None)
    return Plan(schedule, schedule.next_run_at, verdict, None, fault=fault)


def _run_of(schedule: Schedule, steps: Mapping[int, Sequence[Step]]) -> tuple[RunPlan | None, str]:
    """Its run, or why its target cannot run at this moment."""
    order = RunOrder(
        target=schedule.target,
        trigger=Trigger.SCHEDULE,
        parameters=schedule.parameters,
        priority=schedule.priority,
        schedule_id=schedule.pk,
        schedule_name=schedule.name,
        retries=schedule.retries,
        timeout_seconds=schedule.timeout_seconds,
    )
    try:
        return plan_run(order, steps), ""
    except DomainError as error:
        return None, error.message


@transaction.atomic
def _carry_out(plans: Sequence[Plan]) -> set[int]:
    won = _take(plans)
    ours = [plan.schedule.pk for plan in won]
    # The taken rows are ours until we commit: nobody else writes firings of these schedules meanwhile.
    times = {at for plan in won for at, _ in plan.verdict.starts}
    recorded = set(Firing.objects.filter(schedule__in=ours, due_at__in=times).values_list("schedule_id", "due_at"))
    firings = _start([plan for plan in won if plan.verdict.starts], recorded)
    passed = [
        Firing(schedule=plan.schedule, due_at=skip.due_at, outcome=Outcome.SKIPPED, reason=skip.reason, covers=skip.covers)
        for plan in won
        for skip in plan.verdict.skips
    ]
    Firing.objects.bulk_create(passed, ignore_conflicts=True)
    newest = {firing.schedule.pk: firing for firing in sorted([*passed, *firings], key=lambda firing: firing.due_at)}
    publish_all([schedule_event(firing.schedule, firing) for firing in newest.values()])
    return set(ours)


def _start(plans: Sequence[Plan], recorded: Collection[tuple[int, datetime]]) -> list[Firing]:
    """Queue the runs of the due times that start and are not recorded yet; returns what became of each."""
    standing = Standing.of(plan.schedule for plan in plans if plan.run)
    standing.replace([plan.schedule for plan in plans if plan.run])
    firings, started, orders = [], [], []
    for plan in plans:
        for due_at, note in plan.verdict.starts:
            if (plan.schedule.pk, due_at) in recorded:
                continue
            firing = Firing(schedule=plan.schedule, due_at=due_at, outcome=Outcome.SKIPPED, reason=_refusal(plan, due_at, standing))
            firings.append(firing)
            if plan.run and not firing.reason:
                firing.outcome, firing.reason = Outcome.FIRED, note
                started.append(firing)
                orders.append(plan.run.in_turn() if standing.admit(plan.schedule) else plan.run)
    for firing, run in zip(started, queue_runs(orders), strict=True):
        firing.run = run
        firing.schedule.run_count += 1
    for count, ids in _by_count(started).items():
        Schedule.objects.filter(pk__in=ids).update(run_count=F("run_count") + count)
    return Firing.objects.bulk_create(firings)


def _refusal(plan: Plan, due_at: datetime, standing: Standing) -> str:
    if plan.refusal:
        return plan.refusal
    if plan.schedule.overlap == Overlap.REPLACE and due_at != plan.verdict.starts[-1][0]:
        return REPLACED
    return standing.refusal(plan.schedule)


def _by_count(started: Sequence[Firing]) -> dict[int, list[int]]:
    """Ids of schedules by how many runs of each were started."""
    found: dict[int, list[int]] = defaultdict(list)
    for pk, count in Counter(firing.schedule.pk for firing in started).items():
        found[count].append(pk)
    return found


def _take(plans: Sequence[Plan]) -> list[Plan]:
    """Move those schedules on that still are as they were read, and return their plans; of several clocks one succeeds."""
    rows = Schedule.objects.filter(pk__in=[plan.schedule.pk for plan in plans], enabled=True).order_by("pk")
    now_there = {row[0]: row[1:] for row in rows.select_for_update(skip_locked=True).values_list("pk", "next_run_at", "updated_at")}
    won = [plan for plan in plans if now_there.get(plan.schedule.pk) == (plan.was, plan.schedule.updated_at)]
    if won:
        _move(won)
    for plan in won:
        plan.schedule.next_run_at, plan.schedule.fault = plan.next_run_at, plan.fault
        changes: dict[str, object] = {"fault": plan.fault} if plan.fault else {}
        if plan.schedule.jitter_seconds:
            changes["next_due_at"] = plan.verdict.following
        if plan.schedule.skip_next_by:
            changes["skip_next_by"] = ""
        if changes:
            Schedule.objects.filter(pk=plan.schedule.pk).update(**changes)
    return won


def _move(won: Sequence[Plan]) -> None:
    """One conditional UPDATE for all; our locks make its condition true, and should it not be, nothing of this batch happens."""
    ids, befores = [plan.schedule.pk for plan in won], {plan.was for plan in won}
    there = Schedule.objects.filter(pk__in=ids, enabled=True, next_run_at__in=befores)
    times = [When(pk=plan.schedule.pk, then=Value(plan.next_run_at, output_field=DateTimeField())) for plan in won]
    # The default is never taken; it gives the expression its type where all times are NULL.
    if there.update(next_run_at=Case(*times, default=F("next_run_at"))) != len(won):
        raise OperationalError("Due schedules changed under their locks.")
