"""How long from a request to stop until the script is gone and the run is recorded, beside a signal to the bare script."""

import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bench.environment import CLEAN, interpreter
from bench.options import options
from bench.processes import pid_inside, pids_with
from bench.subject import Subject, subject
from bench.table import Row, below, median, quantile, show

SCRIPT = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"


def bare_stop(script: Path) -> float:
    with subprocess.Popen([interpreter(), str(script)], env=CLEAN, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        time.sleep(0.05)
        began = time.monotonic()
        os.kill(child.pid, signal.SIGTERM)
        child.wait()
        return time.monotonic() - began


def our_stop(platform: Subject, thread: int) -> tuple[float, float, float]:
    """Seconds from the request until the script is gone, until the run is recorded, until the request is answered."""
    run = platform.trigger(thread)
    script = os.pidfd_open(_pid_of(platform, run))
    gone = select.poll()
    gone.register(script, select.POLLIN)
    time.sleep(0.05)
    began = time.monotonic()
    connection = platform.begin("POST", f"/api/v1/runs/{run}/stop", {})
    assert gone.poll(30_000), "the script did not end"
    gone_at = time.monotonic()
    recorded_at = platform.recorded_at(run)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()
    os.close(script)
    return gone_at - began, recorded_at - began, time.monotonic() - began


def _pid_of(platform: Subject, run: int) -> int:
    """The script's own pid is the one it printed; in a sandbox it has another out here."""
    log = platform.log_file(run)
    printed = int(platform.until(lambda: log.exists() and log.read_text().endswith("\n") and log.read_text()))
    [found] = [pid for pid in pids_with(f"{platform.folder}/code/") if pid_inside(pid) == printed]
    return found


def main() -> None:
    count = options(__doc__).few(20)
    bare, ours = [], []
    with subject() as platform, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "sleeper.py")
        script.write_text(SCRIPT)
        thread = platform.add_thread("Sleeper", SCRIPT)
        our_stop(platform, thread)
        for _ in range(count):
            bare.append(1000 * bare_stop(script))
            ours.append([1000 * seconds for seconds in our_stop(platform, thread)])
    gone, recorded = ([times[at] for times in ours] for at in (0, 1))
    show(
        f"From the request to stop to the end ({count} each, in turn)",
        [
            Row("API call -> process gone, median", "ms", median(bare), median(gone), below(50, "ms")),
            Row("API call -> run recorded, median", "ms", median(bare), median(recorded), below(50, "ms")),
            Row("API call -> process gone, 95 of 100", "ms", quantile(bare, 0.95), quantile(gone, 0.95)),
            Row("API call -> run recorded, 95 of 100", "ms", quantile(bare, 0.95), quantile(recorded, 0.95)),
        ],
        ["bare: SIGTERM to the script, until it is reaped"],
    )


if __name__ == "__main__":
    main()
