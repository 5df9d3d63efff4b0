"""Due times of cron expressions against a slow reference that knows nothing of the code: it asks of every minute what the wall says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schedules.cron import parse

pytestmark = pytest.mark.once

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2035, 12, 31, tzinfo=UTC)
# Half hours and quarters, clock changes of half an hour, at midnight, and for a month in the middle of summer time.
ODD = ("Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham", "Africa/Casablanca", "Europe/Dublin", "America/Santiago", "Asia/Beirut",
       "America/St_Johns", "Antarctica/Troll", "Asia/Gaza")  # fmt: skip
# Often enough to meet each change, by the wall and by elapsed time.
TELLING = ("*/10 * * * *", "*/15 0-3,22-23 * * *", "30 2 * * *", "0 0 * * *", "17 */2 * * 0,6")

Fields = tuple[frozenset[int], frozenset[int], frozenset[int] | None, frozenset[int]]


def reference(fields: Fields, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The due minutes in (start, end]. All 24 hours: whenever the wall shows a time. Else when a wall time is first reached or passed."""
    minutes, hours, days, weekdays = fields

    def shows(wall: datetime) -> bool:
        fits = wall.minute in minutes and wall.hour in hours and (wall.isoweekday() % 7) in weekdays
        return fits and (days is None or wall.day in days)

    due, reached, moment = [], datetime.min, start - DAY  # noqa: DTZ901 - a wall time
    while moment <= end:
        wall = moment.astimezone(zone).replace(tzinfo=None)
        passed = [wall] if len(hours) == 24 else _minutes(max(reached, wall - 3 * HOUR), wall)
        if moment > start and any(map(shows, passed)):
            due.append(moment)
        reached, moment = max(reached, wall), moment + MINUTE
    return due


def _minutes(after: datetime, until: datetime) -> list[datetime]:
    """Wall minutes in (after, until]: one as a rule, none where the clock was set back, many where it was set forward."""
    found = []
    while after < until:
        after += MINUTE
        found.append(after)
    return found


def ours(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    cron, found, moment = parse(expression), list[datetime](), start
    while (due := cron.next_after(moment, zone)) and due <= end:
        found.append(due)
        moment = due
    return found


def fields_of(expression: str) -> Fields:
    """Of what the tests write: numbers, ranges, lists and steps, no day of month that would join the day of week."""
    minute, hour, day, _, weekday = expression.split()
    days = None if day == "*" else _numbers(day, 1, 31)
    return _numbers(minute, 0, 59), _numbers(hour, 0, 23), days, _numbers(weekday, 0, 6)


def _numbers(text: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{least}-{most}" if span == "*" else span).partition("-")
        found |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return frozenset(found)


@cache
def changes(name: str) -> tuple[datetime, ...]:
    """The minutes from 2020 to 2035 at which the zone's clock changes."""
    return tuple(_changes(ZoneInfo(name)))


def _changes(zone: ZoneInfo) -> Iterator[datetime]:
    low = FIRST
    while low < LAST:
        high = low + DAY
        if _offset(zone, low) != _offset(zone, high):
            before, after = low, high
            while after - before > MINUTE:
                middle = before + (after - before) // MINUTE // 2 * MINUTE
                before, after = (middle, after) if _offset(zone, middle) == _offset(zone, low) else (before, middle)
            yield after
        low = high


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def test_the_reference_itself_knows_a_gap_and_an_overlap() -> None:
    """By hand: at 02:00 the clock goes to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October."""
    zone, nightly = ZoneInfo("Europe/Berlin"), fields_of("30 2 * * *")
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert reference(nightly, zone, spring, spring + DAY) == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert reference(nightly, zone, autumn, autumn + DAY) == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]
    assert len(reference(fields_of("0 * * * *"), zone, autumn, autumn + DAY)) == 24


@pytest.mark.parametrize("name", ODD)
def test_no_due_time_is_lost_or_doubled_at_any_change_of_an_odd_clock(name: str) -> None:
    zone = ZoneInfo(name)
    for at in changes(name):
        for expression in TELLING:
            start, end = at - 4 * HOUR, at + 4 * HOUR
            assert ours(expression, zone, start, end) == reference(fields_of(expression), zone, start, end), (expression, at)


def test_no_due_time_is_lost_or_doubled_in_any_zone() -> None:
    """Of changes that are alike, which are most, one is enough."""
    seen: set[object] = set()
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for at in changes(name):
            kind = (at.time(), _offset(zone, at - MINUTE), _offset(zone, at), at.weekday())
            if kind in seen:
                continue
            seen.add(kind)
            for expression in TELLING[1:4]:
                start, end = at - 3 * HOUR, at + 3 * HOUR
                assert ours(expression, zone, start, end) == reference(fields_of(expression), zone, start, end), (name, expression, at)
    assert len(seen) > 50


NUMBER_LISTS = {size: st.lists(st.integers(0, size - 1), min_size=1, max_size=4, unique=True) for size in (60, 24, 7)}


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(available_timezones())),
    minutes=NUMBER_LISTS[60] | st.sampled_from(["*/5", "*/7", "10-50/20"]),
    hours=NUMBER_LISTS[24] | st.sampled_from(["*", "0-4", "*/3", "22-23"]),
    weekdays=NUMBER_LISTS[7] | st.just("*"),
    pick=st.integers(0, 10_000),
    lead=st.integers(0, 20 * 60),
)
def test_any_expression_in_any_zone_agrees_with_the_reference(
    name: str, minutes: list[int] | str, hours: list[int] | str, weekdays: list[int] | str, pick: int, lead: int
) -> None:
    zone = ZoneInfo(name)
    expression = f"{_text(minutes)} {_text(hours)} * * {_text(weekdays)}"
    at = changes(name)[pick % len(changes(name))] if changes(name) else FIRST + pick * 12 * HOUR
    start, end = at - lead * MINUTE, at + 30 * HOUR
    assert ours(expression, zone, start, end) == reference(fields_of(expression), zone, start, end)


def _text(value: list[int] | str) -> str:
    return value if isinstance(value, str) else ",".join(map(str, value))
