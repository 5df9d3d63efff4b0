"""Random `kill -9` of any one part while short runs go through: each ends, none runs twice, nothing is left."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.platform import Platform, platform

pytestmark = [pytest.mark.engine, pytest.mark.once]

KILLS = int(os.environ.get("PYSCHED_CHAOS_KILLS", "20"))
RUNS = int(os.environ.get("PYSCHED_CHAOS_RUNS", "100"))

# Each script counts its own starts where its isolation lets it write, leaves a child running, and takes a little while.
SCRIPT = """
import os, subprocess, sys, time
open('starts', 'a').write('x')
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
time.sleep(float(os.environ['PYSCHED_RUN_ID'][-1]) / 10)
print('end')
"""


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def victims(handle: Platform) -> dict[str, list[int]]:
    """Living processes by the part they are. Keeper and supervisors look alike: the keeper is the one that has noted its pid."""
    of_a_kind, noted = handle.keeper(), (handle.folder / "keeper" / "lock").read_text()
    titles = {"web": "pyscheduler web server", "clock": "pyscheduler clock", "sentinel": "pyscheduler cluster"}
    parts = {name: handle.pids(title) for name, title in titles.items()}
    parts |= {name: handle.pids(f" {name}") for name in ("pusher", "monitor", "idle", "processing")}
    for pid in of_a_kind:
        if str(parent := parent_of(pid)) != noted and parent in of_a_kind:
            continue  # A script in the moment before its own program takes the supervisor's place.
        parts.setdefault("keeper" if str(pid) == noted else "supervisor", []).append(pid)
    return parts


def kill_one(handle: Platform, chance: random.Random) -> str:
    """Kill one process of a randomly chosen part that has any; returns the part."""
    while True:
        living = {part: pids for part, pids in victims(handle).items() if pids}
        part = chance.choice(sorted(living))
        try:
            os.kill(chance.choice(living[part]), signal.SIGKILL)
        except ProcessLookupError:
            continue  # A supervisor whose step has just ended.
        return part


def patiently(handle: Platform, path: str) -> dict:
    """POST until the web server, which may be the one that is killed, has answered."""
    while True:
        try:
            status, answer = handle.call("POST", f"/api/v1/{path}", {})
        except OSError:
            continue
        assert status == 201, answer
        return answer


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What the platform is told of its database; each kind once, whichever the tests are run on."""
    if request.param == "sqlite":
        yield {}
        return
    with postgres.server() as url:
        yield {"PYSCHED_DATABASE_URL": url}


def test_twenty_kills_in_a_hundred_runs(tmp_path: Path, database: dict[str, str]) -> None:
    seed = int(os.environ.get("PYSCHED_CHAOS_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    data = tmp_path / "platform"
    data.mkdir()
    killed: Counter[str] = Counter()
    with platform(data, {"PYSCHED_MAX_RUNS": "4", **database}) as handle:
        handle.up("--no-demo")
        thread = handle.post("threads", {"name": "count", "source": SCRIPT})
        runs = []
        for number in range(RUNS):
            runs.append(patiently(handle, f"threads/{thread['id']}/run"))
            if number % (RUNS // KILLS) == 0:
                killed[kill_one(handle, chance)] += 1
                time.sleep(0.5)
        ended = [handle.finished(run, 300) for run in runs]
        statuses = Counter(run["status"] for run in ended)
        print(f"seed {seed}: {sum(killed.values())} kills {dict(killed)}, {len(ended)} runs {dict(statuses)}")
        print(*(f"run {run['id']} {run['status']}: {run['reason']}" for run in ended if run["status"] != "success"), sep="\n")
        assert set(statuses) <= {"success", "lost"}
        assert all(run["reason"] for run in ended if run["status"] != "success")
        assert statuses["lost"] <= killed["supervisor"]
        folders = {run["id"]: data / "media" / "process_runs" / run["output_dir"] for run in ended if run["output_dir"]}
        started = {pk: len((folder / "starts").read_text()) for pk, folder in folders.items() if (folder / "starts").exists()}
        # None in a file: killed between opening it and writing.
        assert max(started.values()) == 1
        assert all(started.get(run["id"]) == 1 for run in ended if run["status"] == "success")
        handle.until(lambda: not handle.scripts())
