"""Verbs about schedules: create, change, delete, enable, run now."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone as clock

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.checks import check_known
from core.errors import Conflict, InvalidInput, NotFound
from core.names import MAX_NAME
from events.services import publish_all
from history.models import Run
from history.orders import RunOrder, check_priority, plan_run
from history.services import queue_runs
from history.status import Trigger
from processes.models import Process
from schedules import checks
from schedules.checks import TIMING_FIELDS, TimingInput, gather
from schedules.ledger import schedule_event, skipped, wake_clock
from schedules.models import Firing, Schedule
from schedules.policies import due_of
from schedules.timing import Arrears, Timing, arrears
from threads.models import Thread

_COPY = " (copy)"
# What else a schedule is made of: whether, with what and under which rules it starts.
POLICIES = ("enabled", "priority", "parameters", "overlap", "missed", "retries", "timeout_seconds")


@transaction.atomic
def create_schedule(
    *,
    team: Team,
    user: User,
    name: str,
    target: Thread | Process,
    kind: str,
    cron: str = "",
    interval_seconds: int | None = None,
    run_at: datetime | str | None = None,
    timezone: str = "UTC",
    starts_at: datetime | str | None = None,
    ends_at: datetime | str | None = None,
    jitter_seconds: int = 0,
    **policies: Any,
) -> Schedule:
    """A new schedule; InvalidInput by field. A moment without an offset is wall time of `timezone`.

    `policies` are those of `POLICIES`; what is left out gets the model's default.

    The target may be one that cannot run yet: each due time then says why nothing came of it.
    """
    require(user, team, Role.EDITOR)
    now = clock.now()
    check_known(policies, POLICIES)
    timing = TimingInput(kind, cron, interval_seconds, run_at, timezone, starts_at, ends_at, jitter_seconds)
    values = gather(
        {
            "name": lambda: checks.checked_name(name),
            "target": lambda: checks.checked_target(target, team),
            "timing": lambda: timing.checked(now),
            **_policy_readers(policies),
        }
    )
    schedule = Schedule(
        team=team,
        created_by=user,
        anchor_at=now.replace(microsecond=0),
        **values.pop("timing"),
        **_target_fields(values.pop("target")),
        **values,
    )
    schedule.save(force_insert=True)
    if schedule.enabled:
        # The dice of its jitter know it by its id.
        _set_next(schedule, now)
        schedule.save(update_fields=["next_run_at", "next_due_at"])
    record(user=user, verb="created", target=schedule)
    _tell(schedule)
    return schedule


def clone_schedule(*, schedule: Schedule, user: User) -> Schedule:
    """A copy by another name, disabled, so that nothing runs twice by mistake; an interval counts from now.

    A moment that has passed (a single time, an end) is left out where that can be, else it is refused by its field.
    """
    now = clock.now()
    fields = {name: getattr(schedule, name) for name in (*TIMING_FIELDS, *POLICIES)}
    if schedule.ends_at and schedule.ends_at <= now:
        fields["ends_at"] = None
    name = f"{schedule.name[: MAX_NAME - len(_COPY)]}{_COPY}"
    return create_schedule(team=schedule.team, user=user, name=name, target=schedule.target, **fields | {"enabled": False})


@transaction.atomic
def change_schedule(*, schedule: Schedule, user: User, **changes: Any) -> Schedule:
    """Change any of the fields that `create_schedule` takes, but not the team; InvalidInput by field. `enabled` as `set_enabled` does it.

    A new timing counts from now; all else leaves the next due time where it is. A due time that has come but was not
    started yet is recorded as skipped when the change ends it.
    """
    require(user, schedule.team, Role.EDITOR)
    now = clock.now()
    row = _locked(schedule)
    fields = _checked_changes(row, changes, now)
    enabled = fields.pop("enabled", None)
    fields = {name: value for name, value in fields.items() if value != getattr(row, name)}
    changed = _change(row, user, fields, now)
    switched = enabled is not None and _switch(row, user, enabled, now)
    if changed or switched:
        _tell(row)
    return row


def _change(row: Schedule, user: User, fields: dict[str, Any], now: datetime) -> bool:
    """Write what is new; False when nothing is."""
    if not fields:
        return False
    moved = not fields.keys().isdisjoint(TIMING_FIELDS)
    if moved:
        _settle(row, now, f"{user.username} changed the schedule before it was started.")
    for name, value in fields.items():
        setattr(row, name, value)
    if moved:
        if {"kind", "interval_seconds"} & fields.keys():
            row.anchor_at = now.replace(microsecond=0)
        row.fault = ""
        _set_next(row, now)
    row.save(update_fields=[*fields, "anchor_at", "fault", "next_run_at", "next_due_at", "updated_at"])
    record(user=user, verb="changed", target=row, fields=sorted(fields))
    return True


@transaction.atomic
def delete_schedule(*, schedule: Schedule, user: User) -> None:
    """Gone with the record of its due times; its runs stay in the history."""
    require(user, schedule.team, Role.EDITOR)
    row = _locked(schedule)
    record(user=user, verb="deleted", target=row)
    event = schedule_event(row, deleted=True)
    row.delete()
    publish_all([event])
    wake_clock()


@transaction.atomic
def set_enabled(*, schedule: Schedule, user: User, enabled: bool) -> Schedule:
    """Let it run, or not; to enable one that was set aside tries it again. Due times while it is disabled count for nothing.

    Conflict for one whose only time has passed.
    """
    require(user, schedule.team, Role.EDITOR)
    enabled = checks.checked_flag(enabled, "enabled")
    row = _locked(schedule)
    if _switch(row, user, enabled, clock.now()):
        _tell(row)
    return row


def _switch(row: Schedule, user: User, enabled: bool, now: datetime) -> bool:
    """Enable or disable; False when it is so already."""
    if row.enabled == enabled and not (enabled and row.fault):
        return False
    if row.kind == "once" and enabled and row.run_at and row.run_at <= now:
        raise Conflict(f"The only time of {row.name} has passed; give it a new one first.")
    _settle(row, now, f"{user.username} disabled the schedule before it was started.")
    row.enabled, row.fault, row.skip_next_by = enabled, "", ""
    _set_next(row, now)
    row.save(update_fields=["enabled", "fault", "skip_next_by", "next_run_at", "next_due_at", "updated_at"])
    record(user=user, verb="enabled" if enabled else "disabled", target=row)
    return True


@transaction.atomic
def skip_next(*, schedule: Schedule, user: User, skip: bool = True) -> Schedule:
    """Leave out its next due time, or (`skip` false) not after all. The record will say who wanted it so.

    Conflict when there is none to come.
    """
    require(user, schedule.team, Role.EDITOR)
    skip = checks.checked_flag(skip, "skip")
    row = _locked(schedule)
    if skip and (not row.enabled or row.next_run_at is None):
        raise Conflict(f"{row.name} has no time to come that could be left out.")
    if bool(row.skip_next_by) != skip:
        row.skip_next_by = user.username if skip else ""
        row.save(update_fields=["skip_next_by", "updated_at"])
        record(user=user, verb="skipped" if skip else "kept", target=row, due_at=row.next_run_at.isoformat() if row.next_run_at else None)
        _tell(row)
    return row


def run_now(*, schedule: Schedule, user: User, trigger: Trigger = Trigger.MANUAL) -> Run:
    """Queue its target now, with its parameters and priority, whether it is enabled or not; its due times stay as they are.

    Conflict when the target cannot run.
    """
    require(user, schedule.team, Role.RUNNER)
    order = RunOrder(
        target=schedule.target,
        trigger=trigger,
        user=user,
        parameters=schedule.parameters,
        priority=schedule.priority,
        schedule_id=schedule.pk,
        schedule_name=schedule.name,
        retries=schedule.retries,
        timeout_seconds=schedule.timeout_seconds,
    )
    plan = plan_run(order)
    with transaction.atomic():
        if not Schedule.objects.filter(pk=schedule.pk).update(run_count=F("run_count") + 1):
            raise NotFound
        [run] = queue_runs([plan])
        record(user=user, verb="started", target=run, schedule=schedule.name)
        schedule.refresh_from_db(fields=["run_count", "next_run_at", "enabled", "fault"])
        publish_all([schedule_event(schedule)])
    return run


def _locked(schedule: Schedule) -> Schedule:
    """The row as it is now, ours until we commit: the clock's compare-and-set waits, then finds it changed."""
    row = Schedule.objects.select_for_update().filter(pk=schedule.pk).first()
    if row is None:
        raise NotFound
    return row


def _policy_readers(given: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """What checks each of the policies that are given."""
    readers: dict[str, Callable[[Any], Any]] = {
        "enabled": lambda value: checks.checked_flag(value, "enabled"),
        "priority": check_priority,
        "parameters": checks.checked_parameters,
        "overlap": checks.checked_overlap,
        "missed": checks.checked_missed,
        "retries": checks.checked_retries,
        "timeout_seconds": checks.checked_timeout,
    }
    return {name: partial(readers[name], given[name]) for name in readers if name in given}


def _checked_changes(row: Schedule, changes: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Model fields from the given ones."""
    check_known(changes, ("name", "target", *POLICIES, *TIMING_FIELDS))
    readers: dict[str, Callable[[], Any]] = {
        "name": lambda: checks.checked_name(changes["name"]),
        "target": lambda: checks.checked_target(changes["target"], row.team),
    }
    wanted = {name: reader for name, reader in readers.items() if name in changes} | _policy_readers(changes)
    if changes.keys() & set(TIMING_FIELDS):
        fields = {name: changes.get(name, getattr(row, name)) for name in TIMING_FIELDS}
        wanted["timing"] = lambda: TimingInput(**fields, kept=(row.run_at, row.ends_at)).checked(now)
    values = gather(wanted)
    if "target" in values:
        values |= _target_fields(values.pop("target"))
    timing_fields: dict[str, Any] = values.pop("timing", {})
    return values | timing_fields


def _target_fields(target: Thread | Process) -> dict[str, Any]:
    is_thread = isinstance(target, Thread)
    return {"thread": target if is_thread else None, "process": None if is_thread else target}


def _set_next(schedule: Schedule, now: datetime) -> None:
    """When it is due next, and when it starts then."""
    schedule.next_due_at = schedule.next_run_at = None
    if schedule.enabled:  # One that cannot be read any more can still be disabled.
        timing = Timing.of(schedule, seed=schedule.pk)
        if due := timing.next_after(now):
            schedule.next_due_at, schedule.next_run_at = due, timing.start_of(due)


def _settle(schedule: Schedule, now: datetime, reason: str) -> None:
    """Write down the due times that have come and that nobody will start any more."""
    if schedule.next_run_at is None or schedule.next_run_at > now:
        return
    due = due_of(schedule, schedule.next_run_at)
    try:
        late = arrears(Timing.of(schedule, seed=schedule.pk), due, now)
    except InvalidInput:
        late = Arrears(times=(due,), earlier=(), following=None)
    times = [*late.earlier, *((at, 1) for at in late.times)]
    Firing.objects.bulk_create(skipped(schedule, times, reason), ignore_conflicts=True)


def _tell(schedule: Schedule) -> None:
    publish_all([schedule_event(schedule)])
    wake_clock()
