"""What a schedule may be made of. Every wrong input is told by its field, all of them at once."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import TextChoices

from accounts.models import Team
from core.checks import is_whole
from core.errors import InvalidInput
from core.names import clean_name
from core.parameters import check_parameters
from processes.models import Process
from schedules.cron import parse
from schedules.models import MAX_INTERVAL_SECONDS, MAX_JITTER_SECONDS, Missed, Overlap, ScheduleKind
from schedules.zones import instant_of, zone_of
from threads.models import Thread
from threads.repeats import retries_fault
from threads.services import timeout_fault

TIMING_FIELDS = ("kind", "cron", "interval_seconds", "run_at", "timezone", "starts_at", "ends_at", "jitter_seconds")
# Kinds that come again and again: the others know neither a start nor an end nor jitter.
REPEATING = (ScheduleKind.CRON, ScheduleKind.INTERVAL)
_FARTHEST = timedelta(days=100 * 366)


def gather(readers: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each reader gives, by its name; InvalidInput with the messages of all that refuse."""
    values: dict[str, Any] = {}
    faults: dict[str, list[str]] = {}
    for name, reader in readers.items():
        try:
            values[name] = reader()
        except InvalidInput as error:
            faults |= error.fields or {name: [error.message]}
    if faults:
        first = next(iter(faults.values()))[0]
        raise InvalidInput(first, fields=faults)
    return values


@dataclass(frozen=True, slots=True)
class TimingInput:
    """The timing fields as given. The moments of `kept` may lie in the past: they are there already."""

    kind: Any
    cron: Any = ""
    interval_seconds: Any = None
    run_at: Any = None
    timezone: Any = "UTC"
    starts_at: Any = None
    ends_at: Any = None
    jitter_seconds: Any = 0
    kept: Collection[datetime | None] = ()

    def checked(self, now: datetime) -> dict[str, Any]:
        """The model's timing fields; those that the kind does not use are empty. InvalidInput by field."""
        empty = {"cron": "", "interval_seconds": None, "run_at": None, "starts_at": None, "ends_at": None, "jitter_seconds": 0}
        readers: dict[str, Callable[[], Any]] = {"kind": self._kind, "timezone": lambda: zone_of(self.timezone).key}
        match self.kind:
            case "cron":
                readers["cron"] = lambda: parse(self.cron).expression
            case "interval":
                readers["interval_seconds"] = self._interval
            case "once":
                readers["run_at"] = lambda: self._run_at(now)
        if self.kind in REPEATING:
            readers |= {"starts_at": lambda: self._bound("starts_at", now), "jitter_seconds": self._jitter}
            readers["ends_at"] = lambda: self._ends_at(now)
        return empty | gather(readers)

    def _kind(self) -> str:
        if not isinstance(self.kind, str) or self.kind not in ScheduleKind.values:
            raise InvalidInput.of("kind", f"Use one of {', '.join(ScheduleKind.values)}.")
        return str(self.kind)

    def _interval(self) -> int:
        seconds = self.interval_seconds
        takes = f"a whole number of seconds from 1 to {MAX_INTERVAL_SECONDS:,} (366 days)"
        if seconds is None:
            raise InvalidInput.of("interval_seconds", f"Enter how often: {takes}.")
        if not is_whole(seconds, 1, MAX_INTERVAL_SECONDS):
            raise InvalidInput.of("interval_seconds", f"Use {takes}.")
        return int(seconds)

    def _jitter(self) -> int:
        if not is_whole(self.jitter_seconds, 0, MAX_JITTER_SECONDS):
            raise InvalidInput.of("jitter_seconds", f"Use a whole number of seconds from 0 to {MAX_JITTER_SECONDS:,} (a day).")
        return int(self.jitter_seconds)

    def _run_at(self, now: datetime) -> datetime:
        if self.run_at is None or self.run_at == "":
            raise InvalidInput.of("run_at", "Enter when it should run.")
        moment = read_moment(self.run_at, self.timezone, "run_at")
        if moment <= now and moment not in self.kept:
            raise InvalidInput.of("run_at", "That time has passed; choose a later one.")
        if moment - now > _FARTHEST:
            raise InvalidInput.of("run_at", "That is more than 100 years ahead.")
        return moment

    def _bound(self, field: str, now: datetime) -> datetime | None:
        """The first or the last moment of the schedule, None for none."""
        return read_bound(getattr(self, field), self.timezone, field, now)

    def _ends_at(self, now: datetime) -> datetime | None:
        end = self._bound("ends_at", now)
        if end is None:
            return None
        if end <= now and end not in self.kept:
            raise InvalidInput.of("ends_at", "That time has passed; choose a later one.")
        try:
            start = self._bound("starts_at", now)
        except InvalidInput:
            return end  # That is told by its own field.
        if start and start >= end:
            raise InvalidInput.of("ends_at", "It would end before it starts; choose a later end.")
        return end


def read_bound(given: Any, zone_name: Any, field: str, now: datetime) -> datetime | None:
    """As `read_moment`, None for nothing given; InvalidInput, too, for what is more than 100 years ahead."""
    if given is None or given == "":
        return None
    moment = read_moment(given, zone_name, field)
    if moment - now > _FARTHEST:
        raise InvalidInput.of(field, "That is more than 100 years ahead.")
    return moment


def read_moment(value: Any, zone_name: Any, field: str) -> datetime:
    """An instant (UTC) from a datetime or ISO 8601 text; without an offset it is wall time of the zone. InvalidInput by field."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InvalidInput.of(field, "Use a date and time like 2026-03-29T14:30, or with an offset like +02:00.") from None
    if not isinstance(value, datetime):
        raise InvalidInput.of(field, "Use a date and a time.")
    # Far from the ends of the calendar, so that no zone's arithmetic leaves it.
    if not 1970 <= value.year < 9000:
        raise InvalidInput.of(field, "Use a year from 1970 on, not that far ahead.")
    if value.tzinfo is None:
        return instant_of(value, zone_of(zone_name))
    return value.astimezone(UTC)


def checked_target(target: Any, team: Team) -> Thread | Process:
    if not isinstance(target, (Thread, Process)) or target.pk is None:
        raise InvalidInput.of("target", "Choose a thread or a process.")
    if target.team_id != team.pk:
        raise InvalidInput.of("target", f"{target.name} belongs to another team.")
    return target


def checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise InvalidInput.of("name", "Give it a name.")
    return clean_name(name)


def checked_flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput.of(field, "Use true or false.")
    return value


def checked_parameters(value: Any) -> dict[str, Any]:
    return {} if value is None else check_parameters(value)


def checked_overlap(value: Any) -> str:
    return _one_of(Overlap, value, "overlap")


def checked_missed(value: Any) -> str:
    return _one_of(Missed, value, "missed")


def _one_of(choices: type[TextChoices], value: Any, field: str) -> str:
    if not isinstance(value, str) or value not in choices.values:
        raise InvalidInput.of(field, f"Use one of {', '.join(choices.values)}.")
    return str(value)


def checked_retries(value: Any) -> int | None:
    """None: those of the threads count."""
    if value is None:
        return None
    if fault := retries_fault(value):
        raise InvalidInput.of("retries", fault)
    return int(value)


def checked_timeout(value: Any) -> int | None:
    """None: those of the threads count."""
    if value is None:
        return None
    if fault := timeout_fault(value):
        raise InvalidInput.of("timeout_seconds", fault)
    return int(value)
