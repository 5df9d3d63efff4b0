"""Runs every measurement, one after the other, and writes all tables to `test-output/bench.txt`."""

import os
import platform
import subprocess
import sys
import time

from bench.environment import OUTPUT, ROOT, users_python

SCRIPTS = ("first_line", "burst", "levels", "lines", "live", "stop", "many", "idle", "cold_start", "history", "schedules")


def foreign_share(seconds: float = 1.0) -> float:
    """How much of all cores others use while we do nothing, in percent."""
    before = _ticks()
    time.sleep(seconds)
    busy, total = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return 100 * busy / max(1, total)


def _ticks() -> tuple[int, int]:
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def main() -> int:
    users_python()
    failed = []
    with open(OUTPUT / "bench.txt", "w") as output:

        def say(text: str) -> None:
            for stream in (sys.stdout, output):
                print(text, file=stream, flush=True)

        machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
        say(f"{time.strftime('%Y-%m-%d %H:%M')}, {machine}, SQLite")
        say("Read the ratios: bare and ours were measured in turn, in one run. bench/README.md explains the columns.\n")
        began = time.monotonic()
        for script in SCRIPTS:
            command = [sys.executable, "-m", f"bench.{script}", *sys.argv[1:]]
            share = foreign_share()
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            say(f"[{script}; before it others kept {share:.0f} % of the cores busy]\n{done.stdout}")
            if done.returncode:
                failed.append(script)
        say(f"{time.monotonic() - began:.0f} seconds in all." + (f" Could not be measured: {', '.join(failed)}." if failed else ""))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
