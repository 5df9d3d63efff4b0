"""The next times of a schedule that is not saved yet, in words, and what clock changes do to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone as clock

from core.errors import InvalidInput
from core.text import span_words
from schedules.checks import TimingInput, read_moment
from schedules.cron import Cron, describe
from schedules.models import Missed, Overlap, Schedule, ScheduleKind
from schedules.timing import Timed, Timing
from schedules.zones import Shift, shifts, zone_of, zone_to_show

MAX_COUNT = 100
_HORIZON = timedelta(days=360)
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Preview:
    """`next`: due times in the schedule's own zone, ascending. `notes`: what clock changes do within the coming year."""

    next: list[datetime]
    description: str
    notes: list[str]


@dataclass
class _Unsaved:
    kind: str
    cron: str
    interval_seconds: int | None
    run_at: datetime | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    jitter_seconds: int
    anchor_at: datetime


def preview(*, after: Any = None, count: Any = 5, timezone: Any = "UTC", **timing: Any) -> Preview:
    """The `count` due times (1 to 100) after `after` (default: now) of a timing as `TimingInput` takes it; InvalidInput by field."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
        raise InvalidInput.of("count", f"Use a whole number from 1 to {MAX_COUNT}.")
    zone_name = zone_of(timezone).key
    start = clock.now() if after is None or after == "" else read_moment(after, zone_name, "after")
    fields = TimingInput(timezone=zone_name, **timing).checked(start)
    row = _Unsaved(**fields, anchor_at=start.replace(microsecond=0))
    found = Timing.of(row)
    return Preview(next=_times(found, start, count), description=description_of(row), notes=notes_of(found, start))


def _times(timing: Timing, moment: datetime, count: int) -> list[datetime]:
    times: list[datetime] = []
    while len(times) < count and (following := timing.next_after(moment)):
        times.append(following.astimezone(timing.zone))
        moment = following
    return times


def description_of(row: Timed) -> str:
    """When it runs, in plain words: "At 07:00 every day (Europe/Berlin)"."""
    timing = Timing.of(row)
    if timing.cron:
        words = describe(timing.cron)
    elif timing.interval:
        return f"Every {re.sub(r'^1 (?=[a-z]+$)', '', span_words(timing.interval.total_seconds(), parts=4))}"
    elif timing.run_at:
        local = timing.run_at.astimezone(timing.zone)
        words = f"Once, on {local.day} {local:%B %Y at %H:%M:%S}".removesuffix(":00")
    else:
        return ScheduleKind(row.kind).label
    return f"{words} ({timing.zone.key})"


def rules_of(schedule: Schedule) -> list[tuple[str, str]]:
    """What differs from an ordinary schedule, as names and words."""
    zone = zone_to_show(schedule.timezone)
    bounds = [(name, at) for name, at in (("Starts", schedule.starts_at), ("Ends", schedule.ends_at)) if at]
    rules = [(name, f"{at.astimezone(zone):%Y-%m-%d %H:%M}") for name, at in bounds]
    if schedule.jitter_seconds:
        rules.append(("Spread", f"up to {span_words(schedule.jitter_seconds)} later"))
    if schedule.overlap != Overlap.ALLOW:
        rules.append(("While an earlier run goes on", Overlap(schedule.overlap).label.lower()))
    if schedule.missed != Missed.LATEST:
        rules.append(("Missed times", Missed(schedule.missed).label.lower()))
    if schedule.retries is not None:
        rules.append(("Retries", str(schedule.retries)))
    if schedule.timeout_seconds is not None:
        rules.append(("Timeout of a step", span_words(schedule.timeout_seconds)))
    return rules


def notes_of(timing: Timing, start: datetime) -> list[str]:
    """What the clock changes within a year from `start` do to this schedule, a sentence each."""
    changes = list(shifts(timing.zone, start, start + _HORIZON))
    return [*_bound_notes(timing, start), *_change_notes(timing, changes)]


def _bound_notes(timing: Timing, start: datetime) -> list[str]:
    notes = []
    if timing.jitter:
        notes.append(f"Each time starts up to {span_words(timing.jitter.total_seconds())} later, so that not all start at once.")
    if timing.ends_at and timing.next_after(start) is None:
        notes.append("No time is left before it ends: it would never run.")
    return notes


def _change_notes(timing: Timing, changes: Sequence[Shift]) -> list[str]:
    if timing.cron:
        return [note for shift in changes if (note := _cron_note(timing.cron, shift))]
    if timing.interval and changes and timing.interval % timedelta(days=1) == timedelta(0):
        return [f"Intervals count elapsed time: from {_day(changes[0])} on it runs at another time of day. A cron expression keeps it."]
    return []


def _cron_note(cron: Cron, shift: Shift) -> str:
    """Empty when the change does nothing to this expression."""
    walls = cron.walls_within(min(shift.before, shift.after), max(shift.before, shift.after))
    if not walls:
        return ""
    several, day = len(walls) > 1, _day(shift)
    names = _names(walls)
    missing = f"{names} {'do' if several else 'does'} not exist"
    twice = f"{names} {'come' if several else 'comes'} twice on {day}"
    if shift.is_gap and cron.every_hour:
        return f"On {day} the clock goes from {shift.before:%H:%M} to {shift.after:%H:%M}: {missing}."
    if shift.is_gap:
        return f"{missing} on {day}: runs {'once ' if several else ''}at {shift.after:%H:%M}."
    if cron.every_hour:
        return f"{twice}: runs both times, for it follows elapsed time."
    return f"{twice}: runs the first time only."


def _day(shift: Shift) -> str:
    return f"{shift.before.day} {shift.before:%B}"


def _names(walls: list[datetime]) -> str:
    if len(walls) > _MOST_NAMED:
        return f"The {len(walls)} times from {walls[0]:%H:%M} to {walls[-1]:%H:%M}"
    names = [f"{wall:%H:%M}" for wall in walls]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
