"""What waits and why: priorities, limits of runs at once, maintenance."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Team
from core.errors import Forbidden
from history import draining, ledger, limits
from history.models import Host, Run
from history.why_waiting import tell_why
from processes.models import Process
from tests.conftest import People
from threads.models import Thread

Make = Callable[..., Any]


def claimed(most: int = 4) -> list[int]:
    limits.forget()
    return [step.run_id for step in ledger.claim("testhost", most, isolation="plain")]


def why(run: Run) -> str:
    run = Run.objects.select_related("team").get(pk=run.pk)
    limits.forget()
    tell_why([run])
    return run.waiting_reason


@pytest.mark.parametrize("limited", ["thread", "process", "team"])
def test_a_limited_group_holds_up_none_behind_it(
    limited: str, people: People, make_thread: Make, make_process: Make, make_run: Make
) -> None:
    target = make_process("Many") if limited == "process" else make_thread("Many")
    first, *others = [make_run(target) for _ in range(5)]
    behind = make_run(make_thread("Behind"))
    Host.objects.create(key="testhost")
    if limited == "team":
        Team.objects.filter(pk=people.team.pk).update(max_runs=1)
    else:
        {"thread": Thread, "process": Process}[limited].objects.filter(pk=target.pk).update(max_runs=1)
    assert claimed() == ([first.pk] if limited == "team" else [first.pk, behind.pk])
    assert claimed() == []
    named = f"{limited} {'Weather' if limited == 'team' else 'Many'}"
    assert why(others[0]) == f"It waits for a place: {named} has as many runs going on as it may (1 of 1)."


def test_limits_keep_priority_and_age(make_thread: Make, make_run: Make) -> None:
    thread = make_thread("Many")
    Thread.objects.filter(pk=thread.pk).update(max_runs=2)
    old, young, urgent = make_run(thread), make_run(thread), make_run(thread, priority=5)
    assert claimed() == [urgent.pk, old.pk]
    assert Run.objects.get(pk=young.pk).status == "queued"


def test_more_waiting_runs_of_a_full_group_than_are_looked_at_at_once_hide_none(
    make_thread: Make, make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHUNK", 3)
    thread, other = make_thread("Many"), make_thread("Other")
    Thread.objects.filter(pk=thread.pk).update(max_runs=1)
    first, *_others = [make_run(thread) for _ in range(10)]
    behind = [make_run(other) for _ in range(5)]
    assert claimed(5) == [first.pk, *[run.pk for run in behind[:4]]]


def test_in_maintenance_no_run_starts_until_it_is_over(make_run: Make, people: People) -> None:
    run = make_run()
    Host.objects.create(key="testhost")
    call_command("drain", "--reason", "New disks")
    assert not ledger.any_waiting()
    assert claimed() == []
    assert "New disks" in why(run)
    call_command("drain", "--end")
    assert claimed() == [run.pk]


def test_only_an_operator_begins_maintenance(people: People) -> None:
    with pytest.raises(Forbidden):
        draining.begin_drain(user=people.owner)
    draining.begin_drain(user=people.operator)
    assert draining.end_drain(user=people.operator)
    assert not draining.end_drain(user=people.operator)


def test_a_waiting_run_says_that_no_worker_is_heard_of(make_run: Make) -> None:
    run = make_run()
    assert why(run) == "No worker has been heard of yet."
    host = Host.objects.create(key="testhost", seen_at=timezone.now() - timedelta(minutes=3))
    assert why(run) == "No worker has been heard of for 3 minutes."
    Host.objects.filter(pk=host.pk).update(seen_at=timezone.now())
    assert why(run) == "It starts in a moment."


def test_a_waiting_run_says_that_the_platform_is_full(make_run: Make, settings: Any) -> None:
    settings.MAX_RUNS = 1
    Host.objects.create(key="testhost")
    make_run()
    assert len(claimed(1)) == 1
    assert why(make_run()) == "It waits for a place: the platform has as many runs going on as it may (1 of 1)."
