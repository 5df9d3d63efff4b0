"""A real platform in processes of its own: `manage.py up`, or its parts one by one, on a data path made for the test."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.host import kernel
from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
PASSWORD = "a password for the tests"


class Platform:
    """Handle on a running platform. `get`, `post` … speak to its API with an owner's key. `before` is put before its commands."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None, before: Sequence[str] = ()) -> None:
        self.folder = folder
        self.before = list(before)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYSCHED_", "PYTHON"))},
            "PYSCHED_DATA_PATH": str(folder),
            "PYSCHED_PORT": str(self.port),
            "PYSCHED_ADMIN_PASSWORD": PASSWORD,
            "PYSCHED_RATE_LIMIT_ENABLED": "false",
            "PYSCHED_HOST_KEY": f"test-{self.port}",
            **(environment or {}),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.started: list[subprocess.Popen[bytes]] = []
        self.key = ""

    # Life

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start `manage.py COMMAND …`; what it prints goes to a file of its name."""
        with open(self.folder / f"{command[0]}.out", "ab") as output:
            line = [*self.before, *MANAGE, *command]
            process = subprocess.Popen(line, env=self.environment, stdout=output, stderr=output, start_new_session=True)
        self.processes[command[0]] = process
        self.started.append(process)
        return process

    def manage(self, *command: str) -> str:
        """Run a command to its end; returns what it printed."""
        done = subprocess.run([*self.before, *MANAGE, *command], env=self.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self, *options: str) -> None:
        self.start("up", *options)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self.until(lambda: self._answers(), 120)
        if not self.key:
            self.key = self.manage("createapikey", "--user", "admin").strip()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.call("GET", "/api/v1/health")[0] in (200, 503)
        return False

    def end(self, name: str = "up", number: signal.Signals = signal.SIGTERM, seconds: float = 60) -> None:
        """Signal a process and wait for its end."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(seconds)

    def output(self, name: str = "up") -> str:
        return (self.folder / f"{name}.out").read_text()

    # API

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and answer: parsed JSON, or bytes of another type."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, _content(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)

    def get(self, path: str) -> Any:
        status, content = self.call("GET", f"/api/v1/{path}")
        assert status == 200, content
        return content

    def post(self, path: str, body: Any = None) -> Any:
        status, content = self.call("POST", f"/api/v1/{path}", {} if body is None else body)
        assert status in (200, 201, 202), content
        return content

    def until(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """The first true answer; the test fails when there is none in time."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < deadline, "it did not come to that in time"
            time.sleep(0.02)
        return answer

    def run_script(self, source: str, name: str = "script", **more: Any) -> Any:
        thread = self.post("threads", {"name": name, "source": source, **more})
        return self.post(f"threads/{thread['id']}/run")

    def finished(self, run: Any, seconds: float = 60) -> Any:
        def ended() -> Any:
            found = self.get(f"runs/{run['id']}")
            return found if found["status"] not in ("queued", "running", "paused") else None

        return self.until(ended, seconds)

    def log(self, run: Any) -> str:
        return self.get(f"runs/{run['id']}/log").decode()

    # Processes

    def pids(self, title: str) -> list[int]:
        """Processes of this platform by their title, such as `pyscheduler clock` or `monitor`.

        They are found below what was started here: a title that was set has overwritten the environment the kernel shows.
        """
        mine = {pid for process in self.started for pid in (process.pid, *kernel.descendants(process.pid))}
        return [pid for pid in mine if title in _command(pid)]

    def keeper(self) -> list[int]:
        """The keeper and the supervisors it forked."""
        return self._having(command=f"{self.folder}/keeper")

    def scripts(self) -> list[int]:
        """Living processes of scripts."""
        return self._having(environment=f"PYSCHED_RUN_DIR={self.folder}")

    def _having(self, *, environment: str = "", command: str = "") -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    # A zombie has neither.
                    words = _command(int(entry.name))
                    # Of what hides its memory, as the keeper does, an ordinary user may not read the environment.
                    if words and command in words and (not environment or environment.encode() in (entry / "environ").read_bytes()):
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        for name in list(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end(name)
        for pid in [*self.pids(""), *self.keeper(), *self.scripts()]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _content(response: Any) -> Any:
    body = response.read()
    return json.loads(body) if response.headers.get("Content-Type", "").startswith("application/json") else body


@contextmanager
def platform(folder: Path, environment: dict[str, str] | None = None, before: Sequence[str] = ()) -> Iterator[Platform]:
    handle = Platform(folder, environment, before)
    try:
        yield handle
    finally:
        handle.close()
