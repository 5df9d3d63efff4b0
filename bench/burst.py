"""How long 200 trivial scripts take, at most four at a time, until all are on record, beside `xargs -P 4`; and what each costs."""

import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.environment import CLEAN, ROOT, interpreter, users_python
from bench.options import options
from bench.processes import KEEPER, busy_seconds, family
from bench.subject import ENDED, Subject, subject
from bench.table import Row, median, ratio_at_least, show

AT_ONCE = 4
CLIENTS = 4


def bare_burst(script: Path, count: int) -> tuple[float, float]:
    """Seconds, and processor seconds."""
    before = os.times()
    began = time.monotonic()
    command = f"seq {count} | xargs -P {AT_ONCE} -n1 {interpreter()} {script}"
    subprocess.run(["/bin/sh", "-c", command], env=CLEAN, check=True)
    took, after = time.monotonic() - began, os.times()
    return took, after.children_user + after.children_system - before.children_user - before.children_system


def queued_burst(platform: Subject, thread: int, count: int) -> float:
    """Seconds from the request to queue all in one transaction until all are on record."""
    command = [users_python(), "-m", "bench.pen", "queue", f'{{"thread": {thread}, "count": {count}}}']
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=platform.environment, stdin=pipe, stdout=pipe, text=True) as pen:
        assert pen.stdin and pen.stdout
        assert pen.stdout.readline() == "ready\n"
        wanted = _ended(platform) + count
        began = time.monotonic()
        pen.stdin.write("\n")
        pen.stdin.flush()
        return _all_recorded_at(platform, wanted) - began


def called_burst(platform: Subject, thread: int, count: int) -> float:
    """Seconds from the first of so many calls of the API, by a few clients side by side, until all runs are on record."""
    wanted = _ended(platform) + count
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(platform.trigger, [thread] * count))
    return _all_recorded_at(platform, wanted) - began


def _ended(platform: Subject) -> int:
    with platform.database() as database:
        return int(database.execute(f"SELECT count(*) FROM history_run WHERE status IN {ENDED}").fetchone()[0])


def _all_recorded_at(platform: Subject, wanted: int) -> float:
    return platform.wait_for(f"SELECT count(*) FROM history_run WHERE status IN {ENDED}", (), wanted)


def script_seconds(platform: Subject) -> float:
    """Processor time of all scripts so far, as the supervisors measured it."""
    with platform.database() as database:
        return float(database.execute("SELECT total(cpu_seconds) FROM history_run").fetchone()[0])


class Account:
    """Adds up over several bursts what they cost each part of the platform."""

    def __init__(self, platform: Subject) -> None:
        self.platform = platform
        self.spent: dict[str, float] = {}

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, *_: object) -> None:
        for kind, seconds in self._now().items():
            self.spent[kind] = self.spent.get(kind, 0.0) + seconds - self._before.get(kind, 0.0)

    def _now(self) -> dict[str, float]:
        time.sleep(0.3)  # The last supervisors are being reaped.
        used = busy_seconds(family(self.platform))
        scripts = script_seconds(self.platform)
        return {**used, "scripts": scripts, KEEPER: used[KEEPER] - scripts}

    def words(self, runs: int) -> str:
        shares = sorted(self.spent.items(), key=lambda item: -item[1])
        return ", ".join(f"{kind} {1000 * seconds / runs:.2f}" for kind, seconds in shares if seconds > 0)


def main() -> None:
    chosen = options(__doc__)
    repeats, count = chosen.few(5), 40 if chosen.quick else 200
    bare, queued, called = [], [], []
    with subject(environment={"PYSCHED_MAX_RUNS": str(AT_ONCE)}) as platform, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "noop.py")
        script.write_text("pass\n")
        thread = platform.add_thread("Noop", "pass\n")
        platform.recorded_at(platform.trigger(thread))
        of_queued, of_called = Account(platform), Account(platform)
        for _ in range(repeats):
            bare.append(bare_burst(script, count))
            with of_queued:
                queued.append(queued_burst(platform, thread, count))
            with of_called:
                called.append(called_burst(platform, thread, count))
    runs = repeats * count
    rate = [count / seconds for seconds, _ in bare]
    cost = 1000 * sum(seconds for _, seconds in bare) / runs
    goal = ratio_at_least(0.8)
    show(
        f"{count} trivial scripts at once, {AT_ONCE} at a time, until all are recorded ({repeats} times each, in turn)",
        [
            Row("queued in one transaction", "runs/s", median(rate), median([count / seconds for seconds in queued]), goal),
            Row(f"triggered by {count} API calls of {CLIENTS} clients", "runs/s", median(rate), median([count / s for s in called]), goal),
            Row("processor time of a queued run, all processes", "ms", cost, 1000 * sum(of_queued.spent.values()) / runs),
            Row("processor time of a run triggered by a call", "ms", cost, 1000 * sum(of_called.spent.values()) / runs),
        ],
        [
            f"ratios of the single repeats, queued: {_ratios(bare, queued)}; by calls: {_ratios(bare, called)}",
            f"ms of processor time a queued run: {of_queued.words(runs)}",
            f"ms of processor time a run by a call: {of_called.words(runs)}",
        ],
    )


def _ratios(bare: list[tuple[float, float]], ours: list[float]) -> str:
    return " ".join(f"{one[0] / other:.2f}" for one, other in zip(bare, ours, strict=True))


if __name__ == "__main__":
    main()
