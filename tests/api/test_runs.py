"""Runs over the API: found, read, stopped, triggered, waited for; their logs and files."""

import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from history import waiting
from history.models import Run
from history.services import queue_run
from history.status import Status, Trigger
from schedules.services import create_schedule, run_now
from tests.api.conftest import Caller
from threads.api import ThreadPages
from threads.services import create_folder

RUN = {
    "id",
    "number",
    "status",
    "kind",
    "name",
    "team",
    "thread",
    "process",
    "schedule",
    "trigger",
    "user",
    "parameters",
    "priority",
    "queued_at",
    "started_at",
    "finished_at",
    "duration_ms",
    "exit_code",
    "reason",
    "progress",
    "output_dir",
    "steps",
    "peak_memory_bytes",
    "cpu_seconds",
    "attempt",
    "worker",
    "paused_ms",
    "retry_of",
    "not_before",
    "waiting_reason",
    "eta_seconds",
    "failure_signature",
}


def ended(run: Run, status: Status = Status.SUCCESS, seconds: float = 2.0) -> Run:
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(status=status, started_at=now - timedelta(seconds=seconds), finished_at=now, exit_code=0)
    run.refresh_from_db()
    return run


def test_a_run_has_the_contracts_shape(editor: Caller, make_thread: Any, make_process: Any) -> None:
    process = make_process("Nightly", [make_thread("One"), make_thread("Two")])
    response = editor.call("POST", f"processes/{process.pk}/run", {"parameters": {"day": "today"}, "priority": 7})
    assert response.status_code == 201
    run = response.json()
    assert run.keys() == RUN
    assert (run["status"], run["kind"], run["process"], run["thread"], run["priority"]) == ("queued", "process", process.pk, None, 7)
    assert [(step["name"], step["parameters"]) for step in run["steps"]] == [("One", {"day": "today"}), ("Two", {"day": "today"})]
    assert response.headers["Location"] == f"/api/v1/runs/{run['id']}"
    again = editor.ok("GET", f"runs/{run['id']}")
    # To look for a reason would keep the start waiting.
    assert (run.pop("waiting_reason"), again.pop("waiting_reason")) == ("", "No worker has been heard of yet.")
    assert again == run


def test_who_started_it_and_how_is_told(editor: Caller, by_key: Any, people: Any, make_thread: Any) -> None:
    pk = make_thread("Job").pk
    caller = by_key(people.runner)
    assert editor.ok("POST", f"threads/{pk}/run", {}, 201)["trigger"] == "manual"
    assert caller.ok("POST", f"threads/{pk}/run", status=201)["trigger"] == "api"
    run = caller.ok("POST", "threads/job/trigger", {"parameters": {"a": 1}}, 202)
    assert (run["trigger"], run["user"], run["parameters"]) == ("url", "runner", {"a": 1})


def test_the_answer_to_a_start_is_the_run_as_it_is_read(people: Any, by_key: Any, make_thread: Any, make_process: Any) -> None:
    process = make_process(threads=[make_thread("One"), make_thread("Two")], stages=[1, 2])
    schedule = create_schedule(team=people.team, user=people.editor, name="Often", target=process, kind="manual")
    caller = by_key(people.editor)
    given = {"parameters": {"deep": [1, {"a": None}], "text": "ä"}, "priority": 3}
    for path, body in (
        (f"threads/{make_thread().pk}/run", given),
        (f"processes/{process.pk}/run", given),
        (f"schedules/{schedule.pk}/run", {}),
    ):
        answer = caller.call("POST", path, body)
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/api/v1/runs/{answer.json()['id']}"
        assert answer.json() == read(caller, answer.json()["id"])
    triggered = caller.call("POST", f"processes/{process.safe_name}/trigger", given)
    assert triggered.status_code == 202
    assert triggered.json() == read(caller, triggered.json()["id"])


def read(caller: Caller, pk: int) -> Any:
    """The run as it is read, but for the reason why it waits, which a start does not look for."""
    return caller.ok("GET", f"runs/{pk}") | {"waiting_reason": ""}


def test_a_start_costs_nine_statements(people: Any, by_key: Any, make_thread: Any) -> None:
    path, caller = f"threads/{make_thread().pk}/run", by_key(people.editor)
    caller.ok("POST", path, {}, status=201)  # From here on a ticket lies there, and the key's use is noted.
    with CaptureQueriesContext(connection) as captured:
        caller.ok("POST", path, {}, status=201)
    # The savepoint stands where the transaction begins outside of a test.
    statements = [query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE", "NOTIFY"))]
    assert len(statements) <= 9, statements
    assert sum(query["sql"].startswith("SAVEPOINT") for query in captured) == 1


def test_a_schedule_run_by_a_key_says_so(people: Any, by_key: Any, editor: Caller, make_thread: Any) -> None:
    schedule = create_schedule(team=people.team, user=people.editor, name="Often", target=make_thread(), kind="manual")
    assert by_key(people.editor).ok("POST", f"schedules/{schedule.pk}/run", {}, status=201)["trigger"] == "api"
    assert editor.ok("POST", f"schedules/{schedule.pk}/run", {}, status=201)["trigger"] == "manual"


def test_what_cannot_run_is_a_conflict_in_words(editor: Caller, make_thread: Any, people: Any) -> None:
    thread = make_thread("Job")
    editor.ok("PATCH", f"threads/{thread.pk}", {"enabled": False})
    assert "disabled" in editor.refused("POST", f"threads/{thread.pk}/run", {}, status=409)["message"]
    empty = editor.ok("POST", "processes", {"name": "Empty"}, 201)
    assert "no steps" in editor.refused("POST", f"processes/{empty['id']}/run", {}, status=409)["message"]


def test_runs_are_found_by_every_filter(viewer: Caller, people: Any, make_thread: Any, make_process: Any, make_run: Any) -> None:
    one, process = make_thread("Alpha"), make_process("Beta", [make_thread("Step")])
    first, second = make_run(one), make_run(process, user=people.editor, trigger=Trigger.API)
    third = make_run(one)
    Run.objects.filter(pk=third.pk).update(schedule_id=77)
    ended(first, Status.FAILED)
    soon = (timezone.now() + timedelta(hours=1)).isoformat().replace("+", "%2B")
    past = (timezone.now() - timedelta(hours=1)).isoformat().replace("+", "%2B")
    expected = {
        "": [third, second, first],
        "status=failed": [first],
        "status=failed,queued": [third, second, first],
        "status=failed&status=lost": [first],
        f"thread={one.pk}": [third, first],
        f"process={process.pk}": [second],
        "schedule=77": [third],
        "team=weather": [third, second, first],
        "trigger=api": [second],
        "user=editor": [second],
        f"started_after={past}": [first],
        f"started_after={soon}": [],
        f"started_before={soon}": [first],
        "q=bet": [second],
        f"q=%23{first.number}": [first],
        f"number={second.number}": [second],
        "status=": [third, second, first],
    }
    for query, runs in expected.items():
        assert [row["id"] for row in viewer.ok("GET", f"runs?{query}")["results"]] == [run.pk for run in runs], query
    for query, field in [
        ("status=done", "status.0"),
        ("thread=x", "thread"),
        ("number=0", "number"),
        ("started_after=2026-01-01", "started_after"),
        ("trigger=magic", "trigger"),
        ("stauts=failed", "stauts"),
        ("started_before=2026-01-01T00:00:00", "started_before"),
    ]:
        assert field in viewer.refused("GET", f"runs?{query}")["fields"], query


def test_pages_follow_each_other_both_ways(viewer: Caller, make_run: Any, make_thread: Any) -> None:
    thread = make_thread()
    runs = [make_run(thread).pk for _ in range(5)][::-1]
    page = viewer.ok("GET", "runs?limit=2&q=hello")
    seen = [row["id"] for row in page["results"]]
    assert page["previous"] is None
    while page["next"]:
        assert "q=hello" in page["next"]
        page = viewer.ok("GET", page["next"].partition("/api/v1/")[2])
        seen += [row["id"] for row in page["results"]]
    assert seen == runs
    back = viewer.ok("GET", page["previous"].partition("/api/v1/")[2])
    assert [row["id"] for row in back["results"]] == runs[2:4]
    for query in ("limit=0", "limit=201", "limit=x", "limit=", "cursor=zzz"):
        assert viewer.refused("GET", f"runs?{query}")["fields"]


def test_a_page_of_threads_ends_early_when_its_sources_are_large(editor: Caller, make_thread: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(ThreadPages, "most_weight", 250)
    threads = [make_thread(f"Large {n}", source="#" * 100).pk for n in range(5)][::-1]
    page, seen = editor.ok("GET", "threads"), []
    while True:
        assert 1 <= len(page["results"]) <= 2
        assert all(row["source"] == "#" * 100 for row in page["results"])
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        page = editor.ok("GET", page["next"].partition("/api/v1/")[2])
    assert seen == threads
    back = [page := editor.ok("GET", page["previous"].partition("/api/v1/")[2])]
    while page["previous"]:
        back.append(page := editor.ok("GET", page["previous"].partition("/api/v1/")[2]))
    assert [row["id"] for one in reversed(back) for row in one["results"]] == threads[:4]


@pytest.mark.parametrize("path", ["threads", "processes", "schedules", "runs", "members", "api-keys", "audit"])
def test_a_list_costs_the_same_queries_for_one_as_for_many(
    path: str, people: Any, by_session: Any, make_thread: Any, make_process: Any, django_assert_max_num_queries: Any
) -> None:

    caller = by_session(people.owner)

    def grow(number: int) -> None:
        thread = make_thread(f"T{number}")
        ended(queue_run(target=thread, user=people.editor, trigger=Trigger.API))
        process = make_process(f"P{number}", [thread, thread])
        ended(queue_run(target=process, user=people.editor, trigger=Trigger.API))
        schedule = create_schedule(team=people.team, user=people.editor, name=f"S{number}", target=process, kind="manual")
        run_now(schedule=schedule, user=people.editor)
        caller.ok("POST", "api-keys", {"name": f"K{number}"}, 201)

    grow(0)
    with django_assert_max_num_queries(12) as few:
        caller.ok("GET", f"{path}?limit=200")
    for number in range(1, 8):
        grow(number)
    with django_assert_max_num_queries(12) as many:
        assert len(caller.ok("GET", f"{path}?limit=200")["results"]) >= 4
    assert len(many) <= len(few)


def test_figures_are_of_the_newest_that_ended(editor: Caller, make_thread: Any, people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("history.summaries.COUNTED", 3)
    thread, other = make_thread("Job"), make_thread("Other")
    for status in (Status.FAILED, Status.FAILED, Status.FAILED, Status.SUCCESS, Status.SUCCESS):
        ended(queue_run(target=thread, user=people.editor, trigger=Trigger.API), status, seconds=4.0)
    waiting_run = queue_run(target=thread, user=people.editor, trigger=Trigger.API)
    ended(queue_run(target=other, user=people.editor, trigger=Trigger.API), Status.FAILED)
    shown = {row["name"]: row for row in editor.ok("GET", "threads")["results"]}
    assert shown["Job"]["stats"] == {"runs": 3, "success": 2, "success_rate": 0.6667, "average_duration_ms": 4000}
    assert shown["Job"]["last_run"]["id"] == waiting_run.pk
    assert shown["Other"]["stats"] == {"runs": 1, "success": 0, "success_rate": 0.0, "average_duration_ms": None}


def test_a_waiting_run_is_stopped_and_an_ended_one_is_not(editor: Caller, make_run: Any) -> None:
    run = make_run()
    stopped = editor.ok("POST", f"runs/{run.pk}/stop")
    assert (stopped["status"], stopped["steps"][0]["status"]) == ("stopped", "skipped")
    assert "editor" in stopped["reason"]
    assert "ended" in editor.refused("POST", f"runs/{run.pk}/stop", status=409)["message"]


def test_a_name_that_several_have_asks_for_team_or_folder(people: Any, by_key: Any, make_thread: Any) -> None:

    folder = create_folder(team=people.team, user=people.editor, name="Reports")
    top, below = make_thread("Job"), make_thread("Job", folder=folder)
    make_thread("Job", team=people.other_team, user=people.stranger)
    operator, runner = by_key(people.operator), by_key(people.runner)
    assert "?team=" in operator.refused("POST", "threads/job/trigger", status=409)["message"]
    assert "?folder=" in operator.refused("POST", "threads/job/trigger?team=weather", status=409)["message"]
    assert operator.ok("POST", "threads/job/trigger?team=elsewhere", status=202)["team"] == "elsewhere"
    assert str(folder.pk) in runner.refused("GET", "threads/job/trigger", status=409)["message"]
    assert runner.ok("GET", f"threads/job/trigger?folder={folder.pk}", status=202)["thread"] == below.pk
    assert runner.ok("GET", "threads/job/trigger?folder=0", status=202)["thread"] == top.pk
    runner.refused("GET", "threads/nothing/trigger", status=404)


def test_a_draft_makes_no_name_ambiguous(people: Any, by_key: Any, make_thread: Any) -> None:
    job = make_thread("Job")
    drafts = [create_folder(team=people.team, user=people.editor, name=name) for name in ("One", "Two")]
    for folder in drafts:
        make_thread("Job", source=None, folder=folder)
    runner = by_key(people.runner)
    assert runner.ok("POST", "threads/job/trigger", status=202)["thread"] == job.pk
    refusal = runner.refused("POST", f"threads/job/trigger?folder={drafts[0].pk}", status=409)
    assert "no saved version" in refusal["message"]


def test_who_does_not_wait_long_enough_gets_the_run_as_it_is(people: Any, by_key: Any, make_thread: Any) -> None:
    make_thread("Job")
    began = time.monotonic()
    run = by_key(people.runner).ok("GET", "threads/job/trigger?wait=1", status=202)
    assert run["status"] == "queued"
    assert time.monotonic() - began > 0.9


def test_who_waits_gets_the_finished_run(people: Any, by_key: Any, make_thread: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_thread("Job")
    monkeypatch.setattr(waiting.time, "sleep", lambda _: ended(Run.objects.get(), Status.FAILED))
    run = by_key(people.runner).ok("POST", "threads/job/trigger?wait=300", status=200)
    assert (run["status"], run["exit_code"]) == ("failed", 0)


def test_who_finds_all_places_to_wait_taken_is_answered_at_once(people: Any, by_key: Any, make_thread: Any) -> None:
    make_thread("Job")
    with ExitStack() as taken:
        for _ in range(waiting.MAX_WAITERS):
            taken.enter_context(waiting._places)
        began = time.monotonic()
        assert by_key(people.runner).ok("GET", "threads/job/trigger?wait=300", status=202)["status"] == "queued"
        assert time.monotonic() - began < 60


@pytest.mark.skipif(
    settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"), reason="The tests' SQLite lies in memory: threads lock each other out."
)
@pytest.mark.django_db(transaction=True)
def test_two_who_wait_get_their_finished_runs_and_a_third_is_not_kept(people: Any, by_key: Any, make_thread: Any) -> None:
    make_thread("Job")
    answers: list[Any] = []

    def wait() -> None:
        try:
            answers.append(callers.pop().call("GET", "threads/job/trigger?wait=120"))
        finally:
            connection.close()

    callers = [by_key(people.runner) for _ in range(2)]
    waiters = [threading.Thread(target=wait) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    until = time.monotonic() + 60
    while waiting._places._value > 0 and time.monotonic() < until:
        time.sleep(0.01)
    began = time.monotonic()
    assert by_key(people.runner).ok("GET", "threads/job/trigger?wait=120", status=202)["status"] == "queued"
    assert time.monotonic() - began < 60
    for run in Run.objects.all():
        ended(run)
    for waiter in waiters:
        waiter.join(60)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["status"] for answer in answers} == {"success"}
    assert waiting._places._value == waiting.MAX_WAITERS
