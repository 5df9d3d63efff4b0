"""Times in which due times start nothing: of one schedule, or of all when scheduling is stopped as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone as clock

from accounts.access import require, require_operator
from accounts.models import User
from accounts.roles import Role
from accounts.services import record
from core.errors import Conflict, InvalidInput, NotFound
from events.services import publish_all
from schedules.checks import gather, read_bound
from schedules.ledger import schedule_event
from schedules.models import MAX_REASON, Pause, Schedule

MOST_PAUSES = 50


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses that matter to schedules that are due."""

    rows: tuple[Pause, ...] = ()

    @classmethod
    def of(cls, schedules: Sequence[Schedule], now: datetime) -> "Pauses":
        """One query, none for no schedules."""
        if not schedules:
            return cls()
        first = min(schedule.next_due_at or schedule.next_run_at or now for schedule in schedules)
        rows = Pause.objects.filter(Q(schedule=None) | Q(schedule__in=[schedule.pk for schedule in schedules]), starts_at__lte=now)
        return cls(tuple(rows.filter(Q(ends_at=None) | Q(ends_at__gt=first)).order_by("pk")))

    def refusal(self, schedule: Schedule, due_at: datetime, now: datetime) -> str:
        """Why nothing starts for this due time; empty when no pause covers it, nor the moment at which it would start."""
        for pause in self.rows:
            if pause.schedule_id in (None, schedule.pk) and (pause.covers(due_at) or pause.covers(now)):
                return refusal_of(pause)
        return ""


def refusal_of(pause: Pause) -> str:
    what = f"{pause.by} paused the schedule" if pause.schedule_id else f"{pause.by} stopped scheduling as a whole"
    return f"{what}: {pause.reason}" if pause.reason else f"{what}."


def pauses_of(schedule: Schedule) -> "QuerySet[Pause]":
    """Those that are not over, the earliest first."""
    return schedule.pauses.filter(Q(ends_at=None) | Q(ends_at__gt=clock.now())).order_by("starts_at", "pk")


def paused_now(schedules: Sequence[Schedule]) -> set[int]:
    """The ids of those that a pause of their own keeps from starting at this moment; one query."""
    now = clock.now()
    rows = Pause.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), schedule__in=schedules, starts_at__lte=now)
    return {pk for pk in rows.values_list("schedule_id", flat=True) if pk}


def standstill() -> Pause | None:
    """Who stopped scheduling as a whole, since when and why; None while it goes on."""
    now = clock.now()
    return Pause.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), schedule=None, starts_at__lte=now).order_by("pk").first()


@transaction.atomic
def pause_schedule(*, schedule: Schedule, user: User, starts_at: Any = None, ends_at: Any = None, reason: Any = "") -> Pause:
    """Let due times from `starts_at` (now) to before `ends_at` (until somebody ends it) start nothing; InvalidInput by field.

    A moment without an offset is wall time of the schedule's zone. Each due time is recorded as skipped, with who paused and why.
    Conflict when there are very many pauses already.
    """
    require(user, schedule.team, Role.EDITOR)
    row = _locked(schedule)
    values = _checked(row, starts_at, ends_at, reason)
    if pauses_of(row).count() >= MOST_PAUSES:
        raise Conflict(f"{row.name} has {MOST_PAUSES} pauses already; end one of them first.")
    pause = Pause.objects.create(schedule=row, by=user.username, **values)
    until = pause.ends_at.isoformat() if pause.ends_at else None
    record(user=user, verb="paused", target=row, starts_at=pause.starts_at.isoformat(), ends_at=until, reason=pause.reason)
    publish_all([schedule_event(row)])
    return pause


@transaction.atomic
def end_pause(*, schedule: Schedule, pause_id: int, user: User) -> None:
    """From now on the schedule starts again; one that has not begun is taken back. NotFound for one that is over."""
    require(user, schedule.team, Role.EDITOR)
    row = _locked(schedule)
    pause = pauses_of(row).filter(pk=pause_id).first()
    if pause is None:
        raise NotFound
    _end([pause])
    record(user=user, verb="resumed", target=row, reason=pause.reason)
    publish_all([schedule_event(row)])


@transaction.atomic
def stop_scheduling(*, user: User, reason: Any = "") -> Pause:
    """Let no due time of any schedule start a run until `start_scheduling`. What runs goes on, and "run now" works.

    InvalidInput by field; Conflict when it is stopped already.
    """
    require_operator(user, "Stopping all schedules")
    reason = _reason(reason)
    if standstill():
        raise Conflict("Scheduling is stopped already.")
    pause = Pause.objects.create(schedule=None, starts_at=clock.now(), by=user.username, reason=reason)
    record(user=user, verb="stopped scheduling", target=pause, reason=reason)
    return pause


@transaction.atomic
def start_scheduling(*, user: User) -> None:
    """Let schedules start again; Conflict when they do."""
    require_operator(user, "Starting all schedules")
    rows = list(Pause.objects.select_for_update().filter(Q(ends_at=None) | Q(ends_at__gt=clock.now()), schedule=None))
    if not rows:
        raise Conflict("Scheduling is not stopped.")
    _end(rows)
    record(user=user, verb="started scheduling", target=rows[0])


def _locked(schedule: Schedule) -> Schedule:
    row = Schedule.objects.select_for_update().select_related("team").filter(pk=schedule.pk).first()
    if row is None:
        raise NotFound
    return row


def _end(pauses: Sequence[Pause]) -> None:
    """What has begun stays, so that a due time within it that the clock still has to deal with is told of truly."""
    now = clock.now()
    for pause in pauses:
        if pause.starts_at < now:
            pause.ends_at = now
            pause.save(update_fields=["ends_at"])
        else:
            pause.delete()


def _checked(schedule: Schedule, starts_at: Any, ends_at: Any, reason: Any) -> dict[str, Any]:
    now = clock.now()
    values = gather(
        {
            "starts_at": lambda: read_bound(starts_at, schedule.timezone, "starts_at", now) or now,
            "ends_at": lambda: read_bound(ends_at, schedule.timezone, "ends_at", now),
            "reason": lambda: _reason(reason),
        }
    )
    if values["ends_at"] and values["ends_at"] <= max(now, values["starts_at"]):
        raise InvalidInput.of("ends_at", "It would be over before it begins; choose a later end.")
    return values


def _reason(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput.of("reason", "Use text.")
    text = " ".join(value.split())
    if len(text) > MAX_REASON or not text.isprintable():
        raise InvalidInput.of("reason", f"Use up to {MAX_REASON} readable characters.")
    return text
