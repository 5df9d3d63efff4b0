"""The platform as it is measured: on a data path of its own, run by the users' environment, watched from outside."""

import http.client
import json
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.environment import ROOT, users_python
from tests.platform import Platform

ENDED = "('success', 'failed', 'timeout', 'stopped', 'skipped', 'lost')"
LOOK_SECONDS = 0.001


class Subject(Platform):
    """A platform on SQLite. `ended_at` and the like look into its database: no request of ours is in the way of what is measured."""

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{command[0]}.out", "ab") as output:
            process = subprocess.Popen(
                [users_python(), str(ROOT / "manage.py"), *command],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.processes[command[0]] = process
        return process

    def manage(self, *command: str) -> str:
        arguments = [users_python(), str(ROOT / "manage.py"), *command]
        return subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=True).stdout

    def pen(self, task: str, **arguments: Any) -> Any:
        """Carry out a task of `bench.pen` in a process of its own, at once; returns its answer."""
        command = [users_python(), "-m", "bench.pen", task, json.dumps(arguments)]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, input="\n", stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    def add_thread(self, name: str, source: str) -> int:
        return int(self.post("threads", {"name": name, "source": source})["id"])

    def begin(self, method: str, path: str, body: Any = None) -> http.client.HTTPConnection:
        """Send a request on a new connection, as one call of a client does; who wants the answer reads it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content = json.dumps(body).encode() if body is not None else None
        connection.request(method, path, content, {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
        return connection

    def trigger(self, thread: int) -> int:
        """Start a run over the API; returns its id."""
        connection = self.begin("POST", f"/api/v1/threads/{thread}/run", {})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        assert answer.status == 201, content
        return int(content["id"])

    # Looks into the database

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.folder}/pyscheduler.sqlite3?mode=ro", uri=True, isolation_level=None, timeout=30)

    def wait_for(self, query: str, arguments: tuple[Any, ...], wanted: int = 1, seconds: float = 120) -> float:
        """The monotonic time at which the query's one number is seen to be `wanted` or more."""
        database = self.database()
        try:
            until = time.monotonic() + seconds
            while database.execute(query, arguments).fetchone()[0] < wanted:
                if time.monotonic() > until:
                    raise TimeoutError(f"{query} did not come to {wanted}")
                time.sleep(LOOK_SECONDS)
            return time.monotonic()
        finally:
            database.close()

    def recorded_at(self, run: int) -> float:
        """The monotonic time at which the run is seen to be recorded as ended."""
        return self.wait_for(f"SELECT count(*) FROM history_run WHERE id = ? AND status IN {ENDED}", (run,))

    def log_file(self, run: int) -> Path:
        return self.folder / "control" / str(run // 1000) / str(run) / "log"


@contextmanager
def subject(*options: str, environment: dict[str, str] | None = None) -> Iterator[Subject]:
    """A running platform without demo content, whose schedules would run in the midst of a measurement."""
    folder = Path(tempfile.mkdtemp(prefix="pysched-bench-"))
    handle = Subject(folder, environment)
    try:
        handle.up("--no-demo", *options)
        yield handle
    finally:
        handle.close()
        shutil.rmtree(folder, ignore_errors=True)
