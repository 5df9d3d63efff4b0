"""What the kernel offers beyond `os`: prctl, process identity, the tree below a process. Linux."""

import _ctypes
import contextlib
import os
import signal
from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

# The bare C module: importing all of ctypes costs more memory than the rest of the keeper.
_this_program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
_prctl = _ctypes.dlsym(_this_program, "prctl")


def _call(option: int, value: int) -> None:
    if _ctypes.call_function(_prctl, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl({option}, {value}) was refused")


def become_subreaper() -> None:
    """Descendants that lose their parent become our children, so none escapes by forking twice."""
    _call(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """SIGKILL for us when the parent dies; also when it died before this call."""
    _call(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def renounce_privileges() -> None:
    """No set-user-id program gives this process or its children more rights than it has."""
    _call(_PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """Other processes of the same user can no longer read our environment and memory or attach to us."""
    _call(_PR_SET_DUMPABLE, 0)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none. With the pid it is an identity."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def descendants(pid: int) -> Iterator[int]:
    """All processes below `pid`, parents before children."""
    pending = [pid]
    while pending:
        parent = pending.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{task}/children") as file:
                    for child in map(int, file.read().split()):
                        pending.append(child)
                        yield child


def signal_all(pids: list[int], number: int) -> int:
    """Send a signal to each; returns how many were there to get it."""
    reached = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
            reached += 1
    return reached


def resident_bytes(pids: list[int], page: int = os.sysconf("SC_PAGE_SIZE")) -> int:
    """Memory the processes hold now, shared pages counted in each that shares them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/statm", "rb") as file:
            total += int(file.read().split()[1]) * page
    return total


def marked_processes(marker: bytes) -> list[int]:
    """Processes whose environment holds `marker` as a whole variable, `NAME=value`."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if marker in file.read().split(b"\0"):
                    found.append(int(name))
    return found
