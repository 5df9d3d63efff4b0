"""Hundreds of scripts that sleep at the same time: how the platform answers meanwhile, and what each of them takes."""

import os
import sys
import time
from collections.abc import Callable

from bench.options import options
from bench.processes import KEEPER, below_pids, exact_seconds, family, proportional_kib
from bench.subject import Subject, subject
from bench.table import Row, below, median, quantile, show

SLEEPER = "import time\nprint('asleep', flush=True)\ntime.sleep(3600)\n"
RUNNING = "SELECT count(*) FROM history_run WHERE status = 'running'"
ENDED = "SELECT count(*) FROM history_run WHERE finished_at IS NOT NULL"


def answer_times(platform: Subject, calls: int, thread: int, run: int) -> dict[str, list[float]]:
    """Milliseconds of each kind of call, one after the other, every one on a connection of its own."""
    kinds: dict[str, Callable[[], object]] = {
        "the list of runs": lambda: platform.get("runs"),
        "one run": lambda: platform.get(f"runs/{run}"),
        "the health": lambda: platform.get("health"),
        "a trigger": lambda: platform.trigger(thread),
    }
    return {kind: [_milliseconds(call) for _ in range(calls)] for kind, call in kinds.items()}


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return 1000 * (time.monotonic() - began)


def memory(platform: Subject) -> dict[str, float]:
    """MiB of the platform's own processes, of the supervisors, of the scripts with what is put around them."""
    own = family(platform)
    keepers = {pid for pid, kind in own.items() if kind == KEEPER}
    groups = {"platform": own.keys() - keepers, "supervisors": keepers, "scripts": below_pids(keepers) - keepers}
    return {name: sum(proportional_kib(pid) for pid in pids) / 1024 for name, pids in groups.items()}


def share_of_a_core(platform: Subject, seconds: float) -> float:
    """Percent that the platform and its supervisors use while nothing happens but sleep."""
    pids = list(family(platform))
    before = sum(map(exact_seconds, pids))
    time.sleep(seconds)
    return 100 * (sum(map(exact_seconds, pids)) - before) / seconds


def stop_all(platform: Subject) -> float:
    """Seconds from the first request to stop until every run is on record."""
    running = [row[0] for row in platform.database().execute("SELECT id FROM history_run WHERE finished_at IS NULL ORDER BY id DESC")]
    began = time.monotonic()
    for run in running:
        platform.post(f"runs/{run}/stop", {})
    with platform.database() as database:
        wanted = int(database.execute("SELECT count(*) FROM history_run").fetchone()[0])
    return platform.wait_for(ENDED, (), wanted, 600) - began


def main() -> None:
    quick = options(__doc__).quick
    if os.geteuid() != 0:
        sys.exit("Only root may look at the memory of the platform's processes: they let nobody else.")
    many, calls = (50, 20) if quick else (500, 100)
    with subject(environment={"PYSCHED_MAX_RUNS": str(many)}) as platform:
        noop, sleeper = platform.add_thread("Noop", "pass\n"), platform.add_thread("Sleeper", SLEEPER)
        first = platform.trigger(noop)
        platform.recorded_at(first)
        alone = answer_times(platform, calls, noop, first)
        platform.wait_for(ENDED, (), calls + 1)
        at_rest = memory(platform)
        began = time.monotonic()
        for _ in range(many):
            platform.trigger(sleeper)
        all_began = platform.wait_for(RUNNING, (), many, 600) - began
        time.sleep(2 if quick else 10)
        asleep, busy = memory(platform), share_of_a_core(platform, 5 if quick else 20)
        meanwhile = answer_times(platform, calls, sleeper, first)
        called = memory(platform)
        platform.pen("queue", thread=sleeper, count=many)
        queued = memory(platform)
        took = stop_all(platform)
    rows = []
    for kind, times in meanwhile.items():
        rows.append(Row(f"API, {kind}: median", "ms", median(alone[kind]), median(times), below(200, "ms")))
        rows.append(Row(f"API, {kind}: 99 of 100", "ms", quantile(alone[kind], 0.99), quantile(times, 0.99), below(200, "ms")))
    each = {name: (asleep[name] - at_rest[name]) / many for name in asleep}
    rows += [
        Row("memory of a sleeping run: its supervisor", "MiB", None, each["supervisors"]),
        Row("memory of a sleeping run: script and isolation", "MiB", None, each["scripts"]),
        Row("memory of the platform itself", "MiB", at_rest["platform"], asleep["platform"]),
        Row("memory of a run that waits for its turn", "KiB", None, 1024 * (queued["platform"] - called["platform"]) / many),
        Row(f"processor time while {many} sleep, share of one core", "%", None, busy),
        Row(f"first call to trigger -> all {many} run", "s", None, all_began),
        Row(f"first call to stop -> all {2 * many + calls} on record", "s", None, took),
    ]
    show(
        f"{many} scripts asleep at the same time ({calls} calls of each kind)",
        rows,
        ["bare: the same platform before any of them was started"],
    )


if __name__ == "__main__":
    main()
