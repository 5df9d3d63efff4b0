"""What bubblewrap is told: a file system with nothing of the platform's in it, and own processes, users, names and memory.

The options are those of bwrap(1) 0.8 and newer. All paths are the host's own: what a script is told of its directory stays true.
"""

import os
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from engine.environment import CERTIFICATES, TOOLKIT
from engine.places import Surroundings, python_folders

TMP_BYTES, SHM_BYTES = 512 * 1024 * 1024, 256 * 1024 * 1024  # Of memory, at most.
_TEMPORARY, _SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 - those inside
SETPRIV, PRLIMIT = "/usr/bin/setpriv", "/usr/bin/prlimit"
_NAMESPACES = (
    "--new-session",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--hostname",
    "run",
    "--cap-drop",
    "ALL",
)
# As root: to become an unprivileged user inside, who could not reach an interpreter below /root outside.
_TO_BECOME = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_READ_SEARCH")
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Names, certificates, the time zone, fonts: none of it secret. Each costs a start 0.15 ms, so no more than scripts miss.
CONFIGURATION = (
    "ld.so.cache", "ssl", "pki", "ca-certificates", "crypto-policies", "resolv.conf", "hosts", "nsswitch.conf", "services", "localtime",
    "mime.types", "alternatives", "fonts",
)  # fmt: skip


def bubblewrap_arguments(place: Surroundings, *, own_proc: bool) -> list[str]:
    """All options for one run. `own_proc`: some containers forbid to mount a new /proc; the host's shows more names of processes."""
    words = [*_base(place.interpreter, own_proc, place.user is not None)]
    if not place.network:
        words.append("--unshare-net")
    for folder in place.readable:
        words += [*_parents(folder), "--ro-bind", folder, folder]
    directory = str(place.directory)
    words += [*_parents(directory), "--bind", directory, directory, "--chdir", directory, "--remount-ro", "/"]
    return words


def become(user: int | None) -> list[str]:
    """The words before the script's command that make it run as another user, for good."""
    if user is None:
        return []
    who = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return [SETPRIV, *who, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


def bounded(tasks: int | None) -> list[str]:
    """The words before the script's command that limit processes and threads, counted within the sandbox's own users alone."""
    return [PRLIMIT, f"--nproc={tasks}", "--"] if tasks is not None and os.access(PRLIMIT, os.X_OK) else []


@lru_cache(maxsize=64)
def _base(interpreter: str, own_proc: bool, becomes_user: bool) -> tuple[str, ...]:
    """What all runs of an interpreter share."""
    words = [*_NAMESPACES]
    for capability in _TO_BECOME if becomes_user else ():
        words += ["--cap-add", capability]
    if not becomes_user:
        words.append("--unshare-user")
    words += ["--ro-bind", "/usr", "/usr"]
    for path in SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in CONFIGURATION:
        if os.path.exists(f"/etc/{name}"):
            words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += ["--proc", "/proc"] if own_proc else ["--ro-bind", "/proc", "/proc"]
    words += ["--dev", "/dev", *_memory(_SHARED_MEMORY, SHM_BYTES), *_memory(_TEMPORARY, TMP_BYTES)]
    words += ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    folders = (*python_folders(interpreter), str(TOOLKIT), *(path for path in certificates() if not _is_there(path)))
    for folder in folders:
        words += [*_parents(folder), "--ro-bind", folder, folder]
    return (*words, *_hidden(folders))


def _memory(path: str, size: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size), "--tmpfs", path]


def _hidden(folders: tuple[str, ...]) -> list[str]:
    """The platform's own folders, should they lie below one that scripts may read."""
    own = (str(settings.DATA_PATH), str(settings.MEDIA_ROOT))
    seen = [path for path in own if _is_below_system(path) or any(path.startswith(f"{folder}/") for folder in folders)]
    return [word for path in seen for word in ("--perms", "0755", "--tmpfs", path)]


def certificates() -> list[str]:
    """Files and folders that certificates are read from, where the operator has said so."""
    named = dict.fromkeys(os.environ.get(name, "") for name in CERTIFICATES)
    return [path for path in named if os.path.isabs(path) and os.path.exists(path)]


def _is_there(path: str) -> bool:
    """Does it come with the system's own folders?"""
    return _is_below_system(path) or any(path.startswith(f"/etc/{name}/") for name in CONFIGURATION)


def _is_below_system(path: str) -> bool:
    return path.startswith(("/usr/", *(f"{folder}/" for folder in SYSTEM)))


@lru_cache(maxsize=256)
def _parents_of(path: str) -> tuple[str, ...]:
    """The folders on the way to a path, open to the script's user: bubblewrap would make them for their owner alone."""
    if _is_below_system(path):
        return ()
    ways = [str(folder) for folder in reversed(Path(path).parents) if str(folder) not in ("/", _TEMPORARY, "/etc", "/dev")]
    return tuple(word for folder in ways for word in ("--perms", "0755", "--dir", folder))


def _parents(path: str) -> tuple[str, ...]:
    folder, name = os.path.split(path)
    # Of the many folders of runs and versions the parents are few.
    return _parents_of(os.path.join(folder, "x")) if name else ()
