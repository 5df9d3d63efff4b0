"""The templates of schedules: when they run across the weekends of clock changes, and how form, list and API offer them."""

from typing import Any

import pytest
from django.test import Client

from schedules.preview import preview
from schedules.templates import TEMPLATES, template_of
from tests.conftest import People

SPRING, AUTUMN = "2026-03-27T21:30:00", "2026-10-23T21:30:00"
# Wall times of Berlin with their offsets, written by hand: on 29 March 02:00 is 03:00, on 25 October 02:00 comes twice.
COMING = [
    ("weekday-hourly", SPRING, ["03-27T22:00+01", "03-27T23:00+01", "03-30T08:00+02", "03-30T09:00+02"]),
    ("weekday-hourly", AUTUMN, ["10-23T22:00+02", "10-23T23:00+02", "10-26T08:00+01", "10-26T09:00+01"]),
    ("weekend-three-times", SPRING, ["03-28T09:00+01", "03-28T15:00+01", "03-28T21:00+01", "03-29T09:00+02"]),
    ("weekend-three-times", AUTUMN, ["10-24T09:00+02", "10-24T15:00+02", "10-24T21:00+02", "10-25T09:00+01"]),
    ("daily-evaluation", SPRING, ["03-28T07:00+01", "03-29T07:00+02", "03-30T07:00+02"]),
    ("daily-evaluation", AUTUMN, ["10-24T07:00+02", "10-25T07:00+01", "10-26T07:00+01"]),
    ("weekly-clean-up", SPRING, ["03-29T03:00+02", "04-05T02:00+02", "04-12T02:00+02"]),
    ("weekly-clean-up", AUTUMN, ["10-25T02:00+02", "11-01T02:00+01", "11-08T02:00+01"]),
]


@pytest.mark.parametrize(("key", "after", "expected"), COMING)
def test_each_template_keeps_its_wall_times_across_a_clock_change(key: str, after: str, expected: list[str]) -> None:
    template = template_of(key)
    assert template
    found = preview(kind="cron", cron=template.cron, timezone="Europe/Berlin", after=after, count=len(expected))
    assert [moment.isoformat() for moment in found.next] == [f"2026-{time[:11]}:00{time[11:]}:00" for time in expected]


def test_an_address_with_a_template_opens_the_form_with_it(people: People, as_user: Any, make_thread: Any) -> None:
    client, target = as_user(people.editor), f"thread:{make_thread().pk}"
    for template in TEMPLATES:
        form = client.get("/schedules/new", {"template": template.key, "target": target}).context["form"]
        assert (form["kind"].value(), form["cron"].value(), form["target"].value()) == ("cron", template.cron, target)


def test_each_template_is_a_link_in_the_form_that_keeps_the_target(people: People, as_user: Any) -> None:
    page = as_user(people.editor).get("/schedules/new?target=thread:5").content.decode()
    for template in TEMPLATES:
        assert f'href="?target=thread%3A5&amp;template={template.key}"' in page
        assert template.words in page


def test_a_template_that_is_not_there_changes_nothing(people: People, as_user: Any) -> None:
    client: Client = as_user(people.editor)
    plain, odd = (client.get(f"/schedules/new{query}") for query in ("", "?template=hourly%00"))
    assert odd.status_code == 200
    assert odd.context["form"]["cron"].value() == plain.context["form"]["cron"].value()


def test_a_template_replaces_the_timing_of_a_schedule_that_is_edited(people: People, as_user: Any, make_schedule: Any) -> None:
    schedule = make_schedule(kind="interval", cron="", interval_seconds=60, timezone="Europe/Berlin")
    form = as_user(people.editor).get(f"/schedules/{schedule.pk}/edit?template=weekly-clean-up").context["form"]
    assert (form["kind"].value(), form["cron"].value(), form["timezone"].value()) == ("cron", "0 2 * * 0", "Europe/Berlin")


def test_who_has_no_schedules_yet_is_offered_the_templates(people: People, as_user: Any) -> None:
    pages = {name: as_user(getattr(people, name)).get("/schedules/").content.decode() for name in ("editor", "viewer")}
    for template in TEMPLATES:
        address = f'href="/schedules/new?template={template.key}"'
        assert address in pages["editor"]
        assert address not in pages["viewer"]


def test_the_api_lists_the_templates(people: People, as_user: Any) -> None:
    listed = as_user(people.viewer).get("/api/v1/schedules/templates").json()["templates"]
    assert [(row["key"], row["cron"]) for row in listed] == [
        ("weekday-hourly", "0 8-23 * * 1-5"),
        ("weekend-three-times", "0 9,15,21 * * 6,0"),
        ("daily-evaluation", "0 7 * * *"),
        ("weekly-clean-up", "0 2 * * 0"),
    ]
