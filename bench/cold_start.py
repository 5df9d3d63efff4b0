"""How long from the start of the first process to the first page, beside a process that only loads Django."""

import http.client
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.environment import ROOT, users_python
from bench.options import options
from bench.subject import Subject
from bench.table import Row, below, median, show

LOAD = "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'pyscheduler.settings'; django.setup()"


def bare_load(platform: Subject) -> float:
    began = time.monotonic()
    environment = {**platform.environment, "PYTHONPATH": str(ROOT)}
    subprocess.run([users_python(), "-c", LOAD], env=environment, check=True)
    return time.monotonic() - began


def start(platform: Subject, *options: str) -> float:
    """Seconds from the first process to the first page, the log-in; the platform is ended again."""
    began = time.monotonic()
    platform.start("up", *options)
    while not _is_answered(platform.port):
        time.sleep(0.005)
    took = time.monotonic() - began
    platform.end()
    return took


def _is_answered(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/login")
        answer = connection.getresponse()
        assert answer.status == 200 and b"</html>" in answer.read()
    except ConnectionError:
        return False
    finally:
        connection.close()
    return True


def first_start(*, compiled: bool) -> float:
    """With an empty data path: migrations, administrator, demo. Not `compiled`: no bytecode of anything is there yet either."""
    folder = Path(tempfile.mkdtemp(prefix="pysched-bench-"))
    platform = Subject(folder, {} if compiled else {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")})
    try:
        return start(platform)
    finally:
        platform.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    repeats = options(__doc__).few(5)
    firsts = options(__doc__).few(3)
    folder = Path(tempfile.mkdtemp(prefix="pysched-bench-"))
    platform = Subject(folder)
    bare, ours = [], []
    try:
        start(platform)
        for _ in range(repeats):
            bare.append(bare_load(platform))
            ours.append(start(platform))
    finally:
        platform.close()
        shutil.rmtree(folder, ignore_errors=True)
    first = [first_start(compiled=True) for _ in range(firsts)]
    fresh = first_start(compiled=False)
    show(
        f"Cold start to the first page ({repeats} times each, in turn)",
        [
            Row("`up` -> first page (bare: Django is loaded)", "s", median(bare), median(ours), below(2, "s")),
            Row(f"first start ever: migrations, demo content ({firsts} times)", "s", median(bare), median(first)),
            Row("first start ever, and no bytecode yet (once)", "s", median(bare), fresh),
        ],
    )


if __name__ == "__main__":
    main()
