"""`manage.py up` as a whole: start, restart of its parts, end, and kill -9 of each part in the middle of a run."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform import Platform, platform

pytestmark = [pytest.mark.engine, pytest.mark.once]

WAITS = """
import os, time
print('up', flush=True)
while not os.path.exists('go'): time.sleep(0.01)
print('done', flush=True)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("platform")) as handle:
        handle.up("--no-demo")
        yield handle


def directory(running: Platform, run: dict) -> Path:
    return running.folder / "media" / "process_runs" / running.get(f"runs/{run['id']}")["output_dir"]


def content(path: Path) -> bytes:
    """What is in a file; nothing of what is none, or is gone meanwhile."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


def up_and_waiting(running: Platform) -> dict:
    """A run whose script has said `up` and now waits for a file `go`."""
    run = running.run_script(WAITS)
    running.until(lambda: running.log(run) == "up\n")
    return run


def test_it_prints_its_address_and_the_first_log_in(running: Platform) -> None:
    running.until(lambda: "is running at" in running.output())
    assert f"PyScheduler is running at {running.url}/" in running.output()
    assert "First log-in: admin" in running.output()


def test_a_run_goes_all_the_way(running: Platform) -> None:
    run = running.finished(running.run_script("print('hello')\nopen('out.txt', 'w').write('x')\n"))
    assert (run["status"], run["exit_code"]) == ("success", 0)
    assert running.log(run) == "hello\n"
    assert running.get(f"runs/{run['id']}/files/out.txt") == b"x"


def test_a_secret_goes_from_the_api_to_its_script_and_is_in_no_file(running: Platform) -> None:
    """Database, journals, logs and records are all below this folder."""
    secret = "in-no-file-4711"
    source = "import hashlib, os\nprint(hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest())\n"
    thread = running.post("threads", {"name": "secret", "source": source, "env": {"TOKEN": {"secret": True, "value": secret}}})
    run = running.finished(running.post(f"threads/{thread['id']}/run"))
    assert running.log(run).strip() == hashlib.sha256(secret.encode()).hexdigest()
    assert [path for path in running.folder.rglob("*") if secret.encode() in content(path)] == []


@pytest.mark.parametrize("title", ["pyscheduler web server", "pyscheduler clock", "pyscheduler cluster", "pusher", "monitor", "idle"])
def test_kill_of_a_part_leaves_the_script_running_and_its_run_ends_truthfully(running: Platform, title: str) -> None:
    run = up_and_waiting(running)
    victims = running.until(lambda: running.pids(title))
    # All of a kind: whichever worker holds the queue's lock is among them.
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    running.until(lambda: set(running.pids(title)) - set(victims))
    assert running.scripts()
    (directory(running, run) / "go").touch()
    ended = running.finished(run)
    assert (ended["status"], running.log(run)) == ("success", "up\ndone\n")
    assert running.finished(running.run_script("print('next')"))["status"] == "success"


def test_a_stop_ends_a_script_within_the_whole_platform(running: Platform) -> None:
    run = up_and_waiting(running)
    running.post(f"runs/{run['id']}/stop")
    ended = running.finished(run)
    assert (ended["status"], ended["reason"]) == ("stopped", "Stopped by admin.")


def test_a_second_platform_on_the_same_data_is_refused(running: Platform) -> None:
    first = running.processes["up"]
    second = running.start("up", "--port", "0")
    assert second.wait(30) != 0
    running.processes["up"] = first
    assert "PyScheduler already runs on" in running.output()


def test_a_port_in_use_is_said_in_one_line(running: Platform) -> None:
    second = running.start("web")
    assert second.wait(60) != 0
    assert running.output("web").strip().splitlines()[-1].startswith(f"CommandError: Port {running.port} of 127.0.0.1 is taken")


@pytest.mark.parametrize(
    ("number", "policy", "status"),
    [
        (signal.SIGINT, "auto", "stopped"),
        (signal.SIGTERM, "auto", "kept"),
        (signal.SIGTERM, "stop", "stopped"),
        (signal.SIGINT, "keep", "kept"),
    ],
)
def test_the_end_stops_scripts_or_keeps_them_as_told(tmp_path: Path, number: signal.Signals, policy: str, status: str) -> None:
    with platform(tmp_path) as handle:
        handle.up("--no-demo", "--scripts", policy)
        run = up_and_waiting(handle)
        handle.end("up", number)
        if status == "kept":
            assert handle.scripts()
            (directory_on_disk(handle)).joinpath("go").touch()
            time.sleep(0.2)
        else:
            assert handle.scripts() == []
        handle.up("--no-demo")
        ended = handle.finished(run)
        if status == "kept":
            assert (ended["status"], handle.log(run)) == ("success", "up\ndone\n")
        else:
            assert (ended["status"], ended["reason"]) == ("stopped", "Stopped by the shutdown of the platform.")


def directory_on_disk(handle: Platform) -> Path:
    [found] = (handle.folder / "media" / "process_runs" / "script").iterdir()
    return found


def test_a_killed_platform_adopts_its_scripts_at_the_next_start(tmp_path: Path) -> None:
    with platform(tmp_path) as handle:
        handle.up("--no-demo")
        run = up_and_waiting(handle)
        handle.end("up", signal.SIGKILL)
        handle.until(lambda: not handle.pids("pyscheduler") and not handle.pids("qcluster"))
        assert handle.scripts()
        directory_on_disk(handle).joinpath("go").touch()
        handle.up("--no-demo")
        ended = handle.finished(run)
        assert (ended["status"], handle.log(run)) == ("success", "up\ndone\n")
