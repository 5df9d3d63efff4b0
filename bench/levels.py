"""What each level of isolation adds to a run, beside the same start without a platform; and a burst with bubblewrap on both sides."""

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.burst import AT_ONCE, bare_burst, queued_burst
from bench.environment import CLEAN, interpreter
from bench.options import options
from bench.subject import Subject, subject
from bench.table import Row, median, ratio_at_least, show
from engine.host import landlock

LEVELS = ("plain", "landlock", "bubblewrap")


def possible() -> list[str]:
    """The levels that this machine can do, by what they need; a start that is refused is shown as such."""
    has = {"plain": True, "landlock": landlock.version() > 0, "bubblewrap": os.path.exists("/usr/bin/bwrap")}
    return [level for level in LEVELS if has[level]]


def bare_sandbox(script: Path) -> list[str]:
    """A hand-written bubblewrap command that keeps a script from about as much."""
    prefix = str(Path(interpreter()).parent.parent)
    binds = ["--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--ro-bind", prefix, prefix]
    fresh = ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    code = ["--ro-bind", str(script.parent), str(script.parent), "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    return ["/usr/bin/bwrap", *binds, *fresh, *code, interpreter(), str(script)]


def sandboxed_burst(script: Path, count: int) -> float:
    began = time.monotonic()
    command = f"seq {count} | xargs -P {AT_ONCE} -I{{}} {' '.join(bare_sandbox(script))}"
    subprocess.run(["/bin/sh", "-c", command], env=CLEAN, check=True)
    return time.monotonic() - began


def one_run(platform: Subject, thread: int) -> float:
    """Milliseconds from the call until the run is on record."""
    began = time.monotonic()
    return 1000 * (platform.recorded_at(platform.trigger(thread)) - began)


def script_cost(platform: Subject) -> float:
    """Milliseconds of processor time of a run's script and what is put around it, as its supervisor measured, in the mean."""
    with platform.database() as database:
        return 1000 * float(database.execute("SELECT avg(cpu_seconds) FROM history_run WHERE status = 'success'").fetchone()[0])


class Measured:
    """A platform at one level, and what was seen of it."""

    def __init__(self, level: str, platform: Subject, script: Path) -> None:
        self.level, self.platform, self.script = level, platform, script
        self.is_sandboxed = level == "bubblewrap"
        self.thread = platform.add_thread("Noop", "pass\n")
        self.took: list[float] = []
        self.rates: list[tuple[float, float]] = []
        platform.recorded_at(platform.trigger(self.thread))

    def run_once(self) -> None:
        self.took.append(one_run(self.platform, self.thread))

    def burst(self, count: int) -> None:
        bare = sandboxed_burst(self.script, count) if self.is_sandboxed else bare_burst(self.script, count)[0]
        self.rates.append((count / bare, count / queued_burst(self.platform, self.thread, count)))

    def rows(self, plain: "Measured", count: int) -> list[Row]:
        beside = "xargs with bubblewrap" if self.is_sandboxed else "plain xargs"
        bare, ours = (median([pair[at] for pair in self.rates]) for at in (0, 1))
        costs = script_cost(plain.platform), script_cost(self.platform)
        return [
            Row(f"{self.level}: call to record, one after the other", "ms", median(plain.took), median(self.took)),
            Row(f"{self.level}: processor time of script and isolation", "ms", *costs),
            Row(f"{self.level}: {count} queued at once, beside {beside}", "runs/s", bare, ours, ratio_at_least(0.8)),
        ]


def main() -> None:
    chosen = options(__doc__)
    runs, repeats, count = chosen.few(100), chosen.few(5), 40 if chosen.quick else 200
    with ExitStack() as stack:
        script = Path(stack.enter_context(tempfile.TemporaryDirectory()), "noop.py")
        script.write_text("pass\n")
        limits = {"PYSCHED_MAX_RUNS": str(AT_ONCE)}
        # All at once and in turn: what others do to the machine meanwhile, they do to each.
        platforms = {level: stack.enter_context(subject(environment={"PYSCHED_ISOLATION": level} | limits)) for level in possible()}
        levels = [Measured(level, platform, script) for level, platform in platforms.items()]
        for _ in range(runs):
            for level in levels:
                level.run_once()
        for _ in range(repeats):
            for level in levels:
                level.burst(count)
        rows = [row for level in levels for row in level.rows(levels[0], count)]
    note = "the first two rows of each level are beside plain, not beside a bare start"
    show(f"What isolation costs ({runs} runs one after the other, {repeats} bursts of {count} each)", rows, [note])


if __name__ == "__main__":
    main()
