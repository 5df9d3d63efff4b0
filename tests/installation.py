"""A real installation for tests: its own data path and database, a web server on a free port, a pen beside it."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.readable import readable

ROOT = Path(__file__).resolve().parent.parent
WEB = "import os, django; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'pyscheduler.settings'); django.setup(); "


class Installation:
    """`web` is the server's child, `port` where it listens, `people` who there is; `tell` makes the pen do something."""

    def __init__(self, prelude: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pysched-live-"))
        self.database = ""
        self.env = {**os.environ, "PYSCHED_DATA_PATH": str(self.folder), "PYSCHED_SECRET_KEY": "k" * 40, "PYTHONPATH": str(ROOT)}
        if os.environ.get("PYSCHED_TEST_DATABASE") == "postgres":
            self._make_database()
        else:
            self.env.pop("PYSCHED_DATABASE_URL", None)
        self._manage("migrate", "--verbosity", "0")
        self.pen = subprocess.Popen(
            [sys.executable, "-m", "tests.pen"], cwd=ROOT, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        seeded = self.tell("seed")
        self.people, self.team, self.other_team = seeded["people"], seeded["team"], seeded["other_team"]
        self.prelude = prelude
        self.web = self._started(prelude)

    def _make_database(self) -> None:
        import psycopg

        self.database = f"live_{os.getpid()}_{time.monotonic_ns()}"
        self.server_url = os.environ["PYSCHED_DATABASE_URL"]
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database}")
        self.database_url = self.server_url.rsplit("/", 1)[0] + f"/{self.database}"
        self.env["PYSCHED_DATABASE_URL"] = self.database_url

    def _manage(self, *arguments: str) -> None:
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, check=True)

    def start_web(self, prelude: str | None = None, port: int = 0) -> None:
        """Again, after it has ended; running another `prelude` and on a certain port if they are given."""
        self._close_pipes(self.web)
        self.web = self._started(self.prelude if prelude is None else prelude, port)

    def _started(self, prelude: str, port: int = 0) -> "subprocess.Popen[bytes]":
        """In a child that runs `prelude` first; returns when it answers."""
        code = (
            f"{WEB}{prelude}\n"
            "from pyscheduler.web.server import bind, serve\n"
            f"listener = bind('127.0.0.1', {port})\n"
            "serve(listener, lambda: print(listener.getsockname()[1], flush=True))\n"
        )
        web = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert web.stdout
        assert web.stderr
        line = web.stdout.readline()
        assert line, f"The web server did not start: {web.stderr.read().decode()}"
        self.port = int(line)
        return web

    def end_web(self, seconds: float = 60) -> tuple[int, str, float]:
        """SIGTERM; exit status, what it said on standard error, and how long it took."""
        began = time.monotonic()
        self.web.send_signal(signal.SIGTERM)
        _, errors = self.web.communicate(timeout=seconds)
        return self.web.returncode, errors.decode(), time.monotonic() - began

    def tell(self, verb: str, **order: Any) -> Any:
        assert self.pen.stdin
        assert self.pen.stdout
        self.pen.stdin.write(json.dumps({"do": verb, **order}) + "\n")
        self.pen.stdin.flush()
        return json.loads(self.pen.stdout.readline())

    def close(self) -> None:
        for child in (self.pen, self.web):
            child.kill()
            child.wait()
            self._close_pipes(child)
        if self.database:
            import psycopg

            with psycopg.connect(self.server_url, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close_pipes(self, child: "subprocess.Popen[Any]") -> None:
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()

    def control(self, run_id: int) -> Path:
        folder = self.folder / "control" / str(run_id // 1000) / str(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def cookie(self, name: str) -> dict[str, str]:
        return {"Cookie": f"sessionid={self.people[name]['session']}"}

    def key(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.people[name]['key']}"}

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def live(self, topics: str, who: str = "viewer", headers: dict[str, str] | None = None, **query: Any) -> "Listening":
        path = "/live?" + urlencode({"topics": topics, **query})
        return Listening(self.port, path, self.cookie(who) | (headers or {}))

    def api(self, path: str, who: str = "viewer", headers: dict[str, str] | None = None) -> "Listening":
        return Listening(self.port, path, self.key(who) | (headers or {}))


class Listening:
    """A client of a stream, by a plain socket. `close_all` hangs up for all of them."""

    opened: ClassVar[list["Listening"]] = []

    @classmethod
    def close_all(cls) -> None:
        while cls.opened:
            cls.opened.pop().close()

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self.opened.append(self)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        # HTTP/1.0: no chunks, the stream ends with the connection.
        self.socket.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n".encode())
        self.buffer = b""
        status = self._until(b"\r\n\r\n", 60)
        assert status is not None, "no answer"
        self.head = status.decode()
        self.status = int(self.head.split()[1])
        self.last_id = ""

    def _until(self, mark: bytes, seconds: float) -> bytes | None:
        deadline = time.monotonic() + seconds
        while mark not in self.buffer:
            data = self.socket.recv(65536) if readable([self.socket], deadline - time.monotonic()) else b""
            if not data:
                return None
            self.buffer += data
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def next(self, *events: str, seconds: float = 30) -> tuple[str, Any] | None:
        """The next message, or the next of these; None at the end or when none came in time."""
        deadline = time.monotonic() + seconds
        while (block := self._until(b"\n\n", deadline - time.monotonic())) is not None:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
            self.last_id = fields.get("id", self.last_id)
            if "event" in fields and (not events or fields["event"] in events):
                return fields["event"], json.loads(fields["data"])
        return None

    def all(self, seconds: float = 30) -> list[tuple[str, Any]]:
        """Everything up to the stream's end, or for so long."""
        deadline, found = time.monotonic() + seconds, []
        while message := self.next(seconds=deadline - time.monotonic()):
            found.append(message)
        return found

    def is_over(self, seconds: float = 30) -> bool:
        """Has the server ended the stream (within so long)?"""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if readable([self.socket], deadline - time.monotonic()) and not self.socket.recv(65536):
                return True
        return False

    def close(self) -> None:
        self.socket.close()


def add(path: Path, data: bytes) -> None:
    """Append, as a supervisor does."""
    with path.open("ab", buffering=0) as file:
        file.write(data)


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def sockets(pid: int) -> int:
    """How many of its descriptors are sockets."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(descriptor.readlink()).startswith("socket:")
    return found
