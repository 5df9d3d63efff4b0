"""How long from a call of the API to the script's own first statement, beside a bare start of the same interpreter."""

import subprocess
import tempfile
import time
from pathlib import Path

from bench.environment import CLEAN, interpreter
from bench.options import options
from bench.subject import Subject, subject
from bench.table import Row, median, quantile, ratio_at_most, show

# CLOCK_MONOTONIC is the same for all processes of a machine.
SCRIPT = "import time\nprint(time.monotonic())\n"


def bare_start(script: Path) -> tuple[float, float]:
    """Seconds from the start to the first statement, and to the end."""
    began = time.monotonic()
    done = subprocess.run([interpreter(), str(script)], env=CLEAN, stdout=subprocess.PIPE, check=True)
    return float(done.stdout) - began, time.monotonic() - began


def our_start(platform: Subject, thread: int) -> tuple[float, float, float]:
    """Seconds from the call to the first statement, to the call's answer, to the end on record."""
    began = time.monotonic()
    run = platform.trigger(thread)
    answered = time.monotonic()
    recorded = platform.recorded_at(run)
    return float(platform.log_file(run).read_text()) - began, answered - began, recorded - began


def main() -> None:
    count = options(__doc__).few(40)
    bare, ours = [], []
    with subject() as platform, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "first_line.py")
        script.write_text(SCRIPT)
        thread = platform.add_thread("First line", SCRIPT)
        our_start(platform, thread)  # The first one finds nothing laid out yet.
        for _ in range(count):
            bare.append(bare_start(script))
            ours.append(our_start(platform, thread))
            time.sleep(0.05)
    first, ended = ([1000 * times[at] for times in bare] for at in (0, 1))
    our_first, answered, recorded = ([1000 * times[at] for times in ours] for at in (0, 1, 2))
    show(
        f"From the trigger to the script's first line ({count} each, in turn)",
        [
            Row("API call -> first statement, median", "ms", median(first), median(our_first), ratio_at_most(2.5)),
            Row("API call -> first statement, 95 of 100", "ms", quantile(first, 0.95), quantile(our_first, 0.95)),
            Row("API call -> end on record, median (bare: until reaped)", "ms", median(ended), median(recorded)),
            Row("API call -> end on record, 95 of 100", "ms", quantile(ended, 0.95), quantile(recorded, 0.95)),
            Row("API call -> its answer, median", "ms", None, median(answered)),
        ],
    )


if __name__ == "__main__":
    main()
