"""Schedules from templates: made by hand in the form, right across a weekend and a clock change."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hands import number_in
from tests.browser.visitor import Visitor
from tests.platform import Platform

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]

# What a watch in Berlin shows, with its offset, written by hand: the clock goes forward on 29 March 2026 and back on 25 October.
HOURS = range(8, 24)
WEEKDAY_HOURLY = {
    "2026-03-27T21:30:00+01:00": [
        *("2026-03-27T22:00:00+01:00", "2026-03-27T23:00:00+01:00"),
        *(f"2026-03-30T{hour:02}:00:00+02:00" for hour in HOURS),
        "2026-03-31T08:00:00+02:00",
    ],
    "2026-10-23T21:30:00+02:00": [
        *("2026-10-23T22:00:00+02:00", "2026-10-23T23:00:00+02:00"),
        *(f"2026-10-26T{hour:02}:00:00+01:00" for hour in HOURS),
        "2026-10-27T08:00:00+01:00",
    ],
}
WEEKEND_THREE_TIMES = {
    "2026-03-27T12:00:00+01:00": [
        *(f"2026-03-28T{hour}:00:00+01:00" for hour in ("09", "15", "21")),
        *(f"2026-03-29T{hour}:00:00+02:00" for hour in ("09", "15", "21")),
        "2026-04-04T09:00:00+02:00",
    ],
    "2026-10-23T12:00:00+02:00": [
        *(f"2026-10-24T{hour}:00:00+02:00" for hour in ("09", "15", "21")),
        *(f"2026-10-25T{hour}:00:00+01:00" for hour in ("09", "15", "21")),
        "2026-10-31T09:00:00+01:00",
    ],
}


def test_weekday_hourly_and_weekend_three_times_from_templates_are_right_across_a_clock_change(visit: Visit, site: Platform) -> None:
    """The page tells the weekend of the next clock change; the API, of the schedule that was saved, two known ones."""
    site.post("threads", {"name": "Fetch rain", "source": "print(1)\n"})
    visitor = visit()
    sunday, before, after = coming_change()
    friday, saturday, monday = (sunday + timedelta(days=days) for days in (-2, -1, 1))
    hourly = make_from_template(
        visitor,
        ("Weekday hourly", "0 8-23 * * 1-5"),
        f"{friday}T20:00:00",
        [*(told(friday, hour, before) for hour in (20, 21, 22, 23)), told(monday, 8, after)],
    )
    thrice = make_from_template(
        visitor,
        ("Weekend three times", "0 9,15,21 * * 6,0"),
        f"{saturday}T10:00:00",
        [*(told(saturday, hour, before) for hour in (15, 21)), *(told(sunday, hour, after) for hour in (9, 15, 21))],
    )
    assert site.get(f"schedules/{hourly}")["next_run_at"] == in_utc(friday, 20, before)
    assert site.get(f"schedules/{thrice}")["next_run_at"] == in_utc(saturday, 15, before)
    for number, known in ((hourly, WEEKDAY_HOURLY), (thrice, WEEKEND_THREE_TIMES)):
        saved = site.get(f"schedules/{number}")
        assert (saved["kind"], saved["timezone"]) == ("cron", "Europe/Berlin")
        for start, expected in known.items():
            asked = {"kind": "cron", "cron": saved["cron"], "timezone": saved["timezone"], "after": start, "count": len(expected)}
            assert site.post("schedules/preview", asked)["next"] == expected


def make_from_template(visitor: Visitor, template: tuple[str, str], starts: str, expected: list[str]) -> int:
    """From the list of schedules to the page of the one that was made; form and page tell the expected times. Returns its id."""
    page, (name, cron) = visitor.page, template
    visitor.go("/schedules/")
    page.get_by_role("link", name="New schedule").click()
    visitor.ready()
    page.get_by_label("What to run").select_option(label="Fetch rain")
    page.get_by_label(re.compile("^Name")).fill(f"{name} rain")
    page.get_by_role("link", name=re.compile(f"^{name}")).click()
    expect(page.get_by_label("Cron expression")).to_have_value(cron)
    expect(page.get_by_label(re.compile("^Name"))).to_have_value(f"{name} rain")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    page.locator("summary", has_text="Rules").click()
    page.get_by_label("Not before").fill(starts)
    expect(times(page)).to_have_text(expected)
    visitor.check()
    visitor.press("Create schedule")
    page.wait_for_url(re.compile(r"/schedules/$"))
    visitor.toast(f"{name} rain is scheduled.")
    page.get_by_role("link", name=f"{name} rain", exact=True).click()
    page.wait_for_url(re.compile(r"/schedules/\d+$"))
    expect(times(page)).to_have_text(expected)
    return number_in(page)


def times(page: Page) -> Any:
    return page.locator(".preview-times .num")


def coming_change() -> tuple[date, str, str]:
    """The Sunday of the European Union's next clock change that has a whole weekend before it, and Berlin's time before and after it."""
    today = datetime.now(UTC).date()
    changes = []
    for year in (today.year, today.year + 1):
        changes += [(last_sunday(year, 3), "CET", "CEST"), (last_sunday(year, 10), "CEST", "CET")]
    return next(change for change in changes if change[0] - today > timedelta(days=4))


def last_sunday(year: int, month: int) -> date:
    """Of a month of 31 days."""
    last = date(year, month, 31)
    return last - timedelta(days=last.isoweekday() % 7)


def told(day: date, hour: int, zone: str) -> str:
    """As the page says it; the year only where it is not this one."""
    year = "" if day.year == datetime.now(UTC).year else f" {day.year}"
    return f"{day:%a} {day.day} {day:%b}{year}, {hour:02}:00 {zone}"


def in_utc(day: date, hour: int, zone: str) -> str:
    return f"{day}T{hour - {'CET': 1, 'CEST': 2}[zone]:02}:00:00Z"


def test_without_a_script_a_template_is_a_link_to_the_form_that_begins_with_it(visit: Visit, site: Platform) -> None:
    site.post("threads", {"name": "Sweep up", "source": "print(1)\n"})
    page = visit(java_script_enabled=False).page
    page.goto("/schedules/new")
    page.get_by_role("link", name=re.compile("^Weekly clean-up")).click()
    expect(page.get_by_label("Cron expression")).to_have_value("0 2 * * 0")
    page.get_by_label("What to run").select_option(label="Sweep up")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("button", name="Create schedule").click()
    page.wait_for_url(re.compile(r"/schedules/$"))
    [made] = site.get("schedules?q=Sweep")["results"]
    assert (made["cron"], made["timezone"], made["enabled"]) == ("0 2 * * 0", "Europe/Berlin", True)
