"""A builder that is killed in the middle of an installation, with a real resolver and an index that answers when it is told to."""

import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

pytestmark = [pytest.mark.once, pytest.mark.engine]

METADATA = "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n"
FILE = "slow-1.0-py3-none-any.whl"
PREPARE = """
import django
django.setup()
from accounts.models import User
from accounts.services import create_team
from threads.services import create_thread
user = User.objects.create_superuser("operator")
create_thread(team=create_team(name="Team", user=user), user=user, name="One", source="pass", requirements="slow==1.0")
"""
TAKE_UP = "import django; django.setup(); from environments import builder; print(builder.take_up_abandoned(lambda host: False))"
TELL = """
import django
django.setup()
from environments import ondisk
from threads.models import Thread
thread = Thread.objects.get()
build = thread.environment_build
print(build.status, build.attempt, thread.environment_id and ondisk.health_of(thread.environment_id) == "", ondisk.keys_here() != [],
      [key for key in ondisk.keys_here() if ondisk.last_used(key)] == [thread.environment_id])
"""


def wheel() -> bytes:
    about = "slow-1.0.dist-info"
    files = {"slow.py": "value = 1\n" * 50_000, f"{about}/METADATA": METADATA,
             f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}  # fmt: skip
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in {**files, f"{about}/RECORD": "".join(f"{name},,\n" for name in files)}.items():
            archive.writestr(path, text)
    return content.getvalue()


class Index(ThreadingHTTPServer):
    """`halfway` is set when half of the wheel has been sent; the other half follows `go_on`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.wheel, self.halfway, self.go_on = wheel(), threading.Event(), threading.Event()


class Answer(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        if self.path == "/simple/slow/":
            digest = hashlib.sha256(self.server.wheel).hexdigest()
            link = f'<a href="/{FILE}#sha256={digest}" data-core-metadata="true">{FILE}</a>'
            self._send("text/html", f"<!DOCTYPE html><html><body>{link}</body></html>".encode())
        elif self.path == f"/{FILE}.metadata":
            self._send("text/plain", METADATA.encode())
        elif self.path == f"/{FILE}":
            self._send("application/octet-stream", self.server.wheel, wait=True)
        else:
            self.send_error(404)

    def _send(self, kind: str, content: bytes, *, wait: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        if wait:
            self.server.halfway.set()
            self.server.go_on.wait(300)
        self.wfile.write(content[half:])

    def log_message(self, *words: Any) -> None:
        """The test's output is no place for this."""


@pytest.fixture
def index() -> Iterator[Index]:
    server = Index()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server
    server.go_on.set()
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_build_whose_builder_is_killed_in_the_middle_is_made_anew(index: Index, tmp_path: Path) -> None:
    base = Path(django_settings.BASE_DIR)
    variables = {name: value for name, value in os.environ.items() if name != "PYSCHED_DATABASE_URL" and not name.startswith("UV_")}
    variables |= {
        "PYSCHED_DATA_PATH": str(tmp_path / "data"),
        "PYTHONPATH": str(base),
        "UV_DEFAULT_INDEX": f"http://127.0.0.1:{index.server_port}/simple",
        "UV_HTTP_TIMEOUT": "300",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }

    def run(*words: str) -> str:
        return subprocess.run([sys.executable, *words], env=variables, cwd=base, capture_output=True, text=True, check=True).stdout.strip()

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "manage.py", "buildenvironments"], env=variables, cwd=base)

    run("manage.py", "migrate", "--verbosity=0")
    run("-c", PREPARE)
    killed = start()
    assert index.halfway.wait(120)
    killed.kill()
    killed.wait()
    # Its half lies there and counts for nothing.
    assert run("-c", TELL) == "running 1 None True False"
    assert run("-c", TAKE_UP) == "1"
    following = start()
    index.go_on.set()
    assert following.wait(120) == 0
    assert run("-c", TELL) == "ready 2 True True True"
    python = next((tmp_path / "data" / "environments" / "ready").glob("*/bin/python"))
    assert subprocess.run([python, "-I", "-c", "import slow; print(slow.value)"], capture_output=True, text=True).stdout == "1\n"
