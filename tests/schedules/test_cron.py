"""Cron expressions: what is refused and how, what is said of them, and that clock changes lose and double nothing."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.errors import InvalidInput
from schedules.cron import describe, parse
from schedules.zones import instant_of, reached_wall, shifts

pytestmark = pytest.mark.once

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 29, tzinfo=BERLIN)
AUTUMN = datetime(2026, 10, 25, tzinfo=BERLIN)
EXPRESSIONS = ("30 2 * * *", "*/15 2 * * *", "0 * * * *", "*/7 * * * *", "0 */2 * * *", "15,45 1-3 * * *", "0 0 * * *", "30 0 * * 0",
               "0 3 * * *", "5 23 L * *", "0 12 * * MON#2", "59 1,2 29,25 3,10 *", "20 0-23 * * 6")  # fmt: skip
ZONES = ("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "UTC")
COUNTED_FROM = (
    datetime(2026, 3, 28, 7, 13, 5, tzinfo=UTC),
    datetime(2026, 4, 3, 14, 0, tzinfo=UTC),
    datetime(2026, 9, 5, 3, 30, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 31, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
)


def wall(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


def times_of(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    cron, found = parse(expression), list[datetime]()
    while (due := cron.next_after(start, zone)) and due <= end:
        found.append(due)
        start = due
    return found


def on_day(expression: str, day: datetime) -> list[str]:
    """Local times with their offsets, on the day that begins at `day`."""
    end = (day + timedelta(days=1)).astimezone(UTC) - timedelta(seconds=1)
    return [
        f"{time.astimezone(BERLIN):%H:%M%z}"[:8] for time in times_of(expression, BERLIN, day.astimezone(UTC) - timedelta(seconds=1), end)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("61 * * * *", "Minute: 61 cannot be used; it accepts 0 to 59"),
        ("0 24 * * *", "Hour: 24 cannot be used; it accepts 0 to 23"),
        ("0 0 32 * *", "Day of month: 32"),
        ("0 0 * 13 *", "Month: 13"),
        ("0 0 * * 8", "Day of week: 8"),
        ("*/0 * * * *", "Minute: */0"),
        ("*/70 * * * *", "Minute: the step of */70 goes beyond"),
        ("30-10 * * * *", "Minute: 30-10"),
        ("0 0 ? * *", "Day of month: ?"),
        ("\0 * * * *", "Minute: � cannot"),
        ("٣ * * * *", "Minute: ٣ cannot"),
        ("0 0 31 2 *", "Day 31 of month 2 never comes"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 2,4,6,9,11 *", "never comes"),
        ("0 0 */30 2 MON#2", "Day */30 of month 2 on day of week MON#2 never comes"),
        ("* * * *", "This one has 4."),
        ("* * * * * *", "This one has 6. Seconds are not a field here."),
        ("", "Give a cron expression"),
        ("   ", "Give a cron expression"),
        ("@reboot", "@reboot is not known; use @yearly"),
        ("* " * 200, "the limit is 200"),
        (None, "as text"),
        (5, "as text"),
    ],
)
def test_a_wrong_expression_is_refused_by_field_with_what_it_takes(text: object, words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(text)
    assert words in refusal.value.fields["cron"][0]


def test_each_wrong_part_has_its_own_message() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse("61 25 * * MONDAY")
    assert [message.split(":")[0] for message in refusal.value.fields["cron"]] == ["Minute", "Hour", "Day of week"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 8-23 * * 1-5", "Every hour from 08:00 through 23:00 on Monday through Friday"),
        ("0 9,15,21 * * 6,0", "At 09:00, 15:00, and 21:00 on Saturday and Sunday"),
        ("0 7 * * *", "At 07:00 every day"),
        ("0 2 * * 0", "At 02:00 on Sunday"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/5 8-18 * * mon", "Every 5 minutes from 08:00 through 18:59 on Monday"),
        ("0 */2 * * *", "Every 2 hours"),
        ("@hourly", "Every hour"),
        ("@Daily", "At 00:00 every day"),
        ("* * * * *", "Every minute"),
        ("0 0 L * *", "At 00:00 on the last day of every month"),
    ],
)
def test_an_expression_reads_in_plain_words(text: str, words: str) -> None:
    assert describe(parse(text)) == words


def test_a_time_that_does_not_exist_runs_when_the_clock_has_jumped_over_it() -> None:
    assert on_day("30 2 * * *", SPRING) == ["03:00+02"]
    assert on_day("*/15 2 * * *", SPRING) == ["03:00+02"]
    assert on_day("30 2,3 * * *", SPRING) == ["03:00+02", "03:30+02"]
    assert on_day("0 2-3 * * *", SPRING) == ["03:00+02"]
    assert on_day("0 */2 * * *", SPRING)[:3] == ["00:00+01", "03:00+02", "04:00+02"]


def test_a_time_that_comes_twice_runs_once() -> None:
    assert on_day("30 2 * * *", AUTUMN) == ["02:30+02"]
    assert on_day("*/15 2 * * *", AUTUMN) == ["02:00+02", "02:15+02", "02:30+02", "02:45+02"]
    assert on_day("0 */2 * * *", AUTUMN)[:3] == ["00:00+02", "02:00+02", "04:00+01"]


def test_an_expression_of_all_hours_follows_elapsed_time() -> None:
    assert on_day("0 * * * *", SPRING)[1:4] == ["01:00+01", "03:00+02", "04:00+02"]
    assert on_day("0 * * * *", AUTUMN)[1:5] == ["01:00+02", "02:00+02", "02:00+01", "03:00+01"]
    assert on_day("30 0-23 * * *", AUTUMN) == on_day("30 * * * *", AUTUMN)
    assert len(on_day("0 * * * *", SPRING)) == 23
    assert len(on_day("0 * * * *", AUTUMN)) == 25


@pytest.mark.parametrize("minute", range(0, 60, 10))
def test_a_start_within_the_repeated_hour_never_leads_into_the_past(minute: int) -> None:
    """cronsim alone returns 02:30+02:00 here, an hour ago."""
    moment = datetime(2026, 10, 25, 2, minute, tzinfo=BERLIN, fold=1)
    due = parse("30 2 * * *").next_after(moment, BERLIN)
    assert due == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


def test_two_years_of_nights_have_one_run_each() -> None:
    times = times_of("30 2 * * *", BERLIN, datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    assert len({time.astimezone(BERLIN).date() for time in times}) == len(times) == 730


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("zone_name", ZONES)
def test_times_ascend_and_do_not_depend_on_where_one_starts(expression: str, zone_name: str) -> None:
    zone, cron = ZoneInfo(zone_name), parse(expression)
    for month in (3, 4, 9, 10):
        start, end = datetime(2026, month, 20, tzinfo=UTC), datetime(2026, month, 20, tzinfo=UTC) + timedelta(days=13)
        times = times_of(expression, zone, start, end)
        assert times == sorted(set(times))
        for time in times[:: max(1, len(times) // 40)]:
            assert cron.next_after(time - timedelta(microseconds=1), zone) == time


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("zone_name", ZONES)
def test_counting_agrees_with_going_through_one_by_one(expression: str, zone_name: str) -> None:
    zone, cron = ZoneInfo(zone_name), parse(expression)
    for start in COUNTED_FROM:
        for span in (timedelta(minutes=45), timedelta(hours=17), timedelta(days=9, minutes=1)):
            assert cron.count(start, start + span, zone) == len(times_of(expression, zone, start, start + span)), (start, span)


def test_the_clock_changes_of_a_year_are_found_to_the_second() -> None:
    found = list(shifts(BERLIN, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert [shift.at for shift in found] == [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]
    assert [shift.is_gap for shift in found] == [True, False]
    assert (found[0].before.hour, found[0].after.hour) == (2, 3)


def test_wall_times_and_instants_agree_around_a_gap_and_an_overlap() -> None:
    assert instant_of(wall(2026, 3, 29, 2, 30), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert instant_of(wall(2026, 10, 25, 2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert instant_of(wall(2011, 12, 30, 12, 0), ZoneInfo("Pacific/Apia")) == datetime(2011, 12, 30, 10, tzinfo=UTC)
    second_pass = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)
    assert reached_wall(second_pass, BERLIN) == wall(2026, 10, 25, 3) - timedelta(microseconds=1)
