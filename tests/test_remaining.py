"""How far a run is and what remains of it: told by its script, or estimated from earlier runs."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core import layout
from history.models import Run
from history.remaining import outlook
from history.status import Status


@pytest.fixture
def running(make_thread: Any, make_run: Any) -> Run:
    """One that has run for a minute, 20 seconds of which it was paused."""
    run: Run = make_run(make_thread())
    run.status, run.started_at, run.paused_ms = Status.RUNNING, timezone.now() - timedelta(seconds=60), 20_000
    return run


def earlier(make_run: Any, running: Run, *seconds: float, status: Status = Status.SUCCESS) -> None:
    for took in seconds:
        run, now = make_run(running.thread), timezone.now()
        Run.objects.filter(pk=run.pk).update(status=status, started_at=now - timedelta(seconds=took), finished_at=now)


def tell(run: Run, content: bytes) -> None:
    path = layout.control_folder(run.pk) / layout.PROGRESS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_nothing_is_known_of_the_first_run_that_tells_nothing(running: Run) -> None:
    assert (outlook(running).progress, outlook(running).seconds) == (None, None)


def test_what_a_run_tells_counts_more_than_how_long_it_took_before(running: Run, make_run: Any) -> None:
    earlier(make_run, running, 50)
    tell(running, json.dumps({"share": 0.25}).encode())
    found = outlook(running)
    assert found.progress == 0.25
    assert found.seconds == pytest.approx(120, abs=12)


@pytest.mark.parametrize("rubbish", [b"", b"no json", b"[]", b'{"share": null}', b'{"share": "x"}', b'{"share": -1}', b'{"share": 0}'])
def test_the_median_of_earlier_successes_tells_what_remains(running: Run, make_run: Any, rubbish: bytes) -> None:
    earlier(make_run, running, 1, 100, 100, 100, 5000)
    earlier(make_run, running, *[1] * 8, status=Status.FAILED)
    tell(running, rubbish)
    found = outlook(running)
    assert found.progress == pytest.approx(0.4, abs=0.1)
    assert found.seconds == pytest.approx(60, abs=10)


def test_who_takes_longer_than_usual_is_nearly_through_for_an_unknown_time(running: Run, make_run: Any) -> None:
    earlier(make_run, running, 10, 10)
    assert (outlook(running).progress, outlook(running).seconds) == (0.99, None)


def test_only_runs_that_go_on_have_something_left(running: Run, make_run: Any) -> None:
    earlier(make_run, running, 100)
    running.status = Status.PAUSED
    assert outlook(running).seconds is None


def test_nan_is_no_progress(running: Run) -> None:
    tell(running, b'{"share": NaN}')
    assert outlook(running).progress is None
