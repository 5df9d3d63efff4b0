"""Memory and processor time of everything that `up` started, while nothing is to be done."""

import os
import subprocess
import sys
import time

from bench.environment import ROOT, has_psycopg, users_python
from bench.options import options
from bench.processes import exact_seconds, family, proportional_kib, wakeups
from bench.subject import Subject, subject
from bench.table import Row, below, show

LOADED = "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'pyscheduler.settings'; django.setup(); print(1, flush=True); input()"


def loaded_kib(platform: Subject) -> int:
    """PSS of one process that has loaded the same Django project and does nothing."""
    command, pipe = [users_python(), "-c", LOADED], subprocess.PIPE
    environment = {**platform.environment, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as child:
        assert child.stdin and child.stdout
        child.stdout.readline()
        size = proportional_kib(child.pid)
        child.stdin.close()
        child.kill()
    return size


def all_mib(platform: Subject) -> float:
    return sum(map(proportional_kib, family(platform))) / 1024


def main() -> None:
    quick = options(__doc__).quick
    if os.geteuid() != 0:
        sys.exit("Only root may look at the memory of the platform's processes: they let nobody else.")
    settle, watched = (2, 5) if quick else (10, 30)
    with subject() as platform:
        bare = loaded_kib(platform) / 1024
        time.sleep(settle / 2)
        at_first = all_mib(platform)
        # The first start migrated the database; from now on it is as on any other day.
        platform.end()
        platform.up("--no-demo")
        time.sleep(settle)
        processes = family(platform)
        memory = {pid: proportional_kib(pid) / 1024 for pid in processes}
        busy, woken = ({pid: look(pid) for pid in processes} for look in (exact_seconds, wakeups))
        time.sleep(watched)
        shares = {pid: 100 * (exact_seconds(pid) - busy[pid]) / watched for pid in processes}
        rates = {pid: (wakeups(pid) - woken[pid]) / watched for pid in processes}
    rows = [
        Row("memory of all (PSS; bare: one process with Django loaded)", "MiB", bare, sum(memory.values()), below(90, "MiB")),
        Row("memory of all after the very first start", "MiB", bare, at_first, below(90, "MiB")),
        Row("processor time, share of one core", "%", None, sum(shares.values()), below(0.5, "%")),
        Row("wake-ups of all", "/s", None, sum(rates.values())),
    ]
    rows += [
        Row(f"  {kind}: {shares[pid]:.3f} % of a core, {rates[pid]:.1f} wake-ups/s; PSS", "MiB", None, memory[pid])
        for pid, kind in processes.items()
    ]
    notes = [f"{len(processes)} processes; {settle} s after the start, watched for {watched} s"]
    if has_psycopg(users_python()):
        notes.append("psycopg is importable in the environment that was measured: ordinary installations take less memory")
    show("At idle", rows, notes)


if __name__ == "__main__":
    main()
