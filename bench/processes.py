"""The processes of a platform: which there are, what processor time and memory they take. Read from /proc; for the memory it takes root."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from bench.subject import Subject

TICK = os.sysconf("SC_CLK_TCK")
KEEPER = "keeper and supervisors"


def family(platform: Subject) -> dict[int, str]:
    """Pids of everything that `up` started, with what each is."""
    up = platform.processes["up"].pid
    found = {up: "up"} | {pid: _kind(pid) for pid in below_pids({up})}
    return found | dict.fromkeys(pids_with(f"{platform.folder}/keeper"), KEEPER)


def pids_with(words: str) -> list[int]:
    """Those with such words on their command line."""
    return [pid for pid in _all_pids() if words in _words(pid)]


def pid_inside(pid: int) -> int:
    """What the process takes for its own pid: in a sandbox it is another one."""
    found = re.search(r"^NSpid:.*?(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found[1]) if found else pid


def below_pids(ancestors: Collection[int]) -> set[int]:
    """All that descend from these processes, without them."""
    parents = {pid: stat[1] for pid in _all_pids() if (stat := _stat(pid))}
    found: set[int] = set()
    # Children have larger pids than their parents but for a wrap-around: look until nothing is added.
    while more := {pid for pid, parent in parents.items() if (parent in found or parent in ancestors) and pid not in found}:
        found |= more
    return found


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> tuple[str, int, list[int]] | None:
    """Name, parent and the times in ticks: own user and system, those of children that were waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _, rest = text.rpartition(")")
    fields = rest.split()
    return name, int(fields[1]), [int(field) for field in fields[11:15]]


def _kind(pid: int) -> str:
    words = _words(pid)
    if title := re.match(r"pyscheduler (.+)", words):
        return title[1].strip()
    for kind in ("monitor", "pusher"):
        if words.endswith(kind):
            return kind
    return "workers" if words.startswith("qcluster") else "others"


def _words(pid: int) -> str:
    """The command line, which anybody may read; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def busy_seconds(pids: dict[int, str]) -> dict[str, float]:
    """Processor time by kind since each started, with that of children it waited for (the keeper's are supervisors and their scripts)."""
    used: dict[str, float] = {}
    for pid, kind in pids.items():
        if stat := _stat(pid):
            used[kind] = used.get(kind, 0.0) + sum(stat[2]) / TICK
    return used


def exact_seconds(pid: int) -> float:
    """Processor time of a process's living threads, to the nanosecond: at idle the ticks of `stat` are too coarse."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def wakeups(pid: int) -> int:
    """How often its threads went to sleep by themselves, which is how often they were woken."""
    states = (task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status"))
    return sum(int(found[1]) for state in states if (found := re.search(r"^voluntary_ctxt_switches:\s+(\d+)", state, re.M)))


def proportional_kib(pid: int) -> int:
    """PSS: private memory, and of what is shared its share. PermissionError for who may not look."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+)", text, re.M)
    return int(found[1]) if found else 0
