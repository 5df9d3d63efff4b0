"""What a run used: a curve per step, kept beside the log, thinned when it grows long, shown on the page and over the API."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.host import records
from engine.host.series import MOST_POINTS, Series
from history.models import StepRun
from history.resources import curves
from history.status import Status
from tests.conftest import People
from tests.engine.conftest import Engine

Make = Callable[..., Any]

BUSY = """
import subprocess, sys, time
held = b"x" * (40 << 20)
until = time.monotonic() + 2.5
while time.monotonic() < until or time.process_time() < 0.6:
    pass
"""


@pytest.mark.engine
def test_a_run_leaves_the_curve_of_what_it_used(
    engine: Engine, make_thread: Make, make_run: Make, people: People, as_user: Callable[[Any], Any]
) -> None:
    run = make_run(make_thread("Busy", BUSY))
    assert engine.finish(run).status == Status.SUCCESS
    step = StepRun.objects.get(run=run)
    [curve] = curves([step])
    assert curve.peak_memory > 40 << 20
    assert curve.peak_processors > 0
    assert step.peak_memory_bytes is not None
    assert step.peak_memory_bytes >= curve.peak_memory
    assert step.cpu_seconds is not None
    assert step.cpu_seconds > 0.5
    client = as_user(people.viewer)
    [told] = client.get(f"/api/v1/runs/{run.pk}/resources").json()["steps"]
    assert (told["position"], told["name"], len(told["points"])) == (1, "Busy", len(curve.points))
    page = client.get(f"/history/{run.pk}").content.decode()
    assert "Memory and processor" in page
    assert f'points="{curve.memory_line}"' in page


@pytest.mark.engine
def test_a_short_run_has_none(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Short", "print(1)\n")))
    assert curves(run.steps.all()) == []


@pytest.mark.once
def test_a_long_series_is_thinned_and_keeps_its_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(records, "write", lambda path, _content: written.append(path))
    taken = Series(str(tmp_path / "resources.json"), 0.0)
    for second in range(1, 20_001):
        taken.add(float(second), 900 if second == 777 else 100, second / 2)
    assert 100 < len(taken.points) < MOST_POINTS
    assert taken.points[-1][0] > 19_900
    assert max(memory for _, memory, _ in taken.points) == 900
    assert {busy for _, _, busy in taken.points} == {0.5}
    assert [point[0] for point in taken.points] == sorted(point[0] for point in taken.points)
    assert len(written) < 1000
