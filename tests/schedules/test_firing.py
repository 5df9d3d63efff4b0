"""Every due time ends as a run or as a recorded reason why not; nothing is doubled, one broken schedule stops no other."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from events.models import Event
from history.models import Run
from history.services import queue_runs
from history.status import Trigger
from processes.services import change_process
from schedules import firing
from schedules.firing import CHUNK, fire_next
from schedules.models import Firing, Outcome, Schedule
from schedules.policies import NOT_RUNNING, OVERTAKEN
from threads.services import change_thread

Maker = Callable[..., Any]


def fire() -> int:
    return fire_next(CHUNK, set())


def test_a_due_time_becomes_a_run(make_schedule: Maker, make_process: Maker, make_thread: Maker, make_due: Maker) -> None:
    process = make_process(threads=[make_thread("One"), make_thread("Two")])
    schedule = make_schedule(target=process, priority=4, parameters={"depth": 3})
    due_at = make_due(schedule)
    assert fire() == 1
    run, row = Run.objects.get(), Firing.objects.get()
    assert (row.schedule, row.due_at, row.outcome, row.reason, row.run, row.covers) == (schedule, due_at, Outcome.FIRED, "", run, 1)
    assert (run.trigger, run.user, run.schedule_id, run.schedule_name) == (Trigger.SCHEDULE, None, schedule.pk, "Hourly")
    assert (run.priority, run.parameters, run.process) == (4, {"depth": 3}, process)
    assert list(run.steps.values_list("name", flat=True)) == ["One", "Two"]
    schedule.refresh_from_db()
    assert schedule.run_count == 1
    assert schedule.next_run_at > timezone.now()
    told = Event.objects.filter(topic="schedule").latest("id").payload
    assert (told["outcome"], told["run"], told["run_count"], told["next_run_at"]) == ("fired", run.pk, 1, schedule.next_run_at.isoformat())


def test_what_is_not_due_or_not_enabled_stays(make_schedule: Maker, make_due: Maker) -> None:
    make_schedule("Later")
    off = make_schedule("Off", enabled=False)
    make_due(off)
    assert fire() == 0
    assert not Run.objects.exists()


def test_the_longest_due_is_first_and_a_chunk_has_its_size(make_schedule: Maker, make_due: Maker) -> None:
    for seconds in (1, 5, 3):
        make_due(make_schedule(f"Due {seconds}"), seconds)
    assert fire_next(2, set()) == 2
    assert list(Run.objects.order_by("pk").values_list("schedule_name", flat=True)) == ["Due 5", "Due 3"]
    assert fire_next(2, set()) == 1
    assert fire_next(2, set()) == 0


def test_a_once_fires_once(make_schedule: Maker, at: Maker) -> None:
    moment = datetime(2030, 5, 4, 9, tzinfo=UTC)
    make_schedule(kind="once", run_at=moment)
    at(moment)
    assert fire() == 1
    assert Schedule.objects.get().next_run_at is None
    at(moment + timedelta(days=1))
    assert fire() == 0
    assert Firing.objects.get().outcome == Outcome.FIRED


def test_a_target_that_cannot_run_is_a_skip_with_that_reason(
    make_schedule: Maker, make_thread: Maker, make_process: Maker, people: Any, make_due: Maker
) -> None:
    draft = make_schedule("Draft", target=make_thread("Draft", source=None))
    off = make_schedule("Off", target=make_thread("Off"))
    change_thread(thread=off.target, user=people.editor, enabled=False)
    empty = make_schedule("Empty", target=make_process("Empty"))
    change_process(process=empty.process, user=people.editor, steps=[])
    good = make_schedule("Good")
    for schedule in (draft, off, empty, good):
        make_due(schedule)
    assert fire() == 4
    reasons = dict(Firing.objects.filter(outcome=Outcome.SKIPPED).values_list("schedule__name", "reason"))
    assert "no saved version" in reasons["Draft"]
    assert "disabled" in reasons["Off"]
    assert "no steps" in reasons["Empty"]
    assert Run.objects.get().schedule_name == "Good"
    assert Schedule.objects.filter(next_run_at__gt=timezone.now(), fault="").count() == 4
    assert dict(Schedule.objects.values_list("name", "run_count")) == {"Draft": 0, "Off": 0, "Empty": 0, "Good": 1}


def test_after_a_downtime_the_latest_time_runs_late_and_the_others_are_told(make_schedule: Maker, at: Maker) -> None:
    at(datetime(2026, 5, 4, 9, 30, tzinfo=UTC))
    make_schedule()
    at(datetime(2026, 5, 4, 12, 5, tzinfo=UTC))
    assert fire() == 1
    rows = list(Firing.objects.order_by("due_at"))
    assert [(row.due_at.hour, row.outcome, row.reason) for row in rows[:2]] == [(10, "skipped", NOT_RUNNING), (11, "skipped", NOT_RUNNING)]
    assert (rows[2].due_at.hour, rows[2].outcome) == (12, "fired")
    assert rows[2].reason == "Started 5 minutes late: the platform was not running when it was due."
    assert Run.objects.count() == 1
    assert Schedule.objects.get().next_run_at == datetime(2026, 5, 4, 13, tzinfo=UTC)


def test_more_than_a_hundred_missed_times_are_one_row(make_schedule: Maker, at: Maker) -> None:
    start = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    at(start)
    make_schedule(kind="interval", interval_seconds=10)
    at(start + timedelta(days=1, seconds=3))
    assert fire() == 1
    skip, fired = Firing.objects.order_by("due_at")
    assert (skip.due_at, skip.outcome, skip.covers) == (start + timedelta(seconds=10), "skipped", 8639)
    assert (fired.due_at, fired.covers) == (start + timedelta(days=1), 1)


def test_a_time_overtaken_by_the_next_does_not_blame_a_downtime(make_schedule: Maker, at: Maker) -> None:
    start = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    at(start)
    make_schedule(kind="interval", interval_seconds=1)
    at(start + timedelta(seconds=2.5))
    fire()
    skip, fired = Firing.objects.order_by("due_at")
    assert (skip.reason, fired.reason) == (OVERTAKEN, "")


def test_two_clocks_that_read_the_same_due_time_fire_it_once(make_schedule: Maker, make_due: Maker) -> None:
    make_due(make_schedule())
    plans = [firing._plan_all(firing._due(timezone.now(), CHUNK)) for _ in range(2)]
    assert [len(firing._fire(plan)) for plan in plans] == [1, 0]
    assert (Run.objects.count(), Firing.objects.count(), Schedule.objects.get().run_count) == (1, 1, 1)


@pytest.mark.parametrize("change", [{"enabled": False}, {"next_run_at": None}, {"updated_at": datetime(2026, 1, 1, tzinfo=UTC)}])
def test_a_schedule_that_changed_since_it_was_read_is_left_alone(make_schedule: Maker, make_due: Maker, change: dict[str, Any]) -> None:
    changed, same = make_schedule("Changed"), make_schedule("Same")
    for schedule in (changed, same):
        make_due(schedule)
    plans = firing._plan_all(firing._due(timezone.now(), CHUNK))
    Schedule.objects.filter(pk=changed.pk).update(**change)
    assert firing._fire(plans) == {same.pk}
    assert Run.objects.get().schedule_name == "Same"


def test_a_time_that_goes_backwards_fires_nothing_again(make_schedule: Maker, at: Maker) -> None:
    start = datetime(2026, 5, 4, 9, 59, 59, tzinfo=UTC)
    at(start)
    schedule = make_schedule(cron="* * * * *")
    for minutes in range(3):
        at(start + timedelta(seconds=1, minutes=minutes))
        fire()
    at(start)
    assert fire() == 0
    # Whoever changes the schedule now counts from a time that was there before.
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=start + timedelta(seconds=1))
    for minutes in range(5):
        at(start + timedelta(seconds=1, minutes=minutes))
        fire()
    assert Run.objects.count() == Firing.objects.count() == 5
    assert set(Firing.objects.values_list("outcome", flat=True)) == {"fired"}
    assert Schedule.objects.get().run_count == 5


@pytest.mark.parametrize("broken", [{"cron": "never heard of"}, {"timezone": "Mars/Olympus"}, {"cron": "0 0 31 2 *"}])
def test_a_broken_schedule_is_set_aside_and_the_others_go_on(
    make_schedule: Maker, make_due: Maker, caplog: pytest.LogCaptureFixture, broken: dict[str, str]
) -> None:
    bad, good = make_schedule("Bad"), make_schedule("Good")
    Schedule.objects.filter(pk=bad.pk).update(**broken)
    make_due(bad, 2)
    make_due(good)
    with caplog.at_level(logging.ERROR):
        assert fire() == 2
    bad.refresh_from_db()
    assert bad.next_run_at is None
    assert bad.fault.startswith("It cannot be scheduled as it is: ")
    row = Firing.objects.get(schedule=bad)
    assert (row.outcome, row.reason) == ("skipped", bad.fault)
    assert Run.objects.get().schedule_name == "Good"
    assert "is set aside" in caplog.text
    told = Event.objects.filter(topic="schedule", subject_id=bad.pk).latest("id").payload
    assert (told["fault"], told["next_run_at"]) == (bad.fault, None)
    assert fire() == 0


def test_one_that_breaks_while_it_is_queued_is_found_and_set_aside(
    make_schedule: Maker, make_due: Maker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("First", "Poison", "Last"):
        make_due(make_schedule(name))
    real = queue_runs

    def queue(plans: Any) -> Any:
        if any(plan.order.schedule_name == "Poison" for plan in plans):
            raise ValueError("bitter \0 taste")
        return real(plans)

    monkeypatch.setattr(firing, "queue_runs", queue)
    with caplog.at_level(logging.ERROR):
        assert fire() == 3
    assert sorted(Run.objects.values_list("schedule_name", flat=True)) == ["First", "Last"]
    poison = Schedule.objects.get(name="Poison")
    assert (poison.next_run_at, "bitter" in poison.fault) == (None, True)


def test_an_outage_of_the_database_sets_nothing_aside(make_schedule: Maker, make_due: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    make_due(make_schedule())

    def outage(*_: Any) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(firing, "plan_run", outage)
        with pytest.raises(OperationalError):
            fire()
    assert not Firing.objects.exists()
    assert fire() == 1
    assert Firing.objects.get().outcome == "fired"


def test_two_hundred_at_once_cost_few_queries(
    make_schedule: Maker, make_process: Maker, make_due: Maker, django_assert_max_num_queries: Any
) -> None:
    process = make_process()
    Schedule.objects.bulk_create(
        Schedule(team=process.team, name=f"S{n}", process=process, kind="cron", cron="0 * * * *", next_run_at=timezone.now())
        for n in range(64)
    )
    with django_assert_max_num_queries(25):
        assert fire() == 64
    assert Run.objects.count() == 64
