"""The form of a schedule: what it makes, what it refuses, and its preview."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from schedules.forms import wall_notes
from schedules.models import Schedule
from tests.conftest import People
from threads.services import create_folder

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]
NEW, PREVIEW = "/schedules/new", "/schedules/preview"


def form(target: Any = None, **fields: Any) -> dict[str, Any]:
    """The schedule's form as a browser sends it: the fields of all kinds, filled or not."""
    chosen = f"{target._meta.model_name}:{target.pk}" if target is not None else ""
    all_fields = {
        "name": "Nightly",
        "target": chosen,
        "kind": "cron",
        "cron": "0 7 * * *",
        "interval": "1",
        "unit": "hours",
        "run_at": "",
        "timezone": "Europe/Berlin",
        "priority": "0",
        "enabled": "on",
        **fields,
    }
    return {name: value for name, value in all_fields.items() if value is not None}


# Making one


def test_a_cron_schedule_is_made_in_its_zone(people: People, as_user: AsUser, make_process: Make) -> None:
    process = make_process()
    sent = form(process, priority="5", **{"parameter-name": ["limit"], "parameter-value": ["10"]})
    response = as_user(people.editor).post(NEW, sent)
    assert response["Location"] == reverse("schedules:list")
    schedule = Schedule.objects.get()
    assert (schedule.target, schedule.team, schedule.cron, schedule.timezone) == (process, people.team, "0 7 * * *", "Europe/Berlin")
    assert (schedule.priority, schedule.parameters, schedule.enabled) == (5, {"limit": 10}, True)
    assert schedule.next_run_at is not None


def test_an_interval_is_a_number_and_a_unit(people: People, as_user: AsUser, make_thread: Make) -> None:
    as_user(people.editor).post(NEW, form(make_thread(), kind="interval", interval="15", unit="minutes", cron="nonsense of another kind"))
    schedule = Schedule.objects.get()
    assert (schedule.kind, schedule.interval_seconds, schedule.cron) == ("interval", 900, "")


def test_once_is_wall_time_of_the_chosen_zone(people: People, as_user: AsUser, make_thread: Make) -> None:
    as_user(people.editor).post(NEW, form(make_thread(), kind="once", run_at="2087-07-01T12:00", timezone="America/New_York"))
    assert Schedule.objects.get().run_at == datetime(2087, 7, 1, 16, tzinfo=UTC)


def test_by_hand_only_never_comes_due(people: People, as_user: AsUser, make_thread: Make) -> None:
    as_user(people.editor).post(NEW, form(make_thread(), kind="manual", enabled=None))
    schedule = Schedule.objects.get()
    assert (schedule.kind, schedule.next_run_at, schedule.enabled) == ("manual", None, False)


def test_without_a_name_it_takes_that_of_its_target(people: People, as_user: AsUser, make_thread: Make) -> None:
    as_user(people.editor).post(NEW, form(make_thread("Fetch pages"), name=" "))
    assert Schedule.objects.get().name == "Fetch pages"


BAD_FORMS = [
    ({"cron": "61 * * * *"}, "cron", "61"),
    ({"cron": "0 7 * *"}, "cron", "5 fields"),
    ({"cron": "0 0 31 2 *"}, "cron", "31"),
    ({"cron": ""}, "cron", "Give a cron expression"),
    ({"kind": "interval", "interval": "0"}, "interval", "from 1"),
    ({"kind": "interval", "interval": "-5"}, "interval", "whole number"),
    ({"kind": "interval", "interval": "1.5"}, "interval", "whole number"),
    ({"kind": "interval", "interval": "9" * 30}, "interval", "whole number"),
    ({"kind": "interval", "interval": "999999999", "unit": "days"}, "interval", "from 1"),
    ({"kind": "interval", "interval": ""}, "interval", "Enter how often"),
    ({"kind": "once", "run_at": "2001-01-01T00:00"}, "run_at", "has passed"),
    ({"kind": "once", "run_at": "tomorrow"}, "run_at", "Use a date and time"),
    ({"kind": "once", "run_at": "99999-01-01T00:00"}, "run_at", "Use a date and time"),
    ({"kind": "once", "run_at": ""}, "run_at", "Choose the day and the time."),
    ({"timezone": "Mars/Olympus"}, "timezone", "There is no time zone"),
    ({"timezone": ""}, "timezone", "Choose a time zone"),
    ({"priority": "101"}, "priority", "from -100 to 100"),
    ({"priority": "high"}, "priority", "whole number"),
    ({"name": "x" * 300}, "name", "the limit is 100"),
    ({"name": "!!"}, "name", "at least one letter or digit"),
    ({"target": ""}, "target", "Choose a thread or a process."),
    ({"target": "thread:999999"}, "target", "Choose a thread or a process."),
    ({"target": "nonsense"}, "target", "Choose a thread or a process."),
]


@pytest.mark.parametrize(("wrong", "field", "said"), BAD_FORMS)
def test_a_bad_field_is_told_beside_it_and_everything_typed_is_kept(
    people: People, as_user: AsUser, make_thread: Make, wrong: dict[str, str], field: str, said: str
) -> None:
    rows = {"parameter-name": ["kept"], "parameter-value": ["as typed"]}
    response = as_user(people.editor).post(NEW, {**form(make_thread()), **rows, **wrong})
    text = response.content.decode()
    assert response.status_code == 422
    errors = text.partition(f'id="id_{field}_error"')[2].partition("</ul>")[0]
    assert said in errors
    assert 'value="as typed"' in text
    typed = wrong.get(field, "")
    assert field == "target" or not typed or f'value="{typed}"' in text
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "sometimes"}, {"kind": None}, {"unit": "fortnights", "kind": "interval"}, {"cron": "\0"}, {"run_at": "\0", "kind": "once"}],
)
def test_what_no_browser_sends_is_refused_too(people: People, as_user: AsUser, make_thread: Make, wrong: dict[str, Any]) -> None:
    assert as_user(people.editor).post(NEW, form(make_thread(), **wrong)).status_code == 422
    assert as_user(people.editor).post(PREVIEW, form(make_thread(), **wrong), headers=PARTIAL).status_code == 200
    assert not Schedule.objects.exists()


def test_faulty_parameters_are_told_and_kept(people: People, as_user: AsUser, make_thread: Make) -> None:
    rows = {"parameter-name": ["a", "a"], "parameter-value": ["1", "2"]}
    response = as_user(people.editor).post(NEW, form(make_thread(), **rows))
    assert response.status_code == 422
    assert "There are two parameters" in response.content.decode()
    assert response.context["pairs"] == [("a", "1"), ("a", "2")]


def test_a_target_of_another_team_cannot_be_chosen(people: People, as_user: AsUser, make_thread: Make) -> None:
    theirs = make_thread("Theirs", team=people.other_team, user=people.stranger)
    assert as_user(people.editor).post(NEW, form(theirs)).status_code == 422
    assert "Theirs" not in as_user(people.editor).get(NEW).content.decode()


# The preview


def test_the_preview_tells_times_and_words_before_anything_is_saved(people: People, as_user: AsUser) -> None:
    text = as_user(people.editor).post(PREVIEW, form(cron="30 7 * * *", timezone="Asia/Tokyo"), headers=PARTIAL).content.decode()
    assert text.count("07:30 JST") == 5
    assert "At 07:30 every day (Asia/Tokyo)" in text
    assert "<html" not in text
    assert not Schedule.objects.exists()


def test_the_preview_reads_no_threads_and_no_processes(people: People, as_user: AsUser, make_process: Make) -> None:
    make_process()
    client = as_user(people.editor)
    with CaptureQueriesContext(connection) as captured:
        client.post(PREVIEW, form(), headers=PARTIAL)
    assert not [query["sql"] for query in captured if "threads_thread" in query["sql"] or "processes_process" in query["sql"]]


def test_the_targets_are_read_once_to_check_and_to_show_them(people: People, as_user: AsUser, make_process: Make) -> None:
    make_process()
    client = as_user(people.editor)
    with CaptureQueriesContext(connection) as captured:
        page = client.post(NEW, form(cron="61 * * * *")).content.decode()
    assert "Nightly" in page
    assert sum('FROM "processes_process"' in query["sql"] for query in captured) == 1


def test_the_preview_names_the_faulty_part(people: People, as_user: AsUser) -> None:
    text = as_user(people.editor).post(PREVIEW, form(cron="61 * * * *"), headers=PARTIAL).content.decode()
    assert "61" in text
    assert "preview-fault" in text


def test_the_preview_tells_what_a_clock_change_does(people: People, as_user: AsUser) -> None:
    text = as_user(people.editor).post(PREVIEW, form(cron="30 2 * * *"), headers=PARTIAL).content.decode()
    assert "02:30 does not exist on" in text
    assert "02:30 comes twice on" in text


def test_a_wall_time_that_is_jumped_over_or_comes_twice_is_told() -> None:
    assert wall_notes("2027-03-28T02:30", "Europe/Berlin") == [
        "02:30 does not exist on 28 March 2027, the clock jumps over it: runs at 03:00.",
    ]
    assert wall_notes("2027-10-31T02:30", "Europe/Berlin") == ["02:30 comes twice on 31 October 2027: runs the first time."]
    assert wall_notes("2027-06-01T02:30", "Europe/Berlin") == []
    assert wall_notes("nonsense", "Europe/Berlin") == wall_notes("2027-06-01T02:30", "Nowhere") == []


def test_the_preview_of_once_tells_of_the_jumped_over_time(people: People, as_user: AsUser) -> None:
    text = as_user(people.editor).post(PREVIEW, form(kind="once", run_at="2087-03-30T02:30"), headers=PARTIAL).content.decode()
    assert "02:30 does not exist on 30 March 2087" in text
    assert "03:00 CEST" in text


def test_the_new_form_begins_with_a_preview_of_its_first_values(people: People, as_user: AsUser, make_process: Make) -> None:
    process = make_process()
    page = as_user(people.editor).get(NEW, {"target": f"process:{process.pk}"}).content.decode()
    assert "At 07:00 every day (UTC)" in page
    assert f'<option value="process:{process.pk}" selected>' in page


# Changing one


def test_the_form_shows_what_is_saved_and_saving_it_changes_nothing(people: People, as_user: AsUser, make_schedule: Make) -> None:
    soon = timezone.now().replace(microsecond=0) + timedelta(days=400)
    made = [
        make_schedule("Cron", timezone="Asia/Tokyo", parameters={"n": 10, "s": "10"}, priority=-3),
        make_schedule("Interval", kind="interval", cron="", interval_seconds=5400),
        make_schedule("Once", kind="once", cron="", run_at=soon, timezone="America/New_York"),
        make_schedule("Manual", kind="manual", cron="", enabled=False),
    ]
    client = as_user(people.editor)
    for schedule in made:
        before = Schedule.objects.filter(pk=schedule.pk).values().get()
        shown = client.get(reverse("schedules:edit", args=[schedule.pk])).context["form"]
        sent = {name: shown.get_initial_for_field(field, name) for name, field in shown.fields.items()}
        rows = {"parameter-name": [name for name, _ in shown.pairs], "parameter-value": [value for _, value in shown.pairs]}
        sent["enabled"] = "on" if sent["enabled"] else None
        response = client.post(
            reverse("schedules:edit", args=[schedule.pk]), {name: value for name, value in (sent | rows).items() if value is not None}
        )
        assert response["Location"] == reverse("schedules:detail", args=[schedule.pk])
        after = Schedule.objects.filter(pk=schedule.pk).values().get()
        assert {name: value for name, value in after.items() if name != "updated_at"} == {
            n: v for n, v in before.items() if n != "updated_at"
        }


def test_a_change_is_saved_and_a_bad_one_is_not(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule()
    client, url = as_user(people.editor), reverse("schedules:edit", args=[schedule.pk])
    client.post(url, form(schedule.target, name="Renamed", kind="interval", interval="2", unit="days"))
    schedule.refresh_from_db()
    assert (schedule.name, schedule.kind, schedule.interval_seconds) == ("Renamed", "interval", 172800)
    refused = client.post(url, form(schedule.target, cron="99 * * * *"))
    schedule.refresh_from_db()
    assert (refused.status_code, schedule.kind) == (422, "interval")


def test_all_faults_are_told_at_once(people: People, as_user: AsUser) -> None:
    text = as_user(people.editor).post(NEW, form(cron="61 * * * *", timezone="Mars/Olympus", priority="high")).content.decode()
    for field in ("target", "timezone", "priority"):
        assert f'id="id_{field}_error"' in text
    text = as_user(people.editor).post(NEW, form(cron="61 * * * *")).content.decode()
    assert 'id="id_target_error"' in text
    assert "61" in text.partition('id="id_cron_error"')[2].partition("</ul>")[0]


def test_targets_of_one_name_are_told_apart(people: People, as_user: AsUser, make_thread: Make, make_process: Make) -> None:
    folder = create_folder(team=people.team, user=people.editor, name="Daily")
    other = make_thread("Other", folder=folder)
    for name, place in (("report", None), ("Report", None), ("Report", folder)):
        make_thread(name, folder=place)
    for _ in range(2):
        make_process("Nightly", [other])
    page = as_user(people.editor).get(NEW).content.decode()
    labels = re.findall(r'<option value="(?:thread|process):\d+">([^<]+)', page)
    assert labels == ["Nightly (nightly)", "Nightly (nightly-2)", "Other", "report (report)", "Report (report-2)", "Report (in Daily)"]
