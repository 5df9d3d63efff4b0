"""Due times of a kind, what is in arrears, and previews."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.errors import InvalidInput
from schedules.cron import parse
from schedules.models import Schedule
from schedules.preview import preview
from schedules.timing import MOST_SINGLE_ROWS, Timing, arrears

pytestmark = pytest.mark.once

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
BERLIN = "Europe/Berlin"


def every(seconds: int) -> Timing:
    return Timing(kind="interval", zone=UTC_ZONE, interval=timedelta(seconds=seconds), anchor_at=NOON)


def cron(text: str, zone: str = "UTC") -> Timing:
    return Timing(kind="cron", zone=ZoneInfo(zone), cron=parse(text))


def test_an_interval_stays_on_its_anchor_however_late_one_looks() -> None:
    timing = every(90)
    assert timing.next_after(NOON) == NOON + timedelta(seconds=90)
    assert timing.next_after(NOON + timedelta(seconds=91.7)) == NOON + timedelta(seconds=180)
    assert timing.next_after(NOON + timedelta(days=365, seconds=1)) == NOON + timedelta(days=365, seconds=90)
    assert timing.next_after(NOON - timedelta(days=1)) == NOON + timedelta(seconds=90)


def test_once_is_due_once() -> None:
    timing = Timing(kind="once", zone=UTC_ZONE, run_at=NOON)
    assert timing.next_after(NOON - timedelta(seconds=1)) == NOON
    assert timing.next_after(NOON) is None


def test_what_is_started_by_hand_is_never_due() -> None:
    assert Timing(kind="manual", zone=UTC_ZONE).next_after(NOON) is None


def test_all_times_that_have_come_are_told() -> None:
    due = NOON + timedelta(seconds=60)
    late = arrears(every(60), due, NOON + timedelta(seconds=250))
    assert late.times == tuple(NOON + timedelta(seconds=second) for second in (60, 120, 180, 240))
    assert (late.earlier, late.following) == ((), NOON + timedelta(seconds=300))


def test_nothing_is_missed_when_only_one_time_has_come() -> None:
    late = arrears(cron("0 * * * *"), NOON, NOON + timedelta(minutes=59))
    assert (late.times, late.earlier, late.following) == ((NOON,), (), NOON + timedelta(hours=1))


@pytest.mark.parametrize("timing", [every(1), every(7), cron("* * * * *"), cron("*/7 * * * *", BERLIN), cron("*/3 1-4 * * *", BERLIN)])
def test_of_a_long_row_the_last_are_told_and_the_others_counted(timing: Timing) -> None:
    due = timing.next_after(datetime(2026, 10, 20, tzinfo=UTC))
    assert due
    until = due + timedelta(days=8)
    late = arrears(timing, due, until)
    times = [due]
    while (following := timing.next_after(times[-1])) and following <= until:
        times.append(following)
    assert late.earlier == ((due, len(times) - MOST_SINGLE_ROWS),)
    assert (list(late.times), late.following) == (times[-MOST_SINGLE_ROWS:], following)


def test_a_year_of_missed_minutes_is_counted_in_no_time() -> None:
    import time

    began = time.process_time()
    late = arrears(cron("* * * * *", BERLIN), NOON, NOON + timedelta(days=365))
    assert late.earlier == ((NOON, 365 * 1440 + 1 - MOST_SINGLE_ROWS),)
    assert time.process_time() - began < 1


def test_a_little_more_than_the_most_single_rows_is_still_told_one_by_one() -> None:
    due = NOON + timedelta(seconds=60)
    assert arrears(every(60), due, due + timedelta(minutes=MOST_SINGLE_ROWS)).earlier == ()
    assert arrears(every(60), due, due + timedelta(minutes=MOST_SINGLE_ROWS + 1)).earlier == ((due, 2),)


def test_there_are_no_times_before_the_start_and_after_the_end() -> None:
    start, end = NOON + timedelta(days=2), NOON + timedelta(days=3, hours=2)
    timing = replace(cron("0 13 * * *"), starts_at=start, ends_at=end)
    first = timing.next_after(NOON)
    assert first == start + timedelta(hours=1)
    assert timing.next_after(first) == end - timedelta(hours=1)
    assert timing.next_after(end - timedelta(hours=1)) is None
    assert timing.count(NOON, NOON + timedelta(days=30)) == 2
    assert arrears(timing, first, NOON + timedelta(days=30)).following is None


def test_an_interval_begins_at_its_start_itself() -> None:
    row = Schedule(kind="interval", interval_seconds=90, starts_at=NOON + timedelta(hours=1), anchor_at=NOON)
    timing = Timing.of(row)
    assert timing.next_after(NOON) == NOON + timedelta(hours=1)
    assert timing.next_after(NOON + timedelta(hours=1)) == NOON + timedelta(hours=1, seconds=90)


def test_jitter_moves_each_time_by_its_own_and_always_the_same() -> None:
    timing = replace(every(600), jitter=timedelta(seconds=60), seed=7)
    times = [NOON + timedelta(seconds=600 * n) for n in range(1, 200)]
    moved = [timing.start_of(time) - time for time in times]
    assert moved == [timing.start_of(time) - time for time in times]
    assert all(timedelta(0) <= span < timedelta(seconds=60) for span in moved)
    assert min(moved) < timedelta(seconds=5) < timedelta(seconds=55) < max(moved)
    assert moved != [replace(timing, seed=8).start_of(time) - time for time in times]


def test_a_time_whose_jitter_has_not_passed_is_still_to_come() -> None:
    timing = replace(every(60), jitter=timedelta(seconds=59), seed=1)
    due = NOON + timedelta(seconds=60)
    late = arrears(timing, due, timing.start_of(due + timedelta(seconds=60)) - timedelta(microseconds=1))
    assert (late.times, late.following) == ((due,), due + timedelta(seconds=60))


def test_a_preview_gives_times_in_the_zone_of_the_schedule() -> None:
    found = preview(kind="cron", cron="0 7 * * *", timezone=BERLIN, after="2026-05-04T12:00", count=2)
    assert [time.isoformat() for time in found.next] == ["2026-05-05T07:00:00+02:00", "2026-05-06T07:00:00+02:00"]
    assert found.description == "At 07:00 every day (Europe/Berlin)"
    assert found.notes == []


def test_a_preview_says_what_clock_changes_do() -> None:
    night = preview(kind="cron", cron="30 2 * * *", timezone=BERLIN, after="2026-03-01T00:00")
    assert night.notes == ["02:30 does not exist on 29 March: runs at 03:00.", "02:30 comes twice on 25 October: runs the first time only."]
    quarter = preview(kind="cron", cron="*/15 2 * * *", timezone=BERLIN, after="2026-03-01T00:00")
    assert quarter.notes[0] == "02:00, 02:15, 02:30 and 02:45 do not exist on 29 March: runs once at 03:00."
    hourly = preview(kind="cron", cron="0 * * * *", timezone=BERLIN, after="2026-03-01T00:00")
    assert hourly.notes == [
        "On 29 March the clock goes from 02:00 to 03:00: 02:00 does not exist.",
        "02:00 comes twice on 25 October: runs both times, for it follows elapsed time.",
    ]
    many = preview(kind="cron", cron="*/5 2 * * *", timezone=BERLIN, after="2026-03-01T00:00")
    assert many.notes[0].startswith("The 12 times from 02:00 to 02:55 do not exist on 29 March")
    assert preview(kind="cron", cron="30 2 * * *", timezone="UTC").notes == []
    assert preview(kind="cron", cron="30 2 * * 1", timezone=BERLIN, after="2026-03-01T00:00").notes == []


def test_a_preview_of_whole_days_as_interval_warns_that_the_time_of_day_moves() -> None:
    found = preview(kind="interval", interval_seconds=86400, timezone=BERLIN, after="2026-03-01T00:00")
    assert found.description == "Every day"
    assert "from 29 March on" in found.notes[0]


def test_a_preview_of_the_other_kinds() -> None:
    assert preview(kind="interval", interval_seconds=5400).description == "Every 1 hour 30 minutes"
    once = preview(kind="once", run_at="2026-05-05T07:30", timezone=BERLIN, after=NOON)
    assert once.description == "Once, on 5 May 2026 at 07:30 (Europe/Berlin)"
    assert [time.isoformat() for time in once.next] == ["2026-05-05T07:30:00+02:00"]
    manual = preview(kind="manual")
    assert (manual.next, manual.description) == ([], "Manual only")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "cron", "cron": "61 * * * *"}, "cron"),
        ({"kind": "cron"}, "cron"),
        ({"kind": "cron", "cron": ["0 7 * * *"]}, "cron"),
        ({"kind": "interval"}, "interval_seconds"),
        ({"kind": "interval", "interval_seconds": 0}, "interval_seconds"),
        ({"kind": "interval", "interval_seconds": 10**9}, "interval_seconds"),
        ({"kind": "interval", "interval_seconds": "60"}, "interval_seconds"),
        ({"kind": "interval", "interval_seconds": True}, "interval_seconds"),
        ({"kind": "once"}, "run_at"),
        ({"kind": "once", "run_at": "2020-01-01T00:00"}, "run_at"),
        ({"kind": "once", "run_at": "9999-12-31T23:59"}, "run_at"),
        ({"kind": "once", "run_at": "2300-12-31T23:59"}, "run_at"),
        ({"kind": "once", "run_at": "tomorrow"}, "run_at"),
        ({"kind": "once", "run_at": 5}, "run_at"),
        ({"kind": "weekly"}, "kind"),
        ({"kind": ["cron"]}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": "manual", "timezone": "Europe/Atlantis"}, "timezone"),
        ({"kind": "manual", "timezone": "../../etc/passwd"}, "timezone"),
        ({"kind": "manual", "timezone": "\0"}, "timezone"),
        ({"kind": "manual", "timezone": None}, "timezone"),
        ({"kind": "manual", "count": 0}, "count"),
        ({"kind": "manual", "count": 101}, "count"),
        ({"kind": "manual", "count": "5"}, "count"),
        ({"kind": "cron", "cron": "0 7 * * *", "after": "9999-12-31T23:59"}, "after"),
        ({"kind": "cron", "cron": "0 7 * * *", "after": "0001-01-01T00:00"}, "after"),
        ({"kind": "cron", "cron": "0 7 * * *", "after": "soon"}, "after"),
    ],
)
def test_a_preview_of_nonsense_is_refused_by_field(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        preview(**given)
    assert list(refusal.value.fields) == [field]
