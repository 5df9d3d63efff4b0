"""An installation of clocks alone: a data path and database of its own, real `manage.py scheduler` children, and a scribe.

The scribe is a child too (`python -m tests.schedules.scene`): it writes schedules into that database and reads what became of them.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# The real command with a lease short enough for a test.
CLOCK = (
    "import django; django.setup(); from schedules import lease; lease.LEASE_SECONDS, lease.RENEW_SECONDS = 2.0, 0.4; "
    "from django.core.management import call_command; call_command('scheduler')"
)


class Scene:
    """`start_clock` gives a running child; `tell` asks the scribe."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pysched-clock-"))
        self.env = {**os.environ, "PYSCHED_DATA_PATH": str(self.folder), "PYTHONPATH": str(ROOT)}
        self.database = ""
        if os.environ.get("PYSCHED_TEST_DATABASE") == "postgres":
            self._make_database()
        self.clocks: list[subprocess.Popen[bytes]] = []
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=self.env, check=True)
        self.scribe = subprocess.Popen(
            [sys.executable, "-m", "tests.schedules.scene"],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _make_database(self) -> None:
        import psycopg

        self.database, self.server = f"clock_{os.getpid()}_{time.monotonic_ns()}", os.environ["PYSCHED_DATABASE_URL"]
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database}")
        self.env["PYSCHED_DATABASE_URL"] = self.server.rsplit("/", 1)[0] + f"/{self.database}"

    def start_clock(self) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen([sys.executable, "-c", CLOCK], cwd=ROOT, env=self.env)
        self.clocks.append(child)
        return child

    def tell(self, verb: str, **order: Any) -> Any:
        assert self.scribe.stdin
        assert self.scribe.stdout
        self.scribe.stdin.write(json.dumps({"do": verb, **order}) + "\n")
        self.scribe.stdin.flush()
        return json.loads(self.scribe.stdout.readline())

    def wait_for(self, verb: str, true: Any, seconds: float = 60) -> Any:
        """What the scribe says as soon as `true(answer)`."""
        deadline = time.monotonic() + seconds
        while not true(answer := self.tell(verb)):
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)
        return answer

    def close(self) -> None:
        children: list[subprocess.Popen[Any]] = [*self.clocks, self.scribe]
        for child in children:
            child.kill()
            child.wait()
        for stream in (self.scribe.stdin, self.scribe.stdout):
            if stream:
                stream.close()
        if self.database:
            import psycopg

            with psycopg.connect(self.server, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    import django

    django.setup()
    from tests.schedules import scribe

    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(getattr(scribe, order.pop("do"))(**order)), flush=True)


if __name__ == "__main__":
    main()
