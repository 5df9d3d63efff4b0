"""What the kernel tells of processes: who they are, what is below them, what they use. Linux."""

import contextlib
import os
from collections.abc import Iterator


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none. With the pid it is an identity."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def state(pid: int) -> str:
    """The letter that `ps` shows: R and S for one that runs or waits, D for one in the kernel, T stopped; "" for none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""


def is_stopped(pid: int) -> bool:
    """Was the process stopped by a signal (SIGSTOP), to go on with SIGCONT?"""
    return state(pid) == "T"


def call_filters(pid: int) -> int | None:
    """How many filters judge the system calls of a process (Linux 5.9 and newer, else 0); None if there is no such process."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Seccomp_filters:")), 0)
    except OSError:
        return None


def descendants(pid: int) -> Iterator[int]:
    """All processes below `pid`, parents before children."""
    pending = [pid]
    while pending:
        for child in children(pending.pop()):
            pending.append(child)
            yield child


def children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                yield from map(int, file.read().split())


def signal_all(pids: list[int], number: int) -> int:
    """Send a signal to each; returns how many were there to get it."""
    reached = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
            reached += 1
    return reached


@contextlib.contextmanager
def first_in_line() -> Iterator[None]:
    """Whatever runs on the host, we run before it meanwhile, if we may (as root outside of most containers); our children do not.

    Of a thousand processes that want the processor each gets a thousandth of it, and so would we who are to end them.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def resident_bytes(pids: list[int], page: int = os.sysconf("SC_PAGE_SIZE")) -> int:
    """Memory the processes hold now, shared pages counted in each that shares them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/statm", "rb") as file:
            total += int(file.read().split()[1]) * page
    return total


def proportional_bytes(pids: list[int]) -> int:
    """Memory the processes hold now, a shared page in equal parts by those that share it. Of one that shows no parts, all."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith(b"Pss:")) * 1024
        except (OSError, StopIteration):
            total += resident_bytes([pid])
    return total


def processor_seconds(pids: list[int], tick: int = os.sysconf("SC_CLK_TCK")) -> float:
    """Processor time that the processes have used, with that of children they have waited for."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/stat", "rb") as file:
            total += sum(map(int, file.read().rpartition(b")")[2].split()[11:15]))
    return total / tick


def marked_processes(marker: bytes) -> list[int]:
    """Processes whose environment holds `marker` as a whole variable, `NAME=value`."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if marker in file.read().split(b"\0"):
                    found.append(int(name))
    return found
