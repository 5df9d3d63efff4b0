"""While a schedule is paused, or scheduling as a whole is stopped, nothing starts, and every due time says why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from history.models import Run
from schedules.firing import CHUNK, fire_next, set_off_startups
from schedules.models import Firing, Outcome, Pause
from schedules.pauses import MOST_PAUSES, end_pause, pause_schedule, pauses_of, standstill, start_scheduling, stop_scheduling
from schedules.services import run_now, skip_next

Maker = Callable[..., Any]
MONDAY = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def fire() -> None:
    fire_next(CHUNK, set())


def record() -> list[tuple[str, str]]:
    return list(Firing.objects.order_by("due_at").values_list("outcome", "reason"))


def test_a_due_time_within_a_pause_starts_nothing_and_says_who_paused_and_why(make_schedule: Maker, make_due: Maker, people: Any) -> None:
    schedule = make_schedule()
    make_due(schedule)
    pause_schedule(schedule=schedule, user=people.editor, reason="  Stock-\n taking ")
    fire()
    assert record() == [(Outcome.SKIPPED, "editor paused the schedule: Stock- taking")]
    assert not Run.objects.exists()
    schedule.refresh_from_db()
    assert schedule.next_run_at > timezone.now()


def test_other_schedules_go_on(make_schedule: Maker, make_due: Maker, people: Any) -> None:
    paused, other = make_schedule("Paused"), make_schedule("Other")
    pause_schedule(schedule=paused, user=people.editor)
    make_due(paused), make_due(other)
    fire()
    assert [run.schedule_name for run in Run.objects.all()] == ["Other"]
    assert sorted(record()) == [(Outcome.FIRED, ""), (Outcome.SKIPPED, "editor paused the schedule.")]


def test_a_window_covers_its_beginning_and_not_its_end(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule()
    window = {"starts_at": "2026-11-02T14:00", "ends_at": "2026-11-02T16:00"}
    pause_schedule(schedule=schedule, user=people.editor, **window)
    for hour in range(1, 6):
        at(MONDAY + timedelta(hours=hour))
        fire()
    assert [outcome for outcome, _ in record()] == ["fired", "skipped", "skipped", "fired", "fired"]


def test_what_was_missed_in_a_pause_is_not_made_up_for_after_it(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule(missed="all")
    pause_schedule(schedule=schedule, user=people.editor, starts_at="2026-11-02T14:00", ends_at="2026-11-02T16:00")
    at(MONDAY + timedelta(hours=5))
    fire()
    assert [outcome for outcome, _ in record()] == ["fired", "skipped", "skipped", "fired", "fired"]
    assert Run.objects.count() == 3


def test_what_came_due_before_a_pause_does_not_start_in_it(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule()
    at(MONDAY + timedelta(minutes=90))
    pause_schedule(schedule=schedule, user=people.editor)
    fire()
    assert record() == [(Outcome.SKIPPED, "editor paused the schedule.")]


def test_a_time_to_leave_out_is_the_first_that_would_have_started(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule(missed="all")
    skip_next(schedule=schedule, user=people.editor)
    pause_schedule(schedule=schedule, user=people.editor, ends_at="2026-11-02T13:30")
    at(MONDAY + timedelta(hours=3))
    fire()
    assert [reason.split()[1] if reason else "" for _, reason in record()][:2] == ["paused", "wanted"]
    assert Run.objects.count() == 1


def test_who_ends_a_pause_lets_it_start_again_and_the_past_stays_true(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule(missed="all")
    pause = pause_schedule(schedule=schedule, user=people.editor)
    at(MONDAY + timedelta(hours=1, minutes=30))
    end_pause(schedule=schedule, pause_id=pause.pk, user=people.editor)
    assert not pauses_of(schedule).exists()
    at(MONDAY + timedelta(hours=2))
    fire()
    assert [outcome for outcome, _ in record()] == ["skipped", "fired"]
    with pytest.raises(NotFound):
        end_pause(schedule=schedule, pause_id=pause.pk, user=people.editor)


def test_a_pause_that_has_not_begun_is_taken_back_without_a_trace(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    pause = pause_schedule(schedule=schedule, user=people.editor, starts_at=timezone.now() + timedelta(days=1))
    end_pause(schedule=schedule, pause_id=pause.pk, user=people.editor)
    assert not Pause.objects.exists()


def test_moments_are_wall_time_of_the_schedules_zone(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule(timezone="Europe/Berlin")
    pause = pause_schedule(schedule=schedule, user=people.editor, starts_at="2026-12-24T00:00", ends_at="2026-12-27T00:00+00:00")
    assert (pause.starts_at, pause.ends_at) == (datetime(2026, 12, 23, 23, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=UTC))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"starts_at": "soon"}, "starts_at"),
        ({"starts_at": 7}, "starts_at"),
        ({"starts_at": "9999-01-01T00:00"}, "starts_at"),
        ({"starts_at": "2999-01-01T00:00"}, "starts_at"),
        ({"ends_at": "2026-02-31T00:00"}, "ends_at"),
        ({"ends_at": "2020-01-01T00:00"}, "ends_at"),
        ({"starts_at": "2026-12-02T00:00", "ends_at": "2026-12-01T00:00"}, "ends_at"),
        ({"starts_at": "2026-12-02T00:00", "ends_at": "2026-12-02T00:00"}, "ends_at"),
        ({"reason": "x" * 201}, "reason"),
        ({"reason": "\0"}, "reason"),
        ({"reason": None}, "reason"),
    ],
    ids=str,
)
def test_each_wrong_input_is_told_by_its_field(given: dict[str, Any], field: str, make_schedule: Maker, people: Any, at: Maker) -> None:
    at(MONDAY)
    schedule = make_schedule()
    with pytest.raises(InvalidInput) as refused:
        pause_schedule(schedule=schedule, user=people.editor, **given)
    assert list(refused.value.fields) == [field]
    assert not Pause.objects.exists()


def test_there_is_an_end_to_how_many_pauses_wait(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    Pause.objects.bulk_create(Pause(schedule=schedule, by="editor") for _ in range(MOST_PAUSES))
    with pytest.raises(Conflict):
        pause_schedule(schedule=schedule, user=people.editor)


def test_only_editors_pause(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    with pytest.raises(Forbidden):
        pause_schedule(schedule=schedule, user=people.runner)
    pause = pause_schedule(schedule=schedule, user=people.editor)
    with pytest.raises(Forbidden):
        end_pause(schedule=schedule, pause_id=pause.pk, user=people.runner)


def test_while_scheduling_is_stopped_no_schedule_starts_and_people_still_can(make_schedule: Maker, make_due: Maker, people: Any) -> None:
    schedules = [make_schedule("One"), make_schedule("Two"), make_schedule("Boot", kind="startup")]
    stop_scheduling(user=people.operator, reason="New disks")
    for schedule in schedules[:2]:
        make_due(schedule)
    set_off_startups(timezone.now())
    fire()
    assert record() == [(Outcome.SKIPPED, "operator stopped scheduling as a whole: New disks")] * 3
    assert run_now(schedule=schedules[0], user=people.runner).number == 1
    start_scheduling(user=people.operator)
    assert standstill() is None
    make_due(schedules[1], 0)
    fire()
    assert Run.objects.count() == 2


def test_only_operators_stop_scheduling_and_once_is_enough(people: Any) -> None:
    with pytest.raises(Forbidden):
        stop_scheduling(user=people.owner)
    with pytest.raises(Conflict):
        start_scheduling(user=people.operator)
    stop_scheduling(user=people.operator)
    with pytest.raises(Conflict):
        stop_scheduling(user=people.operator)
    with pytest.raises(Forbidden):
        start_scheduling(user=people.owner)
