"""The most that an operator lets teams give a thread."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidInput
from engine.environment import MIB, enforced
from history.models import StepRun
from processes.services import StepPlan, create_process
from tests.conftest import People
from threads.limits import LIMITS
from threads.models import Thread
from threads.services import change_thread

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def most(settings: Any) -> dict[str, int]:
    settings.MAX_LIMITS = {
        "timeout_seconds": 600,
        "memory_limit_mb": 512,
        "process_limit": 50,
        "output_limit_mb": 5,
        "directory_limit_mb": 9,
    }
    return dict(settings.MAX_LIMITS)


@pytest.mark.parametrize("name", ["timeout_seconds", "memory_limit_mb", "process_limit", "output_limit_mb", "directory_limit_mb"])
def test_more_than_the_operator_allows_is_refused_by_its_field(
    most: dict[str, int], people: People, make_thread: Any, as_user: Any, name: str
) -> None:
    thread = make_thread(**{name: most[name]})
    with pytest.raises(InvalidInput) as refused:
        change_thread(thread=thread, user=people.editor, **{name: most[name] + 1})
    [said] = refused.value.fields[name]
    assert said.startswith(f"On this installation a thread may have at most {most[name]} ")
    answer = as_user(people.editor).patch(f"/api/v1/threads/{thread.pk}", {name: most[name] + 1}, "application/json")
    assert (answer.status_code, answer.json()["error"]["fields"]) == (400, {name: [said]})


def test_a_step_may_not_take_longer_either(most: dict[str, int], people: People, make_thread: Any) -> None:
    plan = StepPlan(thread=make_thread(timeout_seconds=10), stage=1, timeout_seconds=601)
    with pytest.raises(InvalidInput) as refused:
        create_process(team=people.team, user=people.editor, name="Long", steps=[plan])
    assert "at most 600 seconds" in str(refused.value.fields)


def test_what_a_thread_was_given_before_counts_no_more(make_thread: Any, make_run: Any, settings: Any, most: dict[str, int]) -> None:
    given = dict.fromkeys(LIMITS, 60) | {"timeout_seconds": 900, "memory_limit_mb": 900}
    thread = make_thread(timeout_seconds=10)
    Thread.objects.filter(pk=thread.pk).update(**given)
    thread.refresh_from_db()
    step = StepRun.objects.get(run=make_run(thread))
    assert step.timeout_seconds == 600
    assert enforced(step.limits) == {
        "memory_limit_bytes": 512 * MIB,
        "directory_limit_bytes": 9 * MIB,
        "output_limit_bytes": 5 * MIB,
        "cpu_limit_seconds": 60,
        "process_limit": 50,
    }


@pytest.mark.once
def test_without_limits_of_its_own_a_thread_has_the_platforms(settings: Any) -> None:
    held = enforced({})
    assert (held["process_limit"], held["output_limit_bytes"], held["cpu_limit_seconds"]) == (256, None, None)
    settings.DEFAULT_OUTPUT_LIMIT_MB = 3
    assert enforced({})["output_limit_bytes"] == 3 * MIB
    assert enforced({"process_limit": 7})["process_limit"] == 7


def read_settings(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    ask = "from pyscheduler import settings as s; print(s.DEFAULT_MEMORY_LIMIT_MB, s.DEFAULT_SCRIPT_TIMEOUT, s.DEFAULT_OUTPUT_LIMIT_MB)"
    environment = {"PATH": os.environ["PATH"], "PYSCHED_DATA_PATH": str(folder), **variables}
    return subprocess.run([sys.executable, "-c", ask], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.once
def test_the_platforms_own_limits_are_no_higher_than_the_most(tmp_path: Path) -> None:
    most = {"PYSCHED_MAX_MEMORY_MB": "500", "PYSCHED_MAX_SCRIPT_TIMEOUT": "60", "PYSCHED_MAX_OUTPUT_MB": "20"}
    assert read_settings(tmp_path, **most).stdout.split() == ["500", "60", "20"]
    refused = read_settings(tmp_path, **most, PYSCHED_DEFAULT_MEMORY_LIMIT="501")
    assert refused.stderr == "PYSCHED_DEFAULT_MEMORY_LIMIT: 501 is out of range; use a whole number from 16 to 500\n"
