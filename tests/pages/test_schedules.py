"""The pages about schedules: the list, what one does in it, and the record of due times."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from history.models import Run
from schedules.firing import fire_next
from schedules.models import Firing, Outcome, Schedule
from tests.conftest import People

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]
NEW = "/schedules/new"


# Enabling, running, deleting


def test_a_schedule_is_switched_off_and_on_in_its_row(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule()
    client, url = as_user(people.editor), reverse("schedules:toggle", args=[schedule.pk])
    row = client.post(url, {}, headers=PARTIAL)
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_run_at) == (False, None)
    assert f'id="schedule-{schedule.pk}"' in row.content.decode()
    assert "is disabled" in row["HX-Trigger"]
    assert client.post(url, {"enabled": "on"})["Location"] == reverse("schedules:detail", args=[schedule.pk])
    schedule.refresh_from_db()
    assert schedule.enabled


def test_one_whose_only_time_has_passed_is_not_switched_on_and_says_why(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule(kind="once", cron="", run_at=timezone.now() + timedelta(days=1), enabled=False)
    Schedule.objects.filter(pk=schedule.pk).update(run_at=timezone.now() - timedelta(days=1))
    row = as_user(people.editor).post(reverse("schedules:toggle", args=[schedule.pk]), {"enabled": "on"}, headers=PARTIAL)
    assert "has passed" in row["HX-Trigger"]
    assert "checked" not in row.content.decode()


def test_a_schedule_is_run_now_and_its_due_times_stay(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule(parameters={"n": 1})
    client, url = as_user(people.runner), reverse("schedules:run", args=[schedule.pk])
    row = client.post(url, headers=PARTIAL)
    run = Run.objects.get()
    assert (run.schedule_id, run.schedule_name, run.parameters) == (schedule.pk, "Nightly", {"n": 1})
    assert "Queued" in row.content.decode()
    assert client.post(url)["Location"] == reverse("history:run", args=[Run.objects.latest("pk").pk])


def test_one_that_cannot_run_now_says_why(people: People, as_user: AsUser, make_schedule: Make, make_thread: Make) -> None:
    schedule = make_schedule(target=make_thread(source=None))
    row = as_user(people.runner).post(reverse("schedules:run", args=[schedule.pk]), headers=PARTIAL)
    assert "has no saved version yet" in row["HX-Trigger"]
    page = as_user(people.runner).post(reverse("schedules:run", args=[schedule.pk]), follow=True)
    assert "has no saved version yet" in page.content.decode()
    assert not Run.objects.exists()


def test_the_end_of_a_schedule_says_what_is_lost(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule()
    Firing.objects.create(schedule=schedule, due_at=timezone.now(), outcome=Outcome.SKIPPED, reason="Because.")
    client, url = as_user(people.editor), reverse("schedules:delete", args=[schedule.pk])
    page = client.get(url).content.decode()
    assert "the record of 1 due time" in page
    assert "At 07:00 every day" in page
    client.post(url)
    assert not Schedule.objects.exists()


# The list and the record


def test_the_record_tells_of_each_due_time_its_run_or_why_there_was_none(
    people: People, as_user: AsUser, make_schedule: Make, make_run: Make
) -> None:
    schedule = make_schedule(timezone="Asia/Tokyo")
    run = make_run(schedule.target)
    now = timezone.now()
    Firing.objects.create(
        schedule=schedule, due_at=now - timedelta(hours=2), outcome=Outcome.SKIPPED, reason="The platform slept.", covers=7
    )
    Firing.objects.create(schedule=schedule, due_at=now - timedelta(hours=1), outcome=Outcome.FIRED, run=run)
    Firing.objects.create(schedule=schedule, due_at=now, outcome=Outcome.FIRED)
    page = as_user(people.viewer).get(reverse("schedules:detail", args=[schedule.pk])).content.decode()
    for words in ("The platform slept.", "7 due times", f"#{run.number}", "Run was deleted", "07:00 JST"):
        assert words in page


def test_a_long_record_has_pages(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule, now = make_schedule(), timezone.now()
    Firing.objects.bulk_create(
        Firing(schedule=schedule, due_at=now - timedelta(minutes=70 - n), outcome=Outcome.SKIPPED, reason=f"Reason {n}.") for n in range(70)
    )
    client, url = as_user(people.viewer), reverse("schedules:detail", args=[schedule.pk])
    first = client.get(url)
    assert "Reason 69." in first.content.decode()
    assert "Reason 39." not in first.content.decode()
    second = client.get(url, {"cursor": str(first.context["page"].next)}, headers=PARTIAL).content.decode()
    assert "Reason 39." in second
    assert "<html" not in second


def test_the_list_shows_target_words_next_time_and_last_result(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule(timezone="Europe/Berlin")
    as_user(people.runner).post(reverse("schedules:run", args=[schedule.pk]))
    Firing.objects.create(schedule=schedule, due_at=timezone.now(), outcome=Outcome.SKIPPED, reason="It was disabled.")
    page = as_user(people.viewer).get(reverse("schedules:list")).content.decode()
    for words in ("Nightly", "At 07:00 every day (Europe/Berlin)", "Target of Nightly", 'data-time="until"', "Queued", "It was disabled."):
        assert words in page


def test_a_schedule_that_cannot_be_understood_any_more_does_not_break_its_pages(
    people: People, as_user: AsUser, make_schedule: Make
) -> None:
    schedule = make_schedule()
    Schedule.objects.filter(pk=schedule.pk).update(
        timezone="Soviet/Moscow", fault="There is no time zone 'Soviet/Moscow'.", next_run_at=None
    )
    client = as_user(people.editor)
    assert "Set aside: There is no time zone" in client.get(reverse("schedules:list")).content.decode()
    for view in ("detail", "edit", "delete"):
        assert client.get(reverse(f"schedules:{view}", args=[schedule.pk])).status_code == 200


def test_the_list_is_searched_by_name_target_and_kind(people: People, as_user: AsUser, make_schedule: Make) -> None:
    make_schedule("First")
    make_schedule("Second", kind="interval", cron="", interval_seconds=60)
    client, url = as_user(people.viewer), reverse("schedules:list")
    assert "Second" not in client.get(url, {"q": "target of first"}, headers=PARTIAL).content.decode()
    assert "First" not in client.get(url, {"kind": "interval"}, headers=PARTIAL).content.decode()
    assert "No matches" in client.get(url, {"q": "zzz"}).content.decode()


def test_the_list_costs_the_same_queries_however_long_it_is(
    people: People, as_user: AsUser, make_schedule: Make, django_assert_max_num_queries: Any
) -> None:
    client = as_user(people.editor)
    for number in range(25):
        schedule = make_schedule(f"Schedule {number}")
        client.post(reverse("schedules:run", args=[schedule.pk]))
        Firing.objects.create(schedule=schedule, due_at=timezone.now(), outcome=Outcome.SKIPPED, reason="Because.")
    client.get(reverse("schedules:list"))
    with django_assert_max_num_queries(21):
        page = client.get(reverse("schedules:list")).content.decode()
    assert page.count("Because.") == 25


ROLES = ("stranger", "viewer", "runner", "editor", "owner", "operator")
DOORS = [
    ("get", "schedules:detail", "viewer"),
    ("get", "schedules:edit", "editor"),
    ("get", "schedules:delete", "editor"),
    ("post", "schedules:edit", "editor"),
    ("post", "schedules:toggle", "editor"),
    ("post", "schedules:run", "runner"),
    ("post", "schedules:delete", "editor"),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "view", "needed"), DOORS)
def test_each_role_may_what_it_may(
    people: People, as_user: AsUser, make_schedule: Make, method: str, view: str, needed: str, role: str
) -> None:
    schedule = make_schedule()
    response = getattr(as_user(people.named(role)), method)(reverse(view, args=[schedule.pk]))
    if role == "stranger":
        assert response.status_code == 404
    elif role != "operator" and ROLES.index(role) < ROLES.index(needed):
        assert response.status_code == 403
    else:
        assert response.status_code in (200, 302, 422)


def test_a_viewer_sees_schedules_but_no_means_to_change_them(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule()
    client = as_user(people.viewer)
    for url in (reverse("schedules:list"), reverse("schedules:detail", args=[schedule.pk])):
        page = client.get(url).content.decode()
        assert "Nightly" in page
        for control in ("/toggle", "/run", "/delete", "/edit", "New schedule"):
            assert f'action="{reverse("schedules:list")}{schedule.pk}{control}"' not in page
            assert control == "/run" or control not in page
    assert client.get(NEW).status_code == 403


@pytest.mark.parametrize("view", ["list", "new", "detail", "edit", "delete"])
def test_head_answers_where_get_does(people: People, as_user: AsUser, make_schedule: Make, view: str) -> None:
    schedule = make_schedule()
    answer = as_user(people.editor).head(reverse(f"schedules:{view}", args=[] if view in ("list", "new") else [schedule.pk]))
    assert (answer.status_code, answer.content) == (200, b"")


def test_one_that_was_set_aside_says_so_once(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule()
    Schedule.objects.filter(pk=schedule.pk).update(timezone="Mars/Olympus", next_run_at=timezone.now())
    fire_next(1, set())
    client = as_user(people.editor)
    for page in (client.get(reverse("schedules:list")), client.get(reverse("schedules:detail", args=[schedule.pk]))):
        text = page.content.decode()
        assert text.lower().count("set aside") == 1
        assert "It cannot be scheduled as it is: There is no time zone" in text


def test_enabling_by_the_form_what_has_passed_is_refused_in_it(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule(kind="once", cron="", run_at=timezone.now() + timedelta(hours=1), enabled=False)
    past = timezone.now().replace(microsecond=0) - timedelta(hours=1)
    Schedule.objects.filter(pk=schedule.pk).update(run_at=past)
    sent = {"name": "Nightly", "target": f"thread:{schedule.thread_id}", "kind": "once", "interval": "1", "unit": "hours", "priority": "0"}
    sent |= {"run_at": f"{past:%Y-%m-%dT%H:%M:%S}", "timezone": "UTC", "enabled": "on"}
    answer = as_user(people.editor).post(reverse("schedules:edit", args=[schedule.pk]), sent)
    assert answer.status_code == 422
    assert "has passed; give it a new one first" in answer.content.decode()
    assert not Schedule.objects.get().enabled


def test_one_that_ran_its_only_time_is_done_and_has_no_switch(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule = make_schedule(kind="once", cron="", run_at=timezone.now() + timedelta(hours=1))
    client, toggle = as_user(people.editor), reverse("schedules:toggle", args=[schedule.pk])
    addresses = [reverse("schedules:list"), reverse("schedules:detail", args=[schedule.pk])]
    assert all(toggle in client.get(address).content.decode() for address in addresses)
    past = timezone.now().replace(microsecond=0) - timedelta(seconds=1)
    Schedule.objects.filter(pk=schedule.pk).update(run_at=past, next_run_at=past)
    fire_next(1, set())
    for address in addresses:
        page = client.get(address).content.decode()
        assert toggle not in page
        assert "Done" in page


# Pauses


def test_an_editor_pauses_a_schedule_and_ends_the_pause_on_its_page(people: People, as_user: AsUser, make_schedule: Make) -> None:
    schedule, client = make_schedule(timezone="Europe/Berlin"), as_user(people.editor)
    page = reverse("schedules:detail", args=[schedule.pk])
    assert client.post(f"{page}/pause", {"reason": "Stock-taking", "ends_at": "2099-01-01T12:00"})["Location"] == page
    shown = client.get(page).content.decode()
    assert "It is paused" in shown and "Paused</span>" in client.get("/schedules/").content.decode()
    assert "Paused until" in shown and "Stock-taking" in shown and "2099" in shown
    assert client.post(f"{page}/pauses/{schedule.pauses.get().pk}/end")["Location"] == page
    assert "Stock-taking" not in client.get(page).content.decode()
    # Once more, as by a second click.
    assert client.post(f"{page}/pauses/{schedule.pauses.get().pk}/end")["Location"] == page


def test_a_pause_that_cannot_be_is_told_by_its_field_and_nothing_typed_is_lost(
    people: People, as_user: AsUser, make_schedule: Make
) -> None:
    page = reverse("schedules:pause", args=[make_schedule().pk])
    answer = as_user(people.editor).post(page, {"reason": "Stock-taking", "starts_at": "yesterday", "ends_at": "2020-01-01T00:00"})
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "Use a date and time like" in shown and "It would be over before it begins" not in shown
    assert "Stock-taking" in shown and "2020-01-01T00:00" in shown


def test_an_operator_stops_and_starts_scheduling_and_everybody_sees_it(people: People, as_user: AsUser, make_schedule: Make) -> None:
    make_schedule()
    operator = as_user(people.operator)
    assert operator.post("/schedules/stop", {"reason": "New disks"})["Location"] == "/schedules/"
    assert operator.post("/schedules/stop").status_code == 422
    shown = as_user(people.viewer).get("/schedules/").content.decode()
    assert "Scheduling is stopped." in shown and "New disks" in shown and "Let it go on" not in shown
    assert as_user(people.operator).post("/schedules/start")["Location"] == "/schedules/"
    assert "Scheduling is stopped." not in as_user(people.viewer).get("/schedules/").content.decode()
