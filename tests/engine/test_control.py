"""Pause and resume on real scripts: a whole tree stands still and goes on, whatever of the platform dies meanwhile."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import AuditEntry, User
from core.errors import Conflict
from engine.host import kernel
from history.models import Run, StepRun
from history.services import pause_run, request_stop, resume_run
from history.status import Status
from tests.engine.conftest import Engine, directory_of, keeper_pid, processes_of, supervisor_pid

pytestmark = pytest.mark.engine

Make = Callable[..., Any]

# Six kinds of members, each of which appends to a file of its own as long as it runs.
TREE = """
import multiprocessing, os, signal, subprocess, sys, time

BEAT = '''
import sys, time, signal
if "deaf" in sys.argv[1]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    with open(sys.argv[1], "a") as file:
        file.write(".")
    time.sleep(0.01)
'''

def beat(name):
    exec(BEAT.replace("sys.argv[1]", repr(name)))

def daemon(name):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", BEAT, name])
        os._exit(0)
    os.wait()

def breed():
    while True:
        if os.fork() == 0:
            with open("breeder", "a") as file:
                file.write(".")
            time.sleep(0.02)
            os._exit(0)
        time.sleep(0.005)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=beat, args=("fork",)).start()
    subprocess.Popen([sys.executable, "-c", BEAT, "child"])
    subprocess.Popen([sys.executable, "-c", BEAT, "session"], start_new_session=True)
    daemon("daemon")
    daemon("deaf-daemon")
    if os.fork() == 0:
        breed()
    print("ready", flush=True)
    beat("main")
"""
MEMBERS = ("main", "fork", "child", "session", "daemon", "deaf-daemon", "breeder")


def beats(run: Run) -> dict[str, int]:
    paths = [directory_of(run) / name for name in MEMBERS]
    return {path.name: path.stat().st_size if path.exists() else 0 for path in paths}


def all_beat(engine: Engine, run: Run) -> dict[str, int]:
    """When every member has made a beat more than now."""
    before = beats(run)
    engine.until(lambda: all(now > before[name] for name, now in beats(run).items()))
    return beats(run)


def starter(run: Run) -> User:
    assert run.user
    return run.user


def paused(engine: Engine, run: Run) -> None:
    pause_run(run=run, user=starter(run))
    engine.until(lambda: Run.objects.get(pk=run.pk).status == Status.PAUSED)
    engine.until(lambda: bool(tree(run)) and not [pid for pid in tree(run) if kernel.state(pid) in ("R", "S", "D")])
    run.refresh_from_db()


def tree(run: Run) -> list[int]:
    """The script's own processes; a sandbox has two more of its own."""
    supervisor = supervisor_pid(run)
    own = list(kernel.descendants(supervisor))
    if StepRun.objects.get(run=run).isolation != "bubblewrap":
        return own
    above = {pid for child in kernel.children(supervisor) for pid in (child, *kernel.children(child))}
    return [pid for pid in own if pid not in above]


def test_a_whole_tree_stands_still_and_goes_on(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Family", TREE)))
    all_beat(engine, run)
    paused(engine, run)
    still = beats(run)
    time.sleep(0.3)
    assert beats(run) == still
    assert StepRun.objects.get(run=run).status == Status.PAUSED
    assert run.pause_requested_by == starter(run).username

    resume_run(run=run, user=starter(run))
    engine.until(lambda: Run.objects.get(pk=run.pk).status == Status.RUNNING)
    all_beat(engine, run)
    run.refresh_from_db()
    assert run.paused_ms >= 300
    assert {"paused", "resumed"} <= set(AuditEntry.objects.values_list("verb", flat=True))

    supervisor = supervisor_pid(run)
    request_stop(run=run, user=starter(run))
    assert engine.finish(run).status == Status.STOPPED
    assert not processes_of(run)
    assert kernel.start_ticks(supervisor) is None


def test_a_paused_run_can_be_stopped(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Family", TREE)))
    paused(engine, run)
    request_stop(run=run, user=starter(run))
    assert engine.finish(run).status == Status.STOPPED
    assert not processes_of(run)
    assert run.paused_ms > 0


def test_a_paused_script_hears_of_a_stop_and_may_tidy_up(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = (
        "import signal, sys, time\n"
        "def end(*_):\n    open('tidied', 'w').close(); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    run = engine.started(make_run(make_thread("Script", source)))
    paused(engine, run)
    request_stop(run=run, user=starter(run))
    assert engine.finish(run).status == Status.STOPPED
    assert (directory_of(run) / "tidied").exists()


def test_a_pause_does_not_count_against_the_timeout(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = make_run(make_thread("Short", "import time\nprint('ready', flush=True)\ntime.sleep(0.5)\n", timeout_seconds=6))
    engine.started(run)
    paused(engine, run)
    time.sleep(6.2)
    engine.look()
    assert Run.objects.get(pk=run.pk).status == Status.PAUSED
    resume_run(run=run, user=starter(run))
    assert engine.finish(run).status == Status.SUCCESS


def test_a_pause_outlives_the_keeper_and_any_worker(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Family", TREE)))
    paused(engine, run)
    os.kill(keeper_pid(), signal.SIGKILL)
    for pid in tree(run)[:2]:
        os.kill(pid, signal.SIGCONT)  # Whoever does this: it does not last.
    engine.look()
    engine.until(lambda: not [pid for pid in tree(run) if kernel.state(pid) in ("R", "S", "D")])
    still = beats(run)
    time.sleep(0.1)
    assert beats(run) == still
    assert Run.objects.get(pk=run.pk).status == Status.PAUSED
    resume_run(run=run, user=starter(run))
    all_beat(engine, run)
    request_stop(run=run, user=starter(run))
    engine.finish(run)


def test_only_what_runs_can_be_paused_and_only_what_is_paused_resumed(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = make_run(make_thread("Quick", "print('ready', flush=True)\n"))
    with pytest.raises(Conflict, match="has not started yet; only a run that is going on can be paused"):
        pause_run(run=run, user=starter(run))
    engine.finish(run)
    with pytest.raises(Conflict, match="has already ended"):
        pause_run(run=run, user=starter(run))
    with pytest.raises(Conflict, match="only a paused run can be resumed"):
        resume_run(run=run, user=starter(run))


def test_a_script_that_had_stopped_its_child_finds_it_stopped_after_a_pause(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "os.kill(child.pid, signal.SIGSTOP)\n"
        "state = lambda: open(f'/proc/{child.pid}/stat').read().rpartition(')')[2].split()[0]\n"
        "while state() != 'T': time.sleep(0.01)\n"
        "print('ready', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n"
        "time.sleep(0.1)\nprint(state(), flush=True)\nchild.kill()\n"
    )
    run = engine.started(make_run(make_thread("Script", source)))
    paused(engine, run)
    resume_run(run=run, user=starter(run))
    Path(directory_of(run), "go").touch()
    assert engine.finish(run).status == Status.SUCCESS
    assert (directory_of(run) / "run.log").read_text().split() == ["ready", "T"]


def test_the_next_step_of_a_paused_run_waits(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    first = make_thread("First", "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\n")
    run = engine.started(make_run(make_process(threads=[first, make_thread("Second", "print('second')")])))
    Run.objects.filter(pk=run.pk).update(pause_requested_at=run.started_at, pause_requested_by="runner", status=Status.PAUSED)
    (directory_of(run) / "go").touch()
    engine.until(lambda: StepRun.objects.get(run=run, position=1).status == Status.SUCCESS)
    engine.look()
    assert StepRun.objects.get(run=run, position=2).status == Status.QUEUED
    resume_run(run=run, user=starter(run))
    assert engine.finish(run).status == Status.SUCCESS
