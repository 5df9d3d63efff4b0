"""Cron expressions of five fields: read by cronsim, with faults that name the field, and told in words.

Clock changes. An expression whose hours are all 24 follows elapsed time: it skips an hour that does not exist and
runs through one that comes twice. Any other names wall times: one that does not exist comes when the clock has
jumped over it, one that comes twice counts the first time. So no run is lost, and none is doubled.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

from core.errors import InvalidInput
from core.text import printable
from schedules.zones import instant_of, offset_at, reached_wall, shifts

MAX_LENGTH = 200
WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_INSTANT = timedelta(microseconds=1)
_ALL_HOURS = set(range(24))


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One of the five fields: its name for people, what it takes, how many values it has."""

    field: Field
    name: str
    takes: str
    size: int


RULES = (
    FieldRule(Field.MINUTE, "Minute", "0 to 59", 60),
    FieldRule(Field.HOUR, "Hour", "0 to 23", 24),
    FieldRule(Field.DAY, "Day of month", "1 to 31, L for the last day", 31),
    FieldRule(Field.MONTH, "Month", "1 to 12 or JAN to DEC", 12),
    FieldRule(Field.DOW, "Day of week", "0 to 7 (0 and 7 are Sunday) or SUN to SAT", 7),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A valid expression. `fields` is what cronsim reads; `slots` are its times of a day in seconds, ascending."""

    expression: str
    fields: str
    every_hour: bool
    slots: tuple[int, ...]
    rule: CronSim

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first due time (UTC) strictly after `moment`; None when none comes within 50 years."""
        base = moment.astimezone(UTC)
        local = moment.astimezone(zone)
        by_wall = not self.every_hour or zone.key == "UTC"
        for found in CronSim(self.fields, local.replace(tzinfo=None) if by_wall else local):
            due = instant_of(found, zone) if found.tzinfo is None else found.astimezone(UTC)
            # In the hour that comes twice the wall clock is behind the instant: what came already does not come again.
            if due > base:
                return due
        return None

    def count(self, after: datetime, until: datetime, zone: ZoneInfo) -> int:
        """How many due times lie in (after, until]; costs a look per day, not per due time."""
        if until <= after:
            return 0
        return self._count_elapsed(after, until, zone) if self.every_hour else self._count_wall(after, until, zone)

    def _count_elapsed(self, after: datetime, until: datetime, zone: ZoneInfo) -> int:
        total = 0
        for shift in shifts(zone, after, until):
            # The instant of the jump itself has the new wall time.
            total += self.walls_between(*_walls(after, shift.at - _INSTANT, offset_at(after, zone)))
            after = shift.at - _INSTANT
        return total + self.walls_between(*_walls(after, until, offset_at(until, zone)))

    def _count_wall(self, after: datetime, until: datetime, zone: ZoneInfo) -> int:
        total = self.walls_between(reached_wall(after, zone), reached_wall(until, zone))
        for shift in shifts(zone, after, until):
            if shift.is_gap:  # All that was jumped over comes as one.
                total -= max(0, self.walls_between(shift.before - _INSTANT, shift.after) - 1)
        return total

    def walls_between(self, after: datetime, until: datetime) -> int:
        """How many wall times lie in (after, until], both naive."""
        if until <= after:
            return 0
        total = sum(len(self.slots) for day in _days(after.date(), until.date()) if self.has_day(day))
        if self.has_day(after.date()):
            total -= bisect_right(self.slots, _second_of_day(after))
        if self.has_day(until.date()):
            total -= len(self.slots) - bisect_right(self.slots, _second_of_day(until))
        return total

    def walls_within(self, start: datetime, end: datetime) -> list[datetime]:
        """The wall times in [start, end), both naive."""
        midnights = [datetime.combine(day, datetime.min.time()) for day in _days(start.date(), end.date()) if self.has_day(day)]
        walls = (midnight + timedelta(seconds=slot) for midnight in midnights for slot in self.slots)
        return [wall for wall in walls if start <= wall < end]

    def has_day(self, day: date) -> bool:
        return day.month in self.rule.months and bool(self.rule.match_day(day))


def _walls(after: datetime, until: datetime, offset: timedelta) -> tuple[datetime, datetime]:
    return (after.astimezone(UTC) + offset).replace(tzinfo=None), (until.astimezone(UTC) + offset).replace(tzinfo=None)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _second_of_day(wall: datetime) -> float:
    return wall.hour * 3600 + wall.minute * 60 + wall.second + wall.microsecond / 1_000_000


def parse(text: object) -> Cron:
    """The expression, or InvalidInput by `cron` with one message for each part that is wrong."""
    if not isinstance(text, str):
        raise InvalidInput.of("cron", "Write the cron expression as text, like 0 7 * * *.")
    if len(text) > MAX_LENGTH:
        raise InvalidInput.of("cron", f"The expression has {len(text)} characters; the limit is {MAX_LENGTH}.")
    return _parse(text)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Cron:
    expression = " ".join(text.split())
    parts = _five_parts(expression)
    faults = [fault for rule, part in zip(RULES, parts, strict=True) if (fault := _fault_of(rule, part))]
    if faults:
        raise InvalidInput(faults[0], fields={"cron": faults})
    every_hour = Field.HOUR.parse(parts[1]) == _ALL_HOURS
    if every_hour:
        parts[1] = "*"
    fields = " ".join(parts)
    try:
        rule = CronSim(fields, datetime(2000, 1, 1))  # noqa: DTZ001 - wall times
        next(rule)
    except (CronSimError, StopIteration):
        raise InvalidInput.of("cron", f"{_day_words(parts)} never comes; change the day or the month.") from None
    slots = tuple(hour * 3600 + minute * 60 for hour in sorted(rule.hours) for minute in sorted(rule.minutes))
    return Cron(expression=expression, fields=fields, every_hour=every_hour, slots=slots, rule=rule)


def _five_parts(expression: str) -> list[str]:
    if not expression:
        raise InvalidInput.of("cron", "Give a cron expression: minute, hour, day of month, month, day of week, like 0 7 * * *.")
    if expression.startswith("@"):
        if expression.lower() not in WORDS:
            raise InvalidInput.of("cron", f"{expression[:40]} is not known; use {', '.join(WORDS)} or five fields.")
        expression = WORDS[expression.lower()]
    parts = expression.upper().split(" ")
    if len(parts) != 5:
        hint = " Seconds are not a field here." if len(parts) == 6 else ""
        raise InvalidInput.of(
            "cron", f"A cron expression has 5 fields: minute, hour, day of month, month, day of week. This one has {len(parts)}.{hint}"
        )
    return parts


def _fault_of(rule: FieldRule, part: str) -> str | None:
    """What is wrong with one field, in words that say what it takes; None when nothing is."""
    takes = f"it accepts {rule.takes}; * for every; lists (1,2), ranges (1-5) and steps (*/2)."
    shown = printable(part[:40]) + ("…" if len(part) > 40 else "")
    try:
        values = rule.field.parse(part)
    except (CronSimError, AssertionError, ValueError, TypeError):
        return f"{rule.name}: {shown} cannot be used; {takes}"
    steps = [int(step) for step in re.findall(r"/(\d+)", part)]
    if any(step >= rule.size for step in steps):
        return f"{rule.name}: the step of {shown} goes beyond its {rule.size} values; {takes}"
    return None if values else f"{rule.name}: {shown} leaves nothing; {takes}"


def _day_words(parts: list[str]) -> str:
    return f"Day {parts[2]} of month {parts[3]}" + (f" on day of week {parts[4]}" if parts[4] != "*" else "")


_NUMBERS = {"second": 2, "third": 3, "fourth": 4, "sixth": 6, "eighth": 8}
_EACH_NTH_MINUTE = re.compile(r"^Every \w+ minute(?: of every hour|(?= from ))")
_EACH_HOUR = re.compile(r"^At the start of every hour\b")
_FROM_TO = re.compile(r"^At minute 0 past every hour from (\d+) through (\d+)")
_EACH_NTH = re.compile(rf"^At minute 0 past every ({'|'.join(_NUMBERS)}) hour")
_EVENLY = {f"*/{n}": f"Every {n} minutes" for n in (2, 3, 4, 5, 6, 10, 12, 15, 20, 30)}


def describe(cron: Cron) -> str:
    """The expression in plain words: "At 07:00 every day"."""
    words = str(CronSim(cron.fields, datetime(2000, 1, 1)).explain())  # noqa: DTZ001 - wall times
    minute = cron.fields.split(" ")[0]
    if minute in _EVENLY:
        words = _EACH_NTH_MINUTE.sub(_EVENLY[minute], words)
    words = _EACH_HOUR.sub("Every hour", words)
    words = _FROM_TO.sub(lambda match: f"Every hour from {match[1]:0>2}:00 through {match[2]:0>2}:00", words)
    return _EACH_NTH.sub(lambda match: f"Every {_NUMBERS[match[1]]} hours", words)
