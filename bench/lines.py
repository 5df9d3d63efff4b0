"""How long 200,000 printed lines take until they are kept and can be read, beside redirects into a file: in blocks, and line by line."""

import subprocess
import tempfile
import time
from pathlib import Path

from bench.environment import CLEAN, interpreter
from bench.options import options
from bench.subject import Subject, subject
from bench.table import Row, median, ratio_at_most, show

COUNT = 200_000
SCRIPT = f"""
for number in range({COUNT}):
    print(f"line {{number:06d}} of a log that a script writes as fast as it can go")
"""


LINE_BY_LINE = "import sys\nsys.stdout.reconfigure(line_buffering=True)\n" + SCRIPT


def bare_lines(script: Path, target: Path) -> float:
    began = time.monotonic()
    with target.open("wb") as output:
        subprocess.run([interpreter(), str(script)], env=CLEAN, stdout=output, check=True)
    return time.monotonic() - began


def our_lines(platform: Subject, thread: int, expected: bytes) -> tuple[float, float, float]:
    """Seconds from the call until the run is recorded, until its log was read over the API, and of the script's own start to end."""
    began = time.monotonic()
    run = platform.trigger(thread)
    recorded = platform.recorded_at(run)
    log = platform.get(f"runs/{run}/log")
    read = time.monotonic()
    assert log == expected, f"the log of run {run} is not what was printed: {len(log)} bytes instead of {len(expected)}"
    return recorded - began, read - began, platform.get(f"runs/{run}")["cpu_seconds"]


def main() -> None:
    repeats = options(__doc__).few(7)
    bare, by_line, ours = [], [], []
    with subject() as platform, tempfile.TemporaryDirectory() as folder:
        script, eager, target = (Path(folder, name) for name in ("lines.py", "eager.py", "lines.log"))
        script.write_text(SCRIPT)
        eager.write_text(LINE_BY_LINE)
        thread = platform.add_thread("Lines", SCRIPT)
        bare_lines(script, target)
        expected = target.read_bytes()
        our_lines(platform, thread, expected)
        for _ in range(repeats):
            bare.append(bare_lines(script, target))
            by_line.append(bare_lines(eager, target))
            ours.append(our_lines(platform, thread, expected))
    recorded, read, busy = ([times[at] for times in ours] for at in (0, 1, 2))
    show(
        f"{COUNT:,} lines, {len(expected) / 1e6:.1f} MB, until kept and readable ({repeats} times each, in turn)",
        [
            Row("API call -> recorded, log complete", "s", median(bare), median(recorded), ratio_at_most(1.25)),
            Row("API call -> the whole log was read over the API", "s", median(bare), median(read)),
            Row("the same beside a redirect that keeps each line when it is printed", "s", median(by_line), median(recorded)),
            Row("processor time of the script and its isolation", "s", None, median(busy)),
        ],
    )


if __name__ == "__main__":
    main()
