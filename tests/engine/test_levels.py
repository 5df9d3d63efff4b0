"""What is the same at each level of isolation: how an end is told, and what a run without a network is told."""

import os
import re
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from engine.isolation import BUBBLEWRAP, PLAIN, USER
from history.status import Status
from tests.engine.conftest import Engine, log_of, processes_of

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


# Every way out of the host, and to what listens on it; what it opens for itself is its own matter.
REACHES = """
import os, socket
print("on")
targets = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "HOST")]
for family, address in targets:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(family, kind) as reaching:
                reaching.settimeout(2)
                reaching.connect((address, PORT if kind == socket.SOCK_STREAM else 9))
                # To itself a datagram may go: there is nobody else.
                if kind == socket.SOCK_STREAM or address not in ("127.0.0.1", "HOST"):
                    print("reached", family, kind, address)
        except OSError:
            pass
try:
    socket.create_connection(("192.0.2.1", 80), 5)
except socket.timeout:
    print("it waits for an answer")
"""


def own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def test_a_thread_without_network_reaches_none_or_does_not_run(each_level: str, engine: Engine, make_thread: Make, make_run: Make) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listening:
        source = REACHES.replace("PORT", str(listening.getsockname()[1])).replace("HOST", own_address())
        run = engine.finish(make_run(make_thread("Offline", source, network=False)))
    if each_level == PLAIN:
        assert (run.status, log_of(run)) == (Status.FAILED, b"")
        assert "it must not reach the network, and isolation plain cannot keep it from it here" in run.reason
    else:
        assert log_of(run).startswith(b"on\nTraceback "), log_of(run)
        assert run.steps.get().failure["hint"].startswith("The network is off for this thread.")


def test_with_network_the_same_script_reaches_what_listens(each_level: str, engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = "import socket\nsocket.create_connection(('127.0.0.1', {}), 30).close()\nsocket.create_connection(('127.0.0.1', 1), 30)\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        run = engine.finish(make_run(make_thread("Online", source.format(listening.getsockname()[1]))))
    step = run.steps.get()
    assert (step.failure["exception"], step.failure["line"], step.failure["hint"]) == ("ConnectionRefusedError", 3, "")


LIMITS = """
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(resource.prlimit(0, resource.RLIMIT_NOFILE), resource.prlimit(other.pid, resource.RLIMIT_NOFILE))
try:
    resource.prlimit(other.pid, resource.RLIMIT_NOFILE, (100, 100))
    print("set")
except PermissionError:
    print("refused")
other.communicate(b"x")
"""


def test_a_script_sets_its_own_limits_and_those_of_no_other_process(
    each_level: str, engine: Engine, make_thread: Make, make_run: Make
) -> None:
    run = engine.finish(make_run(make_thread("Limits", LIMITS)))
    expected = "set" if each_level == PLAIN else "refused"
    assert log_of(run).decode() == f"(200, 300) (200, 300)\n{expected}\n"


BOMB = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
# Each fork takes a token: it is a bomb of 150 processes, and each is a session of its own, whose parent ends.
tokens, filled = os.pipe()
os.set_blocking(tokens, False)
os.write(filled, b"x" * 150)
end = time.monotonic() + 100
while time.monotonic() < end:
    try:
        if os.read(tokens, 1) and os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.5)
"""


def test_a_fork_bomb_is_ended_by_its_limit_and_the_platform_goes_on(
    each_level: str, engine: Engine, make_thread: Make, make_run: Make
) -> None:
    run = engine.finish(make_run(make_thread("Bomb", BOMB, process_limit=40)))
    assert run.status == Status.FAILED
    assert re.fullmatch(r"It had more processes at once than its limit of 40 \(\d+\) and was stopped\.", run.reason), run.reason
    assert processes_of(run) == []
    assert engine.finish(make_run()).status == Status.SUCCESS


def test_without_a_limit_of_its_own_a_script_has_the_platforms(
    each_level: str, engine: Engine, settings: Any, make_thread: Make, make_run: Make
) -> None:
    settings.DEFAULT_PROCESS_LIMIT = 10
    run = engine.finish(make_run(make_thread("Bomb", BOMB)))
    assert "more processes at once than its limit of 10 " in run.reason
    assert processes_of(run) == []


def test_the_kernel_counts_the_processes_of_a_run_where_it_can(each_level: str, engine: Engine, make_thread: Make, make_run: Make) -> None:
    """So that a bomb gets no further until it is seen. As root nothing is counted."""
    source = "import resource\nprint(*resource.getrlimit(resource.RLIMIT_NPROC))\n"
    bound = log_of(engine.finish(make_run(make_thread("Bound", source, process_limit=500)))).split()
    if each_level in (BUBBLEWRAP, USER):
        assert bound == [b"2000", b"2000"]
    elif os.geteuid() != 0:
        assert int(bound[0]) > 2000
