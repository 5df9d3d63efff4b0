"""`manage.py verify` against real installations: all in one, as separate services, and with a part missing."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.engine


class Platform:
    """A folder, a database and a port of its own; `start` runs one of the platform's commands until the test is over."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**os.environ, "PYSCHED_DATA_PATH": str(folder), "PYSCHED_PORT": str(self.port), "PYSCHED_HOST": "127.0.0.1"}
        if os.environ.get("PYSCHED_TEST_DATABASE") == "postgres":
            self.env["PYSCHED_DATABASE_URL"] = self._database()
        self.children: list[subprocess.Popen[str]] = []

    def _database(self) -> str:
        import psycopg

        server, name = os.environ["PYSCHED_DATABASE_URL"], f"verify_{os.getpid()}_{time.monotonic_ns()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return server.rsplit("/", 1)[0] + f"/{name}"

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120)

    def start(self, *arguments: str) -> None:
        log = open(self.folder / f"{arguments[0]}.log", "w")  # noqa: SIM115 - the child's from here on
        self.children.append(
            subprocess.Popen([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, stdout=log, stderr=log, text=True)
        )
        log.close()

    def logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()}" for path in self.folder.glob("*.log"))

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(URLError, ConnectionError), urlopen(f"{self.url}/api/v1/health", timeout=5):
                return
            assert time.monotonic() < until, self.logs()
            time.sleep(0.1)

    def close(self) -> None:
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            child.wait(15)
        # The keeper outlives the platform on purpose; this folder's has nothing to keep any more.
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.folder / "keeper").encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    folder = tmp_path / "installation"
    folder.mkdir()
    made = Platform(folder)
    yield made
    made.close()


@pytest.fixture
def left(platform: Platform) -> Callable[[], str]:
    """What the installation has of threads, processes, schedules, runs, keys and teams, and of files."""
    counts = (
        "from threads.models import Thread; from processes.models import Process; from schedules.models import Schedule;"
        "from history.models import Run; from accounts.models import ApiKey, Team;"
        "print([model.objects.count() for model in (Thread, Process, Schedule, Run, ApiKey, Team)])"
    )

    def look() -> str:
        done = platform.manage("shell", "--no-imports", "-c", counts)
        files = [
            path for name in ("media/process_runs", "control", "code") for path in (platform.folder / name).rglob("*") if path.is_file()
        ]
        return f"{done.stdout.strip()} {files}"

    return look


def test_it_sees_a_run_through_on_an_installation_in_one_command(platform, left):
    platform.start("up", "--no-demo")
    platform.wait_until_it_answers()
    before = left()
    done = platform.manage("verify")
    assert done.returncode == 0, done.stdout + done.stderr + platform.logs()
    for seen in ("ended as success", "run.log holds", "proof.txt holds", "The log over the API holds", "Removed what was made"):
        assert seen in done.stdout
    assert before == left() == "[0, 0, 0, 0, 0, 1] []"


def test_it_sees_a_run_through_with_the_parts_as_services_of_their_own(platform):
    platform.manage("migrate", "--verbosity", "0")
    platform.manage("shell", "--no-imports", "-c", "from operations.bootstrap import ensure_administrator; ensure_administrator()")
    for part in ("web", "scheduler", "qcluster"):
        platform.start(part)
    platform.wait_until_it_answers()
    done = platform.manage("verify")
    assert done.returncode == 0, done.stdout + done.stderr + platform.logs()


def test_it_says_what_is_missing_and_removes_what_it_made(platform, left):
    platform.manage("migrate", "--verbosity", "0")
    none = platform.manage("verify")
    assert (none.returncode, "no administrator yet" in none.stderr) == (1, True)
    platform.manage("shell", "--no-imports", "-c", "from operations.bootstrap import ensure_administrator; ensure_administrator()")
    nobody = platform.manage("verify")
    assert (nobody.returncode, "nothing answers at" in nobody.stderr) == (1, True)

    platform.start("web")
    platform.wait_until_it_answers()
    no_clock = platform.manage("verify", "--timeout", "1")
    assert (no_clock.returncode, "is the scheduler running?" in no_clock.stderr) == (1, True)
    platform.start("scheduler")
    no_workers = platform.manage("verify", "--timeout", "8")
    assert (no_workers.returncode, "are workers running?" in no_workers.stderr) == (1, True), no_workers.stderr
    assert "Removed what was made" in no_workers.stdout
    assert left() == "[0, 0, 0, 0, 0, 1] []"
