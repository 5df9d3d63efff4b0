"""Each limit of a thread on a real script: the run ends, and its reason says which limit, how much it is and what was used."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from history.models import Run, StepRun
from history.status import Status
from tests.engine.conftest import Engine, processes_of

pytestmark = pytest.mark.engine

Make = Callable[..., Any]

HELD_BY_TWO = """
import subprocess, sys, time
HOLD = "import time; held = b'x' * (60 << 20); time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", HOLD]) for _ in range(2)]
time.sleep(600)
"""
BURNT_BY_CHILDREN = """
import subprocess, sys
while True:
    subprocess.run([sys.executable, "-c", "for _ in range(2_000_000): pass"])
"""
MANY = """
import subprocess, sys, time
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(8)]
time.sleep(600)
"""
TALK = "import time\nfor _ in range(3000): print('x' * 1023)\ntime.sleep(600)\n"
FILL = "import time\nfor i in range(4): open(f'part-{i}', 'wb').write(b'x' * (1 << 20))\ntime.sleep(600)\n"

CASES = {
    "memory_limit_mb": (100, HELD_BY_TWO, r"It used more memory than its limit of 100 MiB \([\d.]+ MiB\) and was stopped\."),
    "cpu_limit": (1, BURNT_BY_CHILDREN, r"It used more processor time than its limit of 1 second \(\d seconds\) and was stopped\."),
    "process_limit": (4, MANY, r"It had more processes at once than its limit of 4 \(\d\) and was stopped\."),
    "output_limit_mb": (1, TALK, r"It printed more than its limit of 1 MiB \([\d.,]+ (MiB|bytes)\) and was stopped\."),
    "directory_limit_mb": (2, FILL, r"It filled its directory beyond its limit of 2 MiB \([\d.]+ MiB\) and was stopped\."),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_passes_a_limit_ends_and_says_so(name: str, engine: Engine, make_thread: Make, make_run: Make) -> None:
    value, source, reason = CASES[name]
    run = make_run(make_thread("Greedy", source, **{name: value}))
    engine.finish(run)
    assert (run.status, bool(re.fullmatch(reason, run.reason)), processes_of(run)) == (Status.FAILED, True, []), run.reason
    step = StepRun.objects.get(run=run)
    assert step.limits == {name: value}
    assert step.failure["kind"] in ("limit", "memory")


SHARED = """
import os, time
held = b"x" * (60 << 20)
for _ in range(4):
    if os.fork() == 0:
        time.sleep(600)
time.sleep(1.5)
"""


def test_memory_that_processes_share_counts_once(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Sharing", SHARED, memory_limit_mb=200)))
    assert run.status == Status.SUCCESS, run.reason


def test_within_its_limits_a_run_succeeds(engine: Engine, make_thread: Make, make_run: Make) -> None:
    limits = {name: value for name, (value, _, _) in CASES.items()}
    run: Run = make_run(
        make_thread("Modest", "import time\nprint('x' * 1000)\nopen('a', 'w').write('x' * 1000)\ntime.sleep(1.2)\n", **limits)
    )
    assert engine.finish(run).status == Status.SUCCESS, run.reason


def test_limits_are_those_of_the_moment_it_was_queued(make_thread: Make, make_run: Make) -> None:
    thread = make_thread("Early", "print(1)\n", memory_limit_mb=64)
    run = make_run(thread)
    type(thread).objects.filter(pk=thread.pk).update(memory_limit_mb=None)
    assert StepRun.objects.get(run=run).limits == {"memory_limit_mb": 64}
