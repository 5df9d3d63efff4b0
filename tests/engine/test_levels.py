"""What is the same at each level of isolation: how an end is told, and what a run without a network is told."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from history.status import Status
from tests.engine.conftest import Engine

pytestmark = [pytest.mark.engine, pytest.mark.once]

Make = Callable[..., Any]

ENDS = {
    "exit 137": ("sys.exit(137)", 137),
    "exit 130": ("raise SystemExit(130)", 130),
    "exit 139 at once": ("os._exit(139)", 139),
    "exit 143 after a child's": ("os.waitpid(os.fork() or os._exit(9), 0)\nsys.exit(143)", 143),
    "SIGKILL": ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
    "SIGSEGV": ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
    "an interrupt nobody caught": ("os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)", -signal.SIGINT),
    "exit 1": ("sys.exit(1)", 1),
}


def test_an_exit_code_is_told_from_a_signal(each_level: str, engine: Engine, make_thread: Make, make_run: Make) -> None:
    runs = {name: make_run(make_thread(name, f"import os, signal, sys, time\n{source}\n")) for name, (source, _) in ENDS.items()}
    for name, (_, code) in ENDS.items():
        step = engine.finish(runs[name]).steps.get()
        assert (name, step.exit_code, step.failure["kind"]) == (name, code, "exit_code" if code > 0 else step.failure["kind"])
        assert code > 0 or step.failure["exception"] in (signal.Signals(-code).name, "KeyboardInterrupt"), step.failure


def test_a_chosen_exit_code_is_tried_again_and_a_signal_is_not(each_level: str, engine: Engine, make_thread: Make, make_run: Make) -> None:
    again = {"retries": 1, "retry_delay_seconds": 600, "retry_exit_codes": [137]}
    by_code = make_run(make_thread("Code", "import sys\nsys.exit(137)\n", **again))
    by_signal = make_run(make_thread("Signal", "import os\nos.kill(os.getpid(), 9)\n", **again))
    assert engine.finish(by_signal).steps.get().attempt == 1
    engine.until(lambda: by_code.steps.filter(status=Status.QUEUED, attempt=2).exists())
