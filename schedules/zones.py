"""Time zones and their clock changes: what a wall time means as an instant, and when the wall clock jumps."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from core.errors import InvalidInput

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@cache
def zone_names() -> frozenset[str]:
    """All zones that can be chosen; read from disk once."""
    return frozenset(available_timezones())


def zone_of(name: object) -> ZoneInfo:
    """The zone of that name; InvalidInput by `timezone` for one that does not exist."""
    if not isinstance(name, str) or name not in zone_names():
        raise InvalidInput.of("timezone", f"There is no time zone {str(name)[:64]!r}; use one like Europe/Berlin, or UTC.")
    return ZoneInfo(name)


def zone_to_show(name: str) -> ZoneInfo:
    """The zone of that name; UTC for one that was abolished, which is told elsewhere."""
    return ZoneInfo(name if name in zone_names() else "UTC")


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of the wall clock: at the instant `at` it jumps from `before` to `after` (naive wall times)."""

    at: datetime
    before: datetime
    after: datetime

    @property
    def is_gap(self) -> bool:
        """Wall times from `before` up to `after` do not exist; else those from `after` up to `before` come twice."""
        return self.after > self.before


def offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def shifts(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Shift]:
    """The clock changes in (start, end], in order. Sampled daily: two within a day that cancel out are not seen."""
    if zone.key == "UTC":
        return
    low = start.astimezone(UTC)
    while low < end:
        high = min(low + _DAY, end.astimezone(UTC))
        if offset_at(low, zone) != offset_at(high, zone):
            yield _shift_between(zone, low, high)
        low = high


def _shift_between(zone: ZoneInfo, low: datetime, high: datetime) -> Shift:
    """The one change in (low, high], found by halving; changes happen at whole seconds."""
    low, high = low.replace(microsecond=0), high
    before, after = offset_at(low, zone), offset_at(high, zone)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2 or 1)
        if offset_at(middle, zone) == before:
            low = middle
        else:
            high = middle
    at = high if high.microsecond == 0 else low + _SECOND
    wall = at.replace(tzinfo=None)
    return Shift(at=at, before=wall + before, after=wall + after)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which a naive wall time comes first; one that does not exist comes when the clock has jumped over it."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return early
    # In a gap, fold 0 reads the wall time by the old offset and fold 1 by the new one: the jump lies between them.
    late = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _shift_between(zone, min(early, late) - _SECOND, max(early, late)).at


def reached_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """The latest naive wall time that has come (or was jumped over) by `moment`; it never goes back."""
    local = moment.astimezone(zone)
    if not local.fold:
        return local.replace(tzinfo=None)
    first = local.replace(fold=0).astimezone(UTC)
    shift = _shift_between(zone, first, moment.astimezone(UTC))
    return shift.before - timedelta(microseconds=1)
