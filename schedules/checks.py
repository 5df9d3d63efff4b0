"""What a schedule may be made of. Every wrong input is told by its field, all of them at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Team
from core.errors import InvalidInput
from core.names import clean_name
from core.parameters import check_parameters
from processes.models import Process
from schedules.cron import parse
from schedules.models import MAX_INTERVAL_SECONDS, ScheduleKind
from schedules.zones import instant_of, zone_of
from threads.models import Thread

TIMING_FIELDS = ("kind", "cron", "interval_seconds", "run_at", "timezone")
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
    """The timing fields as given. `kept_run_at` may lie in the past: it is there already."""

    kind: Any
    cron: Any = ""
    interval_seconds: Any = None
    run_at: Any = None
    timezone: Any = "UTC"
    kept_run_at: datetime | None = None

    def checked(self, now: datetime) -> dict[str, Any]:
        """The model's five timing fields; those that the kind does not use are empty. InvalidInput by field."""
        empty = {"cron": "", "interval_seconds": None, "run_at": None}
        readers: dict[str, Callable[[], Any]] = {"kind": self._kind, "timezone": lambda: zone_of(self.timezone).key}
        match self.kind:
            case "cron":
                readers["cron"] = lambda: parse(self.cron).expression
            case "interval":
                readers["interval_seconds"] = self._interval
            case "once":
                readers["run_at"] = lambda: self._run_at(now)
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
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= MAX_INTERVAL_SECONDS:
            raise InvalidInput.of("interval_seconds", f"Use {takes}.")
        return seconds

    def _run_at(self, now: datetime) -> datetime:
        if self.run_at is None or self.run_at == "":
            raise InvalidInput.of("run_at", "Enter when it should run.")
        moment = read_moment(self.run_at, self.timezone, "run_at")
        if moment <= now and moment != self.kept_run_at:
            raise InvalidInput.of("run_at", "That time has passed; choose a later one.")
        if moment - now > _FARTHEST:
            raise InvalidInput.of("run_at", "That is more than 100 years ahead.")
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
