"""What each level of isolation adds to a run, beside the same start without a platform; and a burst with bubblewrap on both sides."""

import os
import subprocess
import tempfile
import time
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


def main() -> None:
    chosen = options(__doc__)
    runs, repeats, count = chosen.few(100), chosen.few(5), 40 if chosen.quick else 200
    rows, notes = [], []
    base = None
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "noop.py")
        script.write_text("pass\n")
        for level in possible():
            with subject(environment={"PYSCHED_ISOLATION": level, "PYSCHED_MAX_RUNS": str(AT_ONCE)}) as platform:
                thread = platform.add_thread("Noop", "pass\n")
                platform.recorded_at(platform.trigger(thread))
                took = median([one_run(platform, thread) for _ in range(runs)])
                cost = script_cost(platform)
                base = base or (took, cost)
                rows.append(Row(f"{level}: call to record, one after the other", "ms", base[0], took))
                rows.append(Row(f"{level}: processor time of script and isolation", "ms", base[1], cost))
                is_sandboxed = level == "bubblewrap"
                bare, ours = [], []
                for _ in range(repeats):
                    bare.append(sandboxed_burst(script, count) if is_sandboxed else bare_burst(script, count)[0])
                    ours.append(queued_burst(platform, thread, count))
                beside = "xargs with bubblewrap" if is_sandboxed else "plain xargs"
                rates = (median([count / took for took in bare]), median([count / took for took in ours]))
                rows.append(Row(f"{level}: {count} queued at once, beside {beside}", "runs/s", *rates, ratio_at_least(0.8)))
    notes.append("the first two rows of each level are beside plain, not beside a bare start")
    show(f"What isolation costs ({runs} runs one after the other, {repeats} bursts of {count} each)", rows, notes)


if __name__ == "__main__":
    main()
