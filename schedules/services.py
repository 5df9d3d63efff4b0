"""Verbs about schedules: create, change, delete, enable, run now."""

from datetime import datetime
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
from schedules.timing import Arrears, Timing, arrears
from threads.models import Thread


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
    enabled: bool = True,
    priority: int = 0,
    parameters: dict[str, Any] | None = None,
) -> Schedule:
    """A new schedule; InvalidInput by field. A `run_at` without an offset is wall time of `timezone`.

    The target may be one that cannot run yet: each due time then says why nothing came of it.
    """
    require(user, team, Role.EDITOR)
    now = clock.now()
    timing = TimingInput(kind=kind, cron=cron, interval_seconds=interval_seconds, run_at=run_at, timezone=timezone)
    values = gather(
        {
            "name": lambda: checks.checked_name(name),
            "target": lambda: checks.checked_target(target, team),
            "timing": lambda: timing.checked(now),
            "enabled": lambda: checks.checked_flag(enabled, "enabled"),
            "priority": lambda: check_priority(priority),
            "parameters": lambda: checks.checked_parameters(parameters),
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
    schedule.next_run_at = _next_run_at(schedule, now)
    schedule.save(force_insert=True)
    record(user=user, verb="created", target=schedule)
    _tell(schedule)
    return schedule


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
        row.next_run_at = _next_run_at(row, now)
    row.save(update_fields=[*fields, "anchor_at", "fault", "next_run_at", "updated_at"])
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
    row.enabled, row.fault = enabled, ""
    row.next_run_at = _next_run_at(row, now)
    row.save(update_fields=["enabled", "fault", "next_run_at", "updated_at"])
    record(user=user, verb="enabled" if enabled else "disabled", target=row)
    return True


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


def _checked_changes(row: Schedule, changes: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Model fields from the given ones."""
    check_known(changes, ("name", "target", "enabled", "priority", "parameters", *TIMING_FIELDS))
    readers: dict[str, Any] = {
        "name": lambda: checks.checked_name(changes["name"]),
        "target": lambda: checks.checked_target(changes["target"], row.team),
        "enabled": lambda: checks.checked_flag(changes["enabled"], "enabled"),
        "priority": lambda: check_priority(changes["priority"]),
        "parameters": lambda: checks.checked_parameters(changes["parameters"]),
    }
    wanted = {name: reader for name, reader in readers.items() if name in changes}
    if changes.keys() & set(TIMING_FIELDS):
        timing = TimingInput(**{name: changes.get(name, getattr(row, name)) for name in TIMING_FIELDS}, kept_run_at=row.run_at)
        wanted["timing"] = lambda: timing.checked(now)
    values = gather(wanted)
    if "target" in values:
        values |= _target_fields(values.pop("target"))
    timing_fields: dict[str, Any] = values.pop("timing", {})
    return values | timing_fields


def _target_fields(target: Thread | Process) -> dict[str, Any]:
    is_thread = isinstance(target, Thread)
    return {"thread": target if is_thread else None, "process": None if is_thread else target}


def _next_run_at(schedule: Schedule, now: datetime) -> datetime | None:
    return Timing.of(schedule).next_after(now) if schedule.enabled else None


def _settle(schedule: Schedule, now: datetime, reason: str) -> None:
    """Write down the due times that have come and that nobody will start any more."""
    due = schedule.next_run_at
    if due is None or due > now:
        return
    try:
        late = arrears(Timing.of(schedule), due, now)
    except InvalidInput:
        late = Arrears(latest=due, missed=(), following=None)
    Firing.objects.bulk_create(skipped(schedule, (*late.missed, (late.latest, 1)), reason), ignore_conflicts=True)


def _tell(schedule: Schedule) -> None:
    publish_all([schedule_event(schedule)])
    wake_clock()
