"""Another attempt at a run that failed, on real parts."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict
from history.models import Artifact, Run
from history.retrying import RetryFrom, can_resume, retry_run
from history.services import request_stop
from history.status import Status
from processes.models import OnFailure
from processes.services import StepPlan, create_process
from tests.conftest import People
from tests.engine.conftest import Engine, directory_of
from threads.services import change_thread

pytestmark = pytest.mark.engine

Make = Callable[..., Any]

FIRST = """
import os, threadkit
open("table.csv", "a").write("row")
os.makedirs("deep", exist_ok=True)
open("deep/more.txt", "w").write("kept")
threadkit.output("rows", 3)
"""
SECOND = """
import sys
print(open("table.csv").read(), open("deep/more.txt").read(), sys.argv[1:])
open("table.csv", "a").write("+")
sys.exit({code})
"""


@pytest.fixture
def failed(engine: Engine, make_thread: Make, make_run: Make, people: People) -> Run:
    """A process whose second step has failed after the first left files and an output."""
    steps = [
        StepPlan(make_thread("First", FIRST), 1),
        StepPlan(make_thread("Second", SECOND.format(code=5)), 2, parameters={"rows": "{{steps.first.outputs.rows}}"}),
    ]
    run = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Two", steps=steps)))
    assert run.status == Status.FAILED
    return run


def test_from_the_failed_step_those_that_succeeded_are_not_run_again(engine: Engine, failed: Run, people: People) -> None:
    change_thread(thread=failed.steps.get(position=2).thread, user=people.editor, source=SECOND.format(code=0))
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    first, second = again.steps.all()
    assert (again.status, again.attempt, again.retry_of_id) == (Status.SUCCESS, 2, failed.pk)
    assert (first.status, first.reason) == (Status.SUCCESS, f"Done in run #{failed.number}.")
    assert (second.status, second.version_number) == (Status.SUCCESS, 2)
    assert (directory_of(again) / "run.log").read_text().splitlines()[1] == "row+ kept ['--rows=3']"
    assert (directory_of(again) / "table.csv").read_text() == "row++"
    assert sorted(again.artifacts.values_list("path", flat=True)) == ["deep/more.txt", "table.csv"]


def test_the_earlier_run_and_its_files_stay_as_they_were(engine: Engine, failed: Run, people: People) -> None:
    before = Run.objects.filter(pk=failed.pk).values().get()
    engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    assert Run.objects.filter(pk=failed.pk).values().get() == before
    assert (directory_of(failed) / "table.csv").read_text() == "row+"


def test_from_the_start_every_step_runs_again(engine: Engine, failed: Run, people: People) -> None:
    again = engine.finish(retry_run(run=failed, user=people.runner))
    assert (again.attempt, [step.status for step in again.steps.all()]) == (2, [Status.SUCCESS, Status.FAILED])
    assert (directory_of(again) / "table.csv").read_text() == "row+"


def test_a_rescue_looks_after_each_failure_anew(engine: Engine, make_thread: Make, make_run: Make, people: People) -> None:
    fails, rescue = make_thread("Fails", "raise SystemExit(5)"), make_thread("Rescue", "print('rescued')")
    steps = [StepPlan(fails, 1), StepPlan(rescue, 2, on_failure=OnFailure.RESCUE)]
    first = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Looked after", steps=steps)))
    assert not can_resume(first, list(first.steps.all()))
    second = engine.finish(retry_run(run=first, user=people.runner, since=RetryFrom.FAILED))
    rescued = second.steps.get(position=2)
    assert (rescued.status, rescued.reason, rescued.earlier_attempts) == (Status.SUCCESS, "", [])
    assert "rescued" in (directory_of(second) / "run.log").read_text()
    change_thread(thread=fails, user=people.editor, source="print('well')")
    third = engine.finish(retry_run(run=second, user=people.runner, since=RetryFrom.FAILED))
    assert (third.status, third.steps.get(position=2).status) == (Status.SUCCESS, Status.SKIPPED)


def test_a_stopped_run_can_be_tried_again(engine: Engine, make_thread: Make, make_run: Make, people: People) -> None:
    run = make_run(make_thread("Once", "print(1)"))
    run = request_stop(run=run, user=people.runner)
    assert engine.finish(retry_run(run=run, user=people.runner, since=RetryFrom.FAILED)).status == Status.SUCCESS


def test_what_goes_on_or_succeeded_is_not_tried_again(engine: Engine, make_thread: Make, make_run: Make, people: People) -> None:
    run = make_run(make_thread("Once", "print(1)"))
    with pytest.raises(Conflict, match="not ended"):
        retry_run(run=run, user=people.runner)
    with pytest.raises(Conflict, match="did not fail"):
        retry_run(run=engine.finish(run), user=people.runner)


def test_more_than_the_directory_may_take_is_not_carried_over(engine: Engine, failed: Run, people: People) -> None:
    (directory_of(failed) / "table.csv").write_bytes(b"x" * (3 << 20))
    change_thread(thread=failed.steps.get(position=2).thread, user=people.editor, directory_limit_mb=2)
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    assert again.status == Status.FAILED
    assert "It could not be started: what the earlier attempt left takes 3.0 MiB, and its directory may take 2.0 MiB" in again.reason
    assert not (directory_of(again) / "table.csv").exists()


def test_more_than_the_disk_has_room_for_is_not_carried_over(
    engine: Engine, failed: Run, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("engine.carrying.shutil.disk_usage", lambda _: usage._replace(free=100))
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    assert "the disk has 100 B left; retry it from the start" in again.reason


@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_file_with_holes_is_carried_over_as_it_is(
    engine: Engine, failed: Run, people: People, monkeypatch: pytest.MonkeyPatch, by_kernel: bool
) -> None:
    def cannot(*_: Any) -> int:
        raise OSError(errno.EXDEV, "not between these two")

    if not by_kernel:
        monkeypatch.setattr("engine.carrying.os.copy_file_range", cannot)
    with open(directory_of(failed) / "table.csv", "r+b") as file:
        for place in (1 << 20, 30 << 20):
            file.seek(place)
            file.write(b"here")
        file.truncate(100 << 20)
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    with open(directory_of(again) / "table.csv", "rb") as file:
        assert file.read(3) == b"row"
        for place in (1 << 20, 30 << 20):
            file.seek(place)
            assert file.read(5) == b"here\0"
        assert os.fstat(file.fileno()).st_blocks * 512 < 40 << 20


def test_links_pipes_and_devices_are_not_carried_over(engine: Engine, failed: Run, people: People, data_folder: Path) -> None:
    """Though the record has plain files of their names: what lies there now is what counts."""
    directory, secret = directory_of(failed), data_folder / "secret"
    secret.write_text("secret")
    for name in ("soft", "hard", "pipe", "device", "folder/inside"):
        Artifact.objects.create(run=failed, path=name, size_bytes=6, modified_at=failed.started_at)
    (directory / "soft").symlink_to(secret)
    os.link(secret, directory / "hard")
    os.mkfifo(directory / "pipe")
    (directory / "folder").symlink_to(data_folder)
    (data_folder / "inside").write_text("secret")
    os.symlink(secret, directory / ".pyscheduler" / "kept")
    with contextlib.suppress(PermissionError):
        os.mknod(directory / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    again = engine.finish(retry_run(run=failed, user=people.runner, since=RetryFrom.FAILED))
    found = {path.name for path in directory_of(again).rglob("*")}
    assert {"table.csv", "more.txt"} <= found
    assert not found & {"soft", "hard", "pipe", "device", "folder", "inside", "kept"}
