"""What overlap, missed times, jitter, bounds and a skip make of due times, up to the claim of the runs that come of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from history import ledger
from history.models import Host, Run, StepRun
from history.services import queue_run, request_stop
from history.status import Status, Trigger
from history.why_waiting import tell_why
from schedules.clock import Clock
from schedules.firing import CHUNK, fire_next, set_off_startups
from schedules.lease import Lease
from schedules.models import ClockLease, Firing, Schedule
from schedules.policies import NOT_RUNNING, TOO_MANY
from schedules.services import change_schedule, run_now, skip_next
from schedules.timing import MOST_SINGLE_ROWS

Maker = Callable[..., Any]
START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def fire() -> int:
    return fire_next(CHUNK, set())


def claimed() -> list[int]:
    return [step.run_id for step in ledger.claim("testhost", 10, isolation="plain")]


def end(run_id: int) -> None:
    run = Run.objects.get(pk=run_id)
    steps = list(StepRun.objects.filter(run=run))
    for step in steps:
        ledger.end_step(step, ledger.StepEnd(Status.SUCCESS, ""))
    assert ledger.finish_run(run, steps, ledger.RunEnd(Status.SUCCESS, "", 0, 0))


def outcomes() -> list[tuple[str, str]]:
    return list(Firing.objects.order_by("due_at").values_list("outcome", "reason"))


class TestOverlap:
    def test_skip_leaves_out_what_comes_due_while_an_earlier_run_goes_on(self, make_schedule: Maker, make_due: Maker) -> None:
        schedule = make_schedule(overlap="skip")
        make_due(schedule, 3)
        fire()
        [first] = claimed()
        make_due(schedule, 2)
        fire()
        end(first)
        make_due(schedule, 1)
        fire()
        number = Run.objects.get(pk=first).number
        assert outcomes() == [("fired", ""), ("skipped", f"Run #{number} of this schedule had not ended."), ("fired", "")]

    def test_a_run_that_somebody_started_by_hand_counts_too(self, make_schedule: Maker, make_due: Maker, people: Any) -> None:
        schedule = make_schedule(overlap="skip")
        run_now(schedule=schedule, user=people.runner)
        make_due(schedule)
        fire()
        assert outcomes()[0][0] == "skipped"

    def test_one_waits_for_the_earlier_run_and_a_third_is_left_out(self, make_schedule: Maker, make_due: Maker) -> None:
        schedule = make_schedule(overlap="queue")
        for seconds in (3, 2, 1):
            make_due(schedule, seconds)
            fire()
            claimed()
        first, second = Run.objects.order_by("pk")
        assert outcomes() == [("fired", ""), ("fired", ""), ("skipped", f"Run #{second.number} of this schedule waited already.")]
        assert (first.status, second.status, second.in_turn) == ("running", "queued", True)
        Host.objects.create(key="testhost")
        tell_why([second])
        assert second.waiting_reason == f"It waits until run #{first.number} of its schedule has ended."
        end(first.pk)
        assert claimed() == [second.pk]

    def test_any_number_waits_and_they_start_one_after_another(self, make_schedule: Maker, make_due: Maker, make_thread: Maker) -> None:
        schedule = make_schedule(overlap="queue_all")
        for seconds in (3, 2, 1):
            make_due(schedule, seconds)
            fire()
        order = []
        while taken := claimed():
            order += taken
            end(taken[0])
        assert order == list(Run.objects.order_by("pk").values_list("pk", flat=True))
        assert len(order) == 3

    def test_those_that_wait_hold_up_no_others_under_limits_either(self, make_schedule: Maker, make_due: Maker, people: Any) -> None:
        schedule = make_schedule(overlap="queue_all")
        for seconds in (2, 1):
            make_due(schedule, seconds)
            fire()
        other = queue_run(target=schedule.target, user=people.runner, trigger=Trigger.MANUAL)
        type(people.team).objects.filter(pk=people.team.pk).update(max_runs=5)
        ledger_limits_forgotten()
        first, second = Run.objects.filter(schedule_id=schedule.pk).order_by("pk")
        assert claimed() == [first.pk, other.pk]
        assert Run.objects.get(pk=second.pk).status == "queued"

    def test_replace_stops_the_earlier_run_and_the_new_one_follows_it(self, make_schedule: Maker, make_due: Maker) -> None:
        schedule = make_schedule(name="Fresh", overlap="replace")
        make_due(schedule, 3)
        fire()
        [first] = claimed()
        make_due(schedule, 2)
        fire()
        assert Run.objects.get(pk=first).stop_requested_by == "schedule Fresh"
        assert claimed() == []
        end(first)
        [second] = claimed()
        assert second != first

    def test_replace_takes_a_run_that_has_not_started_out_of_the_queue(self, make_schedule: Maker, make_due: Maker) -> None:
        schedule = make_schedule(name="Fresh", overlap="replace")
        for seconds in (2, 1):
            make_due(schedule, seconds)
            fire()
        first, second = Run.objects.order_by("pk")
        assert (first.status, first.reason) == ("stopped", "Stopped by schedule Fresh before it started.")
        assert claimed() == [second.pk]

    def test_one_that_waits_starts_also_when_the_earlier_was_stopped(self, make_schedule: Maker, make_due: Maker, people: Any) -> None:
        schedule = make_schedule(overlap="queue")
        for seconds in (2, 1):
            make_due(schedule, seconds)
            fire()
        first, second = Run.objects.order_by("pk")
        request_stop(run=first, user=people.runner)
        assert claimed() == [second.pk]


def ledger_limits_forgotten() -> None:
    from history import limits

    limits.forget()


class TestMissed:
    def test_skip_starts_nothing_late(self, make_schedule: Maker, at: Maker) -> None:
        at(START)
        make_schedule(missed="skip")
        at(START + timedelta(hours=3))
        fire()
        assert outcomes() == [("skipped", NOT_RUNNING)] * 3
        at(START + timedelta(hours=3, minutes=30, seconds=20))
        fire()
        assert outcomes()[3] == ("fired", "")

    def test_all_are_made_up_for_each_with_its_own_run(self, make_schedule: Maker, at: Maker) -> None:
        at(START)
        make_schedule(missed="all")
        at(START + timedelta(hours=3))
        fire()
        runs = list(Firing.objects.order_by("due_at").values_list("run", flat=True))
        assert len(set(runs)) == 3
        assert None not in runs
        schedule = Schedule.objects.get()
        assert (schedule.run_count, schedule.next_run_at) == (3, datetime(2026, 5, 4, 13, tzinfo=UTC))

    def test_not_more_than_so_many_are_made_up_for(self, make_schedule: Maker, at: Maker) -> None:
        at(START)
        make_schedule(kind="interval", interval_seconds=10, missed="all")
        at(START + timedelta(hours=1, seconds=1))
        fire()
        assert Run.objects.count() == MOST_SINGLE_ROWS
        skipped = Firing.objects.get(outcome="skipped")
        assert (skipped.reason, skipped.covers) == (TOO_MANY, 360 - MOST_SINGLE_ROWS)

    def test_made_up_for_one_after_another_where_runs_must_not_overlap(self, make_schedule: Maker, at: Maker) -> None:
        at(START)
        make_schedule(missed="all", overlap="skip")
        at(START + timedelta(hours=3))
        fire()
        assert [outcome for outcome, _ in outcomes()] == ["fired", "skipped", "skipped"]


def test_a_wish_to_leave_one_out_holds_for_one(make_schedule: Maker, make_due: Maker, people: Any) -> None:
    schedule = skip_next(schedule=make_schedule(), user=people.editor)
    for seconds in (2, 1):
        make_due(schedule, seconds)
        assert fire() == 1
    assert outcomes() == [("skipped", "editor wanted this time left out."), ("fired", "")]


def test_jitter_starts_it_later_and_the_record_keeps_the_due_time(make_schedule: Maker, at: Maker) -> None:
    at(START)
    schedule = make_schedule(jitter_seconds=600)
    due = START.replace(hour=10, minute=0)
    assert schedule.next_due_at == due
    assert due < schedule.next_run_at < due + timedelta(seconds=600)
    at(schedule.next_run_at - timedelta(seconds=1))
    assert fire() == 0
    at(schedule.next_run_at)
    assert fire() == 1
    row = Firing.objects.get()
    assert (row.due_at, row.outcome, row.reason) == (due, "fired", "")
    schedule.refresh_from_db()
    assert schedule.next_due_at == due + timedelta(hours=1)


def test_after_its_end_nothing_comes_due(make_schedule: Maker, at: Maker) -> None:
    at(START)
    make_schedule(ends_at=START + timedelta(hours=2))
    at(START + timedelta(hours=1, minutes=31))
    fire()
    assert Firing.objects.filter(outcome="fired").count() == 1
    assert Schedule.objects.get().next_run_at is None


def test_a_schedules_retries_and_timeout_go_before_those_of_its_threads(make_schedule: Maker, make_process: Maker, make_due: Maker) -> None:
    make_due(make_schedule(target=make_process(), retries=3, timeout_seconds=77))
    fire()
    step = StepRun.objects.get()
    assert (step.retries, step.timeout_seconds) == (3, 77)


class TestStartUp:
    def test_it_runs_once_for_each_start_of_the_platform(self, make_schedule: Maker) -> None:
        make_schedule(kind="startup")
        started = timezone.now()
        for _ in range(2):
            set_off_startups(started)
            fire()
        set_off_startups(started + timedelta(hours=1))
        fire()
        assert Firing.objects.filter(outcome="fired").count() == 1
        assert Schedule.objects.get().next_run_at == started + timedelta(hours=1)

    def test_a_clock_that_only_takes_the_place_of_another_starts_nothing(self, make_schedule: Maker) -> None:
        make_schedule(kind="startup")
        started = timezone.now()
        for name, expected in (("host/1/1/1/1", 1), ("host/1/1/2/1", 1)):
            clock = Clock(lambda: True, Lease(name), started_at=started)
            clock.turn()
            clock.lease.release()
            assert Run.objects.count() == expected

    def test_after_a_downtime_it_runs_again(self, make_schedule: Maker) -> None:
        make_schedule(kind="startup")
        ClockLease.objects.create(name="clock", holder="", beat_at=timezone.now() - timedelta(hours=1))
        Clock(lambda: True, Lease("host/1/1/1/1"), started_at=timezone.now()).turn()
        assert Run.objects.count() == 1


def test_a_change_settles_what_is_due_by_its_due_time(make_schedule: Maker, at: Maker, people: Any) -> None:
    at(START)
    schedule = make_schedule(jitter_seconds=600)
    at(schedule.next_run_at + timedelta(seconds=1))
    change_schedule(schedule=schedule, user=people.editor, cron="0 7 * * *")
    assert Firing.objects.get().due_at == START.replace(hour=10, minute=0)


@pytest.mark.parametrize("policy", ["allow", "skip", "queue", "queue_all", "replace"])
def test_a_whole_batch_costs_few_queries(
    policy: str, make_schedule: Maker, make_process: Maker, django_assert_max_num_queries: Any
) -> None:
    process, now = make_process(), timezone.now()
    Schedule.objects.bulk_create(
        Schedule(team=process.team, name=f"S{n}", process=process, kind="cron", cron="0 * * * *", next_run_at=now, overlap=policy)
        for n in range(64)
    )
    with django_assert_max_num_queries(28):
        assert fire() == 64
    assert Run.objects.count() == 64
