"""How far a script is kept from the rest: the one place where a level becomes what the supervisor is told to do.

`bubblewrap`: own file system with nothing of the platform's in it, own processes, names and memory. `user`: a root platform
gives each run a user of its own. `landlock`: the platform's user, without the files that are not the script's. `plain`: a clean
environment, an own session, resource limits and no new privileges, as at every level. All but the last filter system calls too.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from core import layout
from engine.environment import TOOLKIT
from engine.host import landlock
from engine.places import Surroundings, python_folders
from engine.sandbox import CONFIGURATION, SYSTEM, become, bounded, bubblewrap_arguments, certificates

# The highest first.
LEVELS = BUBBLEWRAP, USER, LANDLOCK, PLAIN = settings.ISOLATION_LEVELS
# Run users of a root platform, a number each: beyond those of people, services and most containers' ranges. Where a container
# has fewer numbers, those that systemd hands out for a while too.
_USERS, _FEWER_USERS = (600_100_000, 100_000), (61_184, 4_336)
_LEAST_TASKS, _ROOM_FOR_ANOTHER = 1024, 16
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "shm", "ptmx", "pts")


@dataclass(frozen=True, slots=True)
class Level:
    """A level that works on this host. `reason` says why it is no higher one, "" for the highest; `gaps` what it leaves open.

    `remedy` is what would make a higher one work, where it is known.
    `own_proc`: of `bubblewrap`, whether it can mount a new /proc.
    """

    name: str
    reason: str = ""
    gaps: tuple[str, ...] = ()
    remedy: str = ""
    own_proc: bool = True
    can_cut_network: bool = True

    @property
    def account(self) -> str:
        """What the record of a run says of it."""
        return " ".join([self.reason, *self.gaps]).strip()

    @property
    def keeps_temporary(self) -> bool:
        """Do temporary files go to the run's directory? In a sandbox `/tmp` is the run's own."""
        return self.name in (USER, LANDLOCK)


def bubblewrap() -> str | None:
    return shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")


def run_user(level: str, run_id: int) -> int | None:
    """Who a run's scripts are at this level; None for the platform's own user."""
    if os.geteuid() != 0 or level not in (BUBBLEWRAP, USER):
        return None
    first, count = _USERS if _is_mapped(_USERS[0] + _USERS[1]) else _FEWER_USERS
    return first + run_id % count


def task_limit(level: Level, user: int | None, processes: int | None) -> int | None:
    """At how many processes and threads the kernel stops a run from making more; None where it counts none of them.

    Far more than the processes that end the run, for each may have many threads: a bomb gets no further until that is seen.
    Only a run's own user, or users of its sandbox, are counted for a run alone. Else it is all that the platform's user has:
    then room is left for other runs. As root nothing is counted.
    """
    if processes is None or (os.geteuid() == 0 and user is None):
        return None
    own = max(_LEAST_TASKS, 4 * processes)
    return own if level.name in (BUBBLEWRAP, USER) else tasks_here() + own + _ROOM_FOR_ANOTHER * settings.MAX_RUNS


def tasks_here() -> int:
    """All processes and threads of the host."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[2])


def _is_mapped(user: int) -> bool:
    """Does the number mean a user here? A container may have been given few."""
    with open("/proc/self/uid_map") as file:
        ranges = [[int(word) for word in line.split()] for line in file]
    return any(first <= user < first + count for first, _, count in ranges)


def make_way(level: Level, *folders: Path) -> None:
    """Let run users pass, and no more, through the platform's folders on the way to theirs. A sandbox has no need of that."""
    if level.name == USER:
        for folder in (layout.runs_folder(), layout.code_folder(0).parent, layout.environments_folder(), *folders):
            with contextlib.suppress(FileNotFoundError):
                folder.chmod(0o711)


def kernel_limits(level: Level, user: int | None, tasks: int | None) -> dict[str, int]:
    """Of the limits a supervisor takes on, with which its script starts, those that a level has. An ordinary user's sandbox
    gets the limit of tasks inside: outside it would count all that the user has.
    """
    is_inside = level.name == BUBBLEWRAP and user is None
    return {} if tasks is None or is_inside else {"RLIMIT_NPROC": tasks}


def arrange(level: Level, place: Surroundings, tasks: int | None = None) -> dict[str, Any]:
    """What the supervisor has to do (`engine.host.launch` reads it). `tasks` is the kernel's limit of `task_limit`."""
    is_confined, is_sandboxed = level.name in (USER, LANDLOCK), level.name == BUBBLEWRAP
    how: dict[str, Any] = {
        "level": level.name,
        "network": place.network,
        "user": place.user,
        "is_confined": is_confined,
        "sandbox": bubblewrap() if is_sandboxed else "",
    }
    if is_sandboxed:
        how |= {"arguments": bubblewrap_arguments(place, own_proc=level.own_proc), "before": become(place.user) or bounded(tasks)}
    if is_confined:
        how |= {"landlock": landlock.version() > 0, "readable": _readable(place), "writable": _writable(place)}
    return how


def _readable(place: Surroundings) -> list[str]:
    configuration = [f"/etc/{name}" for name in (*CONFIGURATION, "passwd", "group")]
    system = ["/usr", *SYSTEM, "/proc", "/sys/devices/system/cpu", *configuration]
    return [*system, *python_folders(place.interpreter), str(TOOLKIT), *certificates(), *place.readable]


def _writable(place: Surroundings) -> list[str]:
    return [str(place.directory), *(f"/dev/{name}" for name in _DEVICES)]


def refusal(level: Level, *, network: bool, least: str = "") -> str:
    """Why a step may not run at this level, and what to do; "" when it may. `least` is what its team asks for."""
    for wanted, whose in ((settings.MIN_ISOLATION, "PYSCHED_MIN_ISOLATION asks"), (least, "its team asks")):
        if wanted and LEVELS.index(level.name) > LEVELS.index(wanted):
            return f"isolation here is {level.name}, and {whose} for {wanted} at least. {level.reason} {level.remedy}".strip()
    if not network and not level.can_cut_network:
        return f"it must not reach the network, and isolation {level.name} cannot keep it from it here"
    return ""
