"""Pausing and resuming on the page of a run and over the API, and the limits of a thread in its form and over the API."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core import layout
from history.models import Run, StepRun
from history.services import pause_run, request_stop
from history.status import Status
from tests.conftest import People
from tests.pages.test_history import AsUser, Make, begin, end


def test_a_run_that_goes_on_can_be_paused_and_then_resumed(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run())
    client = as_user(people.runner)
    address = reverse("history:run", args=[run.pk])
    assert reverse("history:pause", args=[run.pk]) in client.get(address).content.decode()
    page = client.post(reverse("history:pause", args=[run.pk]), follow=True).content.decode()
    assert f"Run #{run.number} was told to pause." in page
    assert "<span>Pausing</span>" in page
    Run.objects.filter(pk=run.pk).update(status=Status.PAUSED)
    page = client.get(address).content.decode()
    assert "Paused by runner" in page
    assert reverse("history:pause", args=[run.pk]) not in page
    page = client.post(reverse("history:resume", args=[run.pk]), follow=True).content.decode()
    assert f"Run #{run.number} goes on." in page
    run.refresh_from_db()
    assert (run.pause_requested_at, run.pause_requested_by) == (None, "")


def test_nothing_moves_on_the_page_while_a_run_is_paused_or_waits_for_a_retry(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run())
    client = as_user(people.viewer)
    address = reverse("history:run", args=[run.pk])
    bar = 'aria-label="Progress of the run"'
    assert f"{bar}></progress>" in client.get(address).content.decode()
    Run.objects.filter(pk=run.pk).update(status=Status.PAUSED, pause_requested_at=timezone.now())
    assert f'{bar} value="0"></progress>' in client.get(address).content.decode()
    assert 'aria-label="Progress" value="0"' in client.get(reverse("history:list")).content.decode()
    soon = timezone.now() + timedelta(minutes=9, seconds=30)
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, pause_requested_at=None, not_before=soon)
    StepRun.objects.filter(run=run).update(status=Status.QUEUED, not_before=soon)
    page = client.get(address).content.decode()
    assert f'{bar} value="0"></progress>' in page
    assert re.search(r"A step that failed is tried again <time [^>]*>in 9 min", page)
    listed = client.get(reverse("history:list")).content.decode()
    assert re.search(r"<span>tried again <time [^>]*>in 9 min", listed)
    assert 'aria-label="Progress" value="0"' in listed


def test_a_viewer_sees_no_pause(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run())
    assert reverse("history:pause", args=[run.pk]) not in as_user(people.viewer).get(reverse("history:run", args=[run.pk])).content.decode()


def test_a_waiting_run_has_no_pause(as_user: AsUser, people: People, make_run: Make) -> None:
    run = make_run()
    client = as_user(people.runner)
    assert reverse("history:pause", args=[run.pk]) not in client.get(reverse("history:run", args=[run.pk])).content.decode()
    answer = client.post(reverse("history:pause", args=[run.pk]))
    assert (answer.status_code, "has not started yet" in answer.content.decode()) == (409, True)


def test_the_api_pauses_and_resumes(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run())
    client = as_user(people.runner)
    assert client.post(f"/api/v1/runs/{run.pk}/pause").status_code == 200
    assert client.post(f"/api/v1/runs/{run.pk}/pause").status_code == 200
    assert client.post(f"/api/v1/runs/{run.pk}/resume").json()["paused_ms"] >= 0
    answer = client.post(f"/api/v1/runs/{run.pk}/resume")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_what_is_being_stopped_is_not_paused(people: People, as_user: AsUser, make_run: Make) -> None:
    run = begin(make_run())
    request_stop(run=run, user=people.runner)
    answer = as_user(people.runner).post(f"/api/v1/runs/{run.pk}/pause")
    assert "is being stopped" in answer.json()["error"]["message"]


def test_the_operator_pauses_and_resumes_in_the_admin(people: People, as_user: AsUser, make_run: Make) -> None:
    run, waiting = begin(make_run()), make_run()
    client = as_user(people.operator)
    address = reverse("admin:history_run_changelist")
    client.post(address, {"action": "pause", "_selected_action": [run.pk, waiting.pk]})
    run.refresh_from_db()
    assert run.pause_requested_by == "operator"
    client.post(address, {"action": "resume", "_selected_action": [run.pk]})
    run.refresh_from_db()
    assert run.pause_requested_at is None


def test_pausing_twice_is_once(people: People, make_run: Make) -> None:
    run = begin(make_run())
    first = pause_run(run=run, user=people.runner).pause_requested_at
    assert pause_run(run=run, user=people.editor).pause_requested_at == first


def buttons_of(client: Client, run: Run) -> str:
    page = client.get(reverse("history:run", args=[run.pk])).content.decode()
    return page[page.index('id="run-actions"') : page.index('id="run-overview"')]


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMEOUT, Status.STOPPED, Status.LOST])
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_what_ended_badly_is_tried_again_from_its_page(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make, kind: str, status: Status
) -> None:
    target = make_thread() if kind == "thread" else make_process()
    run = end(make_run(target, parameters={"limit": 5}), status, "It broke.")
    client = as_user(people.runner)
    shown = buttons_of(client, run)
    assert reverse("history:retry", args=[run.pk]) in shown
    assert "Go on" not in shown
    assert reverse("history:again", args=[run.pk]) not in shown
    answer = client.post(reverse("history:retry", args=[run.pk]))
    again = Run.objects.latest("pk")
    assert answer["Location"] == reverse("history:run", args=[again.pk])
    assert (again.retry_of, again.attempt, again.parameters, again.user) == (run, 2, {"limit": 5}, people.runner)


def test_what_succeeded_is_run_again_and_not_tried_again(as_user: AsUser, people: People, make_run: Make) -> None:
    run = end(make_run())
    shown = buttons_of(as_user(people.runner), run)
    assert reverse("history:again", args=[run.pk]) in shown
    assert reverse("history:retry", args=[run.pk]) not in shown


def test_a_script_that_remembers_goes_on_where_it_left_off(as_user: AsUser, people: People, make_run: Make) -> None:
    run = end(make_run(), Status.FAILED, "It broke.")
    Run.objects.filter(pk=run.pk).update(output_dir="hello/one")
    layout.kept_state("hello/one", 1, "hello").mkdir(parents=True)
    assert buttons_of(as_user(people.runner), run).count(reverse("history:retry", args=[run.pk])) == 2
    assert "Go on where it left off" in buttons_of(as_user(people.runner), run)
    assert reverse("history:retry", args=[run.pk]) not in buttons_of(as_user(people.viewer), run)


def test_a_failed_run_without_its_thread_offers_no_retry(as_user: AsUser, people: People, make_run: Make) -> None:
    run = end(make_run(), Status.FAILED, "It broke.")
    assert run.thread is not None
    run.thread.delete()
    assert "<button" not in buttons_of(as_user(people.runner), run)


ALWAYS = {"name": "Hello", "type": "other", "timeout_seconds": 60, "retries": 0, "retry_delay_seconds": 10, "enabled": "on"}
LIMITS = {"memory_limit_mb": 256, "cpu_limit": 60, "process_limit": 8, "output_limit_mb": 5, "directory_limit_mb": 100}


def test_limits_are_set_in_the_form_and_shown_there(as_user: AsUser, people: People, make_thread: Make) -> None:
    thread = make_thread()
    client = as_user(people.editor)
    assert client.post(reverse("threads:settings", args=[thread.pk]), ALWAYS | LIMITS).status_code == 302
    thread.refresh_from_db()
    assert {name: getattr(thread, name) for name in LIMITS} == LIMITS
    assert thread.network is False
    page = client.get(reverse("threads:detail", args=[thread.pk])).content.decode()
    assert 'name="memory_limit_mb" value="256"' in page
    client.post(reverse("threads:settings", args=[thread.pk]), ALWAYS | {"network": "on", "memory_limit_mb": ""})
    thread.refresh_from_db()
    assert (thread.network, thread.memory_limit_mb) == (True, None)


def test_a_limit_that_cannot_be_is_refused_beside_its_field(as_user: AsUser, people: People, make_thread: Make) -> None:
    thread = make_thread()
    fields = ALWAYS | {"memory_limit_mb": 3, "cpu_limit": 0}
    page = as_user(people.editor).post(reverse("threads:settings", args=[thread.pk]), fields).content.decode()
    assert "Use a whole number of MiB from 16 to 1,048,576, or leave it empty." in page
    assert "Use a whole number of seconds from 1 to 2,592,000, or leave it empty." in page


def test_retries_are_set_in_the_form_and_shown_there(as_user: AsUser, people: People, make_thread: Make) -> None:
    thread = make_thread()
    client, address = as_user(people.editor), reverse("threads:settings", args=[thread.pk])
    chosen = {"max_runs": "2", "retries": "3", "retry_delay_seconds": "5", "retry_exit_codes": "1, 75 -9"}
    assert client.post(address, ALWAYS | chosen).status_code == 302
    thread.refresh_from_db()
    assert (thread.max_runs, thread.retries, thread.retry_delay_seconds, thread.retry_exit_codes) == (2, 3, 5, [1, 75, -9])
    page = client.get(reverse("threads:detail", args=[thread.pk])).content.decode()
    assert 'name="retry_exit_codes" value="1, 75, -9"' in page
    for field, bad, said in (
        ("retries", "21", "from 0 to 20"),
        ("retry_exit_codes", "one", "whole numbers"),
        ("max_runs", "0", "from 1 to"),
    ):
        refused = client.post(address, ALWAYS | {field: bad})
        assert refused.status_code == 422
        assert said in refused.content.decode().partition(f'id="id_{field}_error"')[2]


def test_runs_at_once_of_processes_and_teams_over_the_api(as_user: AsUser, people: People, make_process: Make) -> None:
    process = make_process()
    for address in (f"/api/v1/processes/{process.pk}", f"/api/v1/teams/{people.team.pk}"):
        owner = as_user(people.owner)
        assert owner.patch(address, {"max_runs": 2}, content_type="application/json").json()["max_runs"] == 2
        assert owner.get(address).json()["max_runs"] == 2
        refused = owner.patch(address, {"max_runs": 0}, content_type="application/json")
        assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["max_runs"])
        assert owner.patch(address, {"max_runs": None}, content_type="application/json").json()["max_runs"] is None
    assert as_user(people.editor).patch(address, {"max_runs": 2}, content_type="application/json").status_code == 403


def test_limits_over_the_api(as_user: AsUser, people: People, make_thread: Make, make_run: Make) -> None:
    thread = make_thread()
    client = as_user(people.editor)
    address = f"/api/v1/threads/{thread.pk}"
    answer = client.patch(address, LIMITS, content_type="application/json").json()
    assert {name: answer[name] for name in LIMITS} == LIMITS
    assert answer["network"] is True
    thread.refresh_from_db()
    run = make_run(thread)
    assert StepRun.objects.get(run=run).limits == LIMITS
    refused = client.patch(address, {"memory_limit_mb": 3}, content_type="application/json")
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["memory_limit_mb"])
    assert client.patch(address, {"memory_limit_mb": None}, content_type="application/json").json()["memory_limit_mb"] is None


def test_a_step_tells_of_its_earlier_attempts_and_where_it_was_done(as_user: AsUser, people: People, make_run: Make) -> None:
    run, now = make_run(), timezone.now()
    ended = {"attempt": 1, "status": "failed", "reason": "Exit code 3.", "exit_code": 3}
    StepRun.objects.filter(run=run).update(
        status=Status.SUCCESS,
        started_at=now,
        finished_at=now,
        attempt=3,
        reason="Done in run #7.",
        earlier_attempts=[{"run": 7} | ended, ended | {"attempt": 2}],
    )
    page = as_user(people.viewer).get(reverse("history:run", args=[run.pk])).content.decode()
    for words in ("Done in run #7.", "2 earlier attempts", "Run #7, attempt 1: Exit code 3.", "Attempt 2: Exit code 3."):
        assert words in page
