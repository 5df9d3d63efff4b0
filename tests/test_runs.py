"""The verbs about runs: who may, what is refused, what is told and kept."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from events.models import Event
from history.models import Run, StepRun
from history.orders import RunOrder, plan_run, steps_of
from history.retrying import retry_run
from history.services import queue_run, request_stop, run_again
from history.status import Status, Trigger
from processes.services import StepPlan, change_process
from tests.conftest import People
from threads.services import change_thread

Make = Callable[..., Any]


@pytest.fixture
def running(make_run: Make) -> Run:
    run: Run = make_run()
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, started_at=timezone.now(), claim_token="claimed", host_key="here")
    return Run.objects.select_related("team").get(pk=run.pk)


def test_stopping_what_is_being_stopped_does_nothing_more(running: Run, people: People) -> None:
    for user in (people.runner, people.editor, people.owner):
        stopped = request_stop(run=running, user=user)
        assert (stopped.status, stopped.stop_requested_by) == (Status.RUNNING, "runner")
    assert AuditEntry.objects.filter(verb="stopped").count() == 1
    assert [event.payload["stopping"] for event in Event.objects.filter(topic="run", subject_id=running.pk)] == [False, True]


def test_what_has_ended_is_not_stopped(running: Run, people: People) -> None:
    Run.objects.filter(pk=running.pk).update(status=Status.SUCCESS, finished_at=timezone.now())
    with pytest.raises(Conflict, match="already ended"):
        request_stop(run=running, user=people.runner)
    assert not AuditEntry.objects.filter(verb="stopped").exists()


def test_running_again_takes_target_parameters_and_priority(make_run: Make, make_process: Make, people: People) -> None:
    run = make_run(make_process(), parameters={"day": "monday"}, priority=7)
    again = run_again(run=run, user=people.editor)
    assert again.pk != run.pk
    assert (again.process, again.parameters, again.priority, again.user) == (run.process, {"day": "monday"}, 7, people.editor)


def test_running_again_takes_the_role_and_something_to_run(make_run: Make, people: People) -> None:
    run = make_run()
    with pytest.raises(Forbidden):
        run_again(run=run, user=people.viewer)
    with pytest.raises(NotFound):
        run_again(run=run, user=people.stranger)
    Run.objects.filter(pk=run.pk).update(thread=None)
    with pytest.raises(Conflict, match="deleted since"):
        run_again(run=Run.objects.get(pk=run.pk), user=people.runner)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_retry_has_the_limits_that_are_set_by_now(
    make_run: Make, make_thread: Make, make_process: Make, people: People, kind: str
) -> None:
    thread = make_thread(memory_limit_mb=100, timeout_seconds=5)
    target = thread if kind == "thread" else make_process(threads=[make_thread("Before"), thread])
    run = make_run(target)
    StepRun.objects.filter(run=run).update(status=Status.FAILED, finished_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(status=Status.FAILED, finished_at=timezone.now())
    run.refresh_from_db()
    change_thread(thread=thread, user=people.editor, memory_limit_mb=200, timeout_seconds=50, retries=3, network=False)
    again = retry_run(run=run, user=people.runner).steps.get(thread=thread)
    assert (again.limits, again.timeout_seconds, again.retries, again.network) == ({"memory_limit_mb": 200}, 50, 3, False)


@pytest.mark.parametrize(("timeout", "expected"), [(20, 50), (500, 500)])
def test_a_retry_keeps_what_its_schedule_may_have_set(
    make_run: Make, make_thread: Make, people: People, timeout: int, expected: int
) -> None:
    thread = make_thread(timeout_seconds=50, retries=0)
    run = make_run(thread)
    Run.objects.filter(pk=run.pk).update(status=Status.FAILED, finished_at=timezone.now(), schedule_id=1)
    ended = {"status": Status.FAILED, "finished_at": timezone.now()}
    StepRun.objects.filter(run=run).update(**ended, timeout_seconds=timeout, retries=4)
    run.refresh_from_db()
    again = retry_run(run=run, user=people.runner).steps.get()
    assert (again.timeout_seconds, again.retries) == (expected, 4)


def test_a_retry_keeps_what_its_process_knows_no_more(make_run: Make, make_thread: Make, make_process: Make, people: People) -> None:
    first, second = make_thread("First", timeout_seconds=5), make_thread("Second")
    process = make_process(threads=[first])
    run = make_run(process)
    Run.objects.filter(pk=run.pk).update(status=Status.LOST, finished_at=timezone.now())
    run.refresh_from_db()
    change_process(process=process, user=people.editor, steps=[StepPlan(second, 1, timeout_seconds=90)])
    again = retry_run(run=run, user=people.runner).steps.get()
    assert (again.thread, again.timeout_seconds) == (first, 5)


def test_a_queued_run_brings_its_steps_along(make_process: Make, make_thread: Make, people: People, django_assert_num_queries: Any) -> None:
    process = make_process(threads=[make_thread("One"), make_thread("Two")], stages=[1, 1])
    run = queue_run(target=process, user=people.runner, trigger=Trigger.MANUAL)
    with django_assert_num_queries(0):
        brought = [(step.pk, step.position, step.stage, step.name) for step in run.steps.all()]
        assert run.team.name == "Weather"
    assert brought == list(StepRun.objects.filter(run=run).order_by("position").values_list("pk", "position", "stage", "name"))
    run.refresh_from_db()
    StepRun.objects.filter(run=run).update(status=Status.SKIPPED, finished_at=timezone.now())
    assert {step.status for step in run.steps.all()} == {Status.SKIPPED}


def test_many_processes_are_planned_by_one_query(make_process: Make, people: People, django_assert_num_queries: Any) -> None:
    processes = [make_process(f"Process {number}") for number in range(3)]
    with django_assert_num_queries(1):
        steps = steps_of(processes)
        plans = [plan_run(RunOrder(target=process, trigger=Trigger.SCHEDULE), steps) for process in processes]
        versions = [step.thread.current_version for plan in plans for step in plan.steps]
    assert len(versions) == 3
    assert None not in versions


@pytest.mark.parametrize("priority", [True, 101, -101, "5", 1.5, None])
def test_a_priority_is_a_whole_number_in_its_range(priority: Any, make_thread: Make) -> None:
    with pytest.raises(InvalidInput) as refusal:
        plan_run(RunOrder(target=make_thread(), trigger=Trigger.API, priority=priority))
    assert refusal.value.fields.keys() == {"priority"}
