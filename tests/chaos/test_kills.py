"""Random `kill -9` of any one part, and of the database, under a steady load: nothing is lost, doubled or left."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.platform import ROOT, Platform, platform

pytestmark = [pytest.mark.engine, pytest.mark.once]

# For a longer one: more kills. A seed that was printed makes the same choices again, among whatever lives then.
KILLS = int(os.environ.get("PYSCHED_CHAOS_KILLS", "20"))
SEED = int(os.environ.get("PYSCHED_CHAOS_SEED", time.time_ns() % 1_000_000))
RUNS_A_KILL = 2
MAX_RUNS = 6
INTERVAL_SECONDS = 2

# Each script counts its own starts by step and attempt, leaves a child running, and takes a little while.
SCRIPT = """
import os, subprocess, sys, time
step, attempt = os.environ['PYSCHED_STEP'], os.environ['PYSCHED_ATTEMPT']
open(f'start.{step}.{attempt}', 'a').write('x')
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
time.sleep(float(os.environ['PYSCHED_RUN_ID'][-1]) / 10)
"""
FAILS_ONCE = SCRIPT + "sys.exit(3 if attempt == '1' else 0)\n"
SCRIPTS = (("first", SCRIPT), ("second", FAILS_ONCE))

# What became of everything, as the record has it.
RECORD = """
import django, json
django.setup()
from history.models import Run, StepRun
from schedules.models import Firing, Schedule
print(json.dumps({
    "runs": list(Run.objects.values("id", "status", "reason", "output_dir", "schedule_id", "finished_at")),
    "steps": list(StepRun.objects.values("run_id", "safe_name", "attempt", "status", "reason", "exit_code", "earlier_attempts")),
    "schedules": list(Schedule.objects.values("id", "kind", "run_at", "starts_at", "ends_at")),
    "firings": list(Firing.objects.values("schedule_id", "due_at", "run_id", "reason", "covers")),
}, default=lambda moment: moment.timestamp()))
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


def kill_one(handle: Platform, chance: random.Random, restart: Callable[[], None] | None) -> str:
    """Kill one process of a randomly chosen part that has any, or restart the database; returns the part."""
    while True:
        living = {part: pids for part, pids in {**victims(handle), "script": handle.scripts()}.items() if pids}
        part = chance.choice(sorted([*living, *(["database"] if restart else [])]))
        if part == "database" and restart:
            restart()
            return part
        try:
            os.kill(chance.choice(living[part]), signal.SIGKILL)
        except ProcessLookupError:
            continue  # A supervisor or a script that has just ended.
        return part


def patiently(handle: Platform, method: str, path: str) -> Any:
    """Ask until the web server, which may be the one that is killed, has answered, and from a database that is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError):
            status, answer = handle.call(method, f"/api/v1/{path}", {} if method == "POST" else None)
            if status < 500:
                assert status in (200, 201), answer
                return answer
        time.sleep(0.1)
    raise AssertionError(f"{path} was not answered")


def everything(handle: Platform, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    following = f"/api/v1/{path}?limit=200"
    while following:
        page = patiently(handle, "GET", following.partition("/api/v1/")[2])
        found, following = found + page["results"], page["next"] or ""
    return found


def load(handle: Platform) -> str:
    """A process of two steps, the second of which fails once, and its schedules; returns the path that runs it."""
    threads = [handle.post("threads", {"name": name, "source": source, "retry_delay_seconds": 1}) for name, source in SCRIPTS]
    steps = [{"thread": thread["id"], "stage": stage, "retries": 3} for stage, thread in enumerate(threads, 1)]
    process = handle.post("processes", {"name": "both", "steps": steps})
    target = {"target_type": "process", "target": process["id"], "overlap": "allow"}
    # Not before they are all made, however slow the machine.
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    window = {"starts_at": first.isoformat(), "ends_at": (first + timedelta(seconds=KILLS)).isoformat()}
    for missed in ("all", "latest"):
        repeating = {"name": missed, "kind": "interval", "interval_seconds": INTERVAL_SECONDS, "missed": missed}
        handle.post("schedules", {**target, **window, **repeating})
    for number in range(0, KILLS, 4):
        once = {"name": f"once {number}", "kind": "once", "run_at": (first + timedelta(seconds=number)).isoformat(), "missed": "all"}
        handle.post("schedules", {**target, **once})
    return f"processes/{process['id']}/run"


def is_over(handle: Platform) -> bool:
    """Is no due time to come, and has each run ended?"""
    if any(schedule["next_run_at"] for schedule in everything(handle, "schedules")):
        return False
    return all(run["status"] not in ("queued", "running", "paused") for run in everything(handle, "runs"))


def recorded(handle: Platform) -> Any:
    environment = {**handle.environment, "DJANGO_SETTINGS_MODULE": "pyscheduler.settings"}
    done = subprocess.run([sys.executable, "-c", RECORD], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def attempts(record: Any) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Run, step and how it ended, of each attempt."""
    for step in record["steps"]:
        for attempt in [*step["earlier_attempts"], step]:
            yield step["run_id"], step["safe_name"], attempt


def check_starts(record: Any, folder: Path, killed: Counter[str]) -> int:
    """Each attempt that got to its end had one start, each other at most one, and none was lost that nothing was killed for."""
    folders = {run["id"]: folder / run["output_dir"] for run in record["runs"] if run["output_dir"]}
    started = {path: len(path.read_text()) for place in folders.values() for path in place.glob("start.*")}
    assert [str(path) for path, count in started.items() if count > 1] == []
    cut_short = []
    for run, step, attempt in attempts(record):
        if attempt["status"] == "success" or attempt["exit_code"] == 3:
            assert started.get(folders[run] / f"start.{step}.{attempt['attempt']}") == 1, (run, step, attempt)
        elif attempt["status"] != "skipped":
            assert attempt["status"] in ("failed", "lost"), attempt
            assert attempt["reason"], attempt
            cut_short.append(f"run {run} {step} {attempt['attempt']} {attempt['status']}: {attempt['reason']}")
    print(*cut_short, sep="\n")
    # With a keeper go all that it was just starting.
    assert len(cut_short) <= killed["supervisor"] + killed["script"] + killed["keeper"] * MAX_RUNS
    return sum(started.values())


def check_firings(record: Any) -> None:
    """Each due time of each schedule has one firing, with a run or the reason why there is none, and no run has two."""
    for schedule in record["schedules"]:
        found = [firing for firing in record["firings"] if firing["schedule_id"] == schedule["id"]]
        if schedule["kind"] == "once":
            due = [schedule["run_at"]]
        else:
            due = [float(at) for at in range(int(schedule["starts_at"]), int(schedule["ends_at"]) + 1, INTERVAL_SECONDS)]
        assert sorted(firing["due_at"] for firing in found) == due, schedule
        assert all(firing["covers"] == 1 and (firing["run_id"] or firing["reason"]) for firing in found)
    fired = Counter(firing["run_id"] for firing in record["firings"] if firing["run_id"])
    assert fired == Counter(run["id"] for run in record["runs"] if run["schedule_id"])


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[postgres.Server | None]:
    """Each kind once, whichever the tests are run on: a server, or none for the embedded one."""
    if request.param == "sqlite":
        yield None
        return
    with postgres.running() as server:
        yield server


def test_whatever_is_killed_nothing_is_lost_doubled_or_left(tmp_path: Path, database: postgres.Server | None) -> None:
    chance = random.Random(SEED)
    data = tmp_path / "platform"
    data.mkdir()
    killed: Counter[str] = Counter()
    url = {"PYSCHED_DATABASE_URL": database.url} if database else {}
    with platform(data, {"PYSCHED_MAX_RUNS": str(MAX_RUNS), **url}) as handle:
        handle.up("--no-demo")
        path = load(handle)
        asked = 0
        for _ in range(KILLS):
            for _ in range(RUNS_A_KILL):
                patiently(handle, "POST", path)
                asked += 1
            killed[kill_one(handle, chance, database.restart if database else None)] += 1
            time.sleep(chance.uniform(0.2, 1))
        print(f"seed {SEED}: {sum(killed.values())} kills {dict(killed)}")
        handle.until(lambda: is_over(handle), 300)
        record = recorded(handle)
        statuses = Counter(run["status"] for run in record["runs"])
        starts = check_starts(record, data / "media" / "process_runs", killed)
        print(f"{len(record['runs'])} runs {dict(statuses)}, {starts} starts, {len(record['firings'])} firings")
        assert set(statuses) <= {"success", "failed", "lost"}
        # More, when an answer was lost after its run had been queued.
        assert len(record["runs"]) >= asked + len([firing for firing in record["firings"] if firing["run_id"]])
        assert all(run["reason"] for run in record["runs"] if run["status"] != "success")
        check_firings(record)
        handle.until(lambda: not handle.scripts())
