"""Failures over the API."""

from collections.abc import Callable
from typing import Any

from tests.conftest import People
from tests.failing import fail, succeed

Make = Callable[..., Any]


def test_a_failed_run_tells_why(people: People, make_run: Make, by_session: Any) -> None:
    run = fail(make_run())
    told = by_session(people.viewer).ok("GET", f"runs/{run.pk}")
    assert told["failure_signature"] == run.failure_signature
    [step] = told["steps"]
    assert (step["failure"]["kind"], step["failure"]["line"]) == ("exception", 2)
    assert step["failure"]["frames"][0]["function"] == "parse"
    assert set(step["failure"]) == set(fail(make_run()).steps.get().failure)


def test_a_good_run_has_no_failure(people: People, make_run: Make, by_session: Any) -> None:
    told = by_session(people.viewer).ok("GET", f"runs/{succeed(make_run()).pk}")
    assert (told["failure_signature"], told["steps"][0]["failure"]) == ("", None)


def test_runs_are_found_by_their_failure(people: People, make_run: Make, make_thread: Make, by_session: Any) -> None:
    thread = make_thread()
    succeed(make_run(thread))
    ids = [fail(make_run(thread)).pk for _ in range(3)]
    other = fail(make_run(thread), "", exit_code=7)
    signature = other.failure_signature
    caller = by_session(people.viewer)
    assert [run["id"] for run in caller.ok("GET", f"runs?failure={signature}")["results"]] == [other.pk]
    shown = caller.ok("GET", "runs?status=failed&failure=" + thread.runs.get(pk=ids[0]).failure_signature)
    assert [run["id"] for run in shown["results"]] == ids[::-1]


def test_what_changed_is_told(people: People, make_run: Make, make_thread: Make, by_session: Any) -> None:
    thread = make_thread()
    caller = by_session(people.viewer)
    first = fail(make_run(thread))
    assert caller.ok("GET", f"runs/{first.pk}/changes")["since"] is None
    good = succeed(make_run(thread, parameters={"a": 1}))
    run = fail(make_run(thread, parameters={"a": 2}))
    told = caller.ok("GET", f"runs/{run.pk}/changes")
    assert (told["since"]["id"], told["same_failures"], told["first_failure"]["number"]) == (good.pk, 2, first.number)
    assert told["changes"] == [{"what": "parameter", "step": "", "before": "1", "after": "2", "detail": "a"}]
