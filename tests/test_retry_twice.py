"""A double click on "retry": one run comes of it, whichever of the two requests was first."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from core.errors import Conflict
from history import retrying
from history.models import Run
from history.retrying import retry_run
from history.status import Status
from tests.conftest import People

Make = Callable[..., Any]

PREPARE = """
import django
django.setup()
from django.utils import timezone
from accounts.models import User
from accounts.services import create_team
from history.models import Run
from history.services import queue_run
from history.status import Trigger
from threads.services import create_thread
user = User.objects.create_superuser("operator")
thread = create_thread(team=create_team(name="Team", user=user), user=user, name="One", source="pass")
queue_run(target=thread, user=user, trigger=Trigger.MANUAL)
Run.objects.update(status="failed", finished_at=timezone.now())
"""
RETRY = """
import django
django.setup()
from accounts.models import User
from core.errors import Conflict
from history.models import Run
from history.retrying import retry_run
run, user = Run.objects.select_related("team", "thread", "process").get(), User.objects.get()
print("ready", flush=True)
input()
try:
    print("queued", retry_run(run=run, user=user).number)
except Conflict as refused:
    print(refused)
"""


@pytest.fixture
def failed(make_run: Make) -> Run:
    return ended(make_run())


def ended(run: Run) -> Run:
    Run.objects.filter(pk=run.pk).update(status=Status.FAILED, finished_at=timezone.now())
    return Run.objects.select_related("team", "thread", "process").get(pk=run.pk)


def test_the_second_click_is_told_which_run_the_first_made(failed: Run, people: People) -> None:
    first = retry_run(run=failed, user=people.runner)
    with pytest.raises(Conflict, match=f"^Run #{failed.number} is being tried again already, as run #{first.number}.$"):
        retry_run(run=failed, user=people.runner)
    assert Run.objects.filter(retry_of=failed).count() == 1


def test_when_the_retry_has_failed_the_first_can_be_tried_once_more(failed: Run, people: People) -> None:
    ended(retry_run(run=failed, user=people.runner))
    assert retry_run(run=failed, user=people.runner).retry_of == failed


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_run(make_run: Make, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("two connections to a database in memory are no two; the next test has a file")
    failed = ended(make_run())
    meeting, real, said = threading.Barrier(2), retrying.next_number, []

    def when_the_other_is_here_too(team: int) -> int:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=1)
        return real(team)

    def click() -> None:
        try:
            said.append(f"queued {retry_run(run=failed, user=people.runner).number}")
        except Conflict as refused:
            said.append(str(refused))
        finally:
            connection.close()

    monkeypatch.setattr(retrying, "next_number", when_the_other_is_here_too)
    clicks = [threading.Thread(target=click) for _ in range(2)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    assert sorted(said) == [
        f"Run #{failed.number} is being tried again already, as run #{failed.number + 1}.",
        f"queued {failed.number + 1}",
    ]


@pytest.mark.once
def test_two_processes_at_once_make_one_run_in_a_database_file(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if name != "PYSCHED_DATABASE_URL"}
    environment = {**own, "PYSCHED_DATA_PATH": str(tmp_path)}
    for command in ([sys.executable, "manage.py", "migrate", "--verbosity", "0"], [sys.executable, "-c", PREPARE]):
        subprocess.run(command, env=environment, check=True, timeout=120)
    clicks = [
        subprocess.Popen([sys.executable, "-c", RETRY], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for one in clicks:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in clicks:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    assert sorted(one.communicate(timeout=120)[0] for one in clicks) == ["Run #1 is being tried again already, as run #2.\n", "queued 2\n"]
