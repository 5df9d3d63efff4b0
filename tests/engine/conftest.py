"""The engine on real parts: a keeper of the test's own, real supervisors, real scripts; the test plays the worker."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core import layout
from core.doorbell import Listener
from engine import keeper
from engine.canary import level_in_force
from engine.findings import IsolationUnavailable
from engine.host import kernel
from engine.isolation import BUBBLEWRAP, LANDLOCK, PLAIN, USER
from engine.tasks import drain, look
from history.models import Run
from history.status import FINAL, Status
from tests.engine.machine import ANYBODYS, ORDINARY, ROOT, need


class Engine:
    """Plays the worker: drains when a bell rings."""

    def __init__(self) -> None:
        self.ear = Listener(layout.bells(), "queue")

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Work until the condition holds; the test fails when it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that in time"
            drain()
            if not condition():
                self.ear.wait(0.05)

    def finish(self, run: Run, seconds: float = 60) -> Run:
        self.until(lambda: Run.objects.get(pk=run.pk).status in FINAL, seconds)
        run.refresh_from_db()
        return run

    def started(self, run: Run) -> Run:
        """Until the script of the first step has printed something."""
        self.until(lambda: Run.objects.get(pk=run.pk).status == Status.RUNNING and bool(log_of(run)))
        run.refresh_from_db()
        return run

    def look(self) -> None:
        look()


def log_of(run: Run) -> bytes:
    path = layout.control_folder(run.pk) / "log"
    return path.read_bytes() if path.exists() else b""


def directory_of(run: Run) -> Path:
    return layout.run_directory(run.output_dir)


def processes_of(run: Run) -> list[int]:
    """Everything of the run's scripts that lives."""
    return kernel.marked_processes(f"PYSCHED_RUN_DIR={directory_of(run)}".encode())


def keeper_pid() -> int:
    """The keeper of this test: who holds its lock."""
    inode = (layout.keeper_folder() / "lock").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "FLOCK" in fields and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("no keeper holds the lock")


def supervisor_pid(run: Run, position: int = 1) -> int:
    from engine.host import records

    state = records.read(str(layout.step_folder(run.pk, position, 1) / records.SUPERVISOR))
    assert state
    return int(state["pid"])


FOUND_OUT: dict[str, bytes] = {}


def know_isolation() -> None:
    """What the canary found out in the first test holds in all."""
    from engine import canary

    path = layout.data_path("isolation", "testhost.json")
    path.parent.mkdir(exist_ok=True, mode=0o700)
    if "auto" in FOUND_OUT:
        path.write_bytes(FOUND_OUT["auto"])
    else:
        canary.find_out()
        FOUND_OUT["auto"] = path.read_bytes()


@pytest.fixture
def open_place(settings: Any) -> Iterator[Path]:
    """A data path and a media folder where other users may pass, unlike those of tests."""
    folder = Path(tempfile.mkdtemp(prefix="pysched-isolation-"))
    folder.chmod(0o755)
    settings.DATA_PATH, settings.MEDIA_ROOT = folder / "data", folder / "media"
    for path in (settings.DATA_PATH, settings.MEDIA_ROOT):
        path.mkdir(mode=0o755)
    (settings.DATA_PATH / "secret_key").write_text("secret")
    (settings.DATA_PATH / "secret_key").chmod(0o600)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=[BUBBLEWRAP, USER, LANDLOCK, PLAIN])
def each_level(request: pytest.FixtureRequest, settings: Any, open_place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs run at each level that this machine can do. Ask for it before `engine`."""
    need(ROOT if request.param == USER else ORDINARY, request.param)
    settings.ISOLATION = request.param
    if request.param == USER:
        if not ANYBODYS:
            pytest.skip("there is no Python that any user may start")
        for module in ("engine.canary", "engine.prepare"):
            monkeypatch.setattr(f"{module}.interpreter", lambda: os.path.realpath(ANYBODYS[0]))
    try:
        level_in_force()
    except IsolationUnavailable as error:
        pytest.skip(f"this machine does not do {request.param}: {error}")
    return str(request.param)


@pytest.fixture
def engine(db: None, settings: Any) -> Iterator[Engine]:
    settings.STOP_GRACE_SECONDS = 1
    settings.MAX_RUNS = 8
    know_isolation()
    keeper.ensure_keeper()
    engine = Engine()
    yield engine
    engine.ear.close()
    with contextlib.suppress(AssertionError, OSError):
        pid = keeper_pid()
        kernel.signal_all([*kernel.descendants(pid), pid], signal.SIGKILL)
    for run in Run.objects.exclude(output_dir=""):
        kernel.signal_all(processes_of(run), signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
