"""Environments on this host's disk: made, used, looked at, measured, taken off. Nothing here asks the database.

Nothing that lies in an environment is run here: its packages' code would run as the platform, outside of any isolation.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from core import layout
from core.errors import Conflict
from environments import inspection, resolver
from environments.pythons import Python
from environments.resolver import Say

_START_SECONDS = 20
COMPILE_BYTES, COMPILE_SECONDS = 2 << 30, 1800
# For Pythons from 3.8 on.
_COMPILE = """
import compileall, os, resource, sys
os.nice(19)
for limit, most in zip((resource.RLIMIT_AS, resource.RLIMIT_CPU), map(int, sys.argv[2:])):
    hard = resource.getrlimit(limit)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))
sys.exit(not compileall.compile_dir(sys.argv[1], quiet=1))
"""
_SERIES = 'import sys; print("%d.%d" % sys.version_info[:2])'


class EnvironmentAbsent(Conflict):
    """The environment is not on this host."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Says that an environment is whole, and what it was when it was made. It lies where no package can bring one."""

    python: str
    interpreter: str
    frame: dict[str, str]
    inventory: dict[str, int]


def key_of(python: Python, lock: str) -> str:
    """What makes an environment this one: the exact Python, what wheels it takes, the lock, and where they came from."""
    parts = [python.version, python.implementation, python.platform, python.path, resolver.index_in_use(), resolver.sorted_lock(lock)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def python_of(key: str) -> str:
    """The interpreter of an environment on this host; EnvironmentAbsent when it is not there. No question to the database."""
    python = str(layout.environment_folder(key) / "bin" / "python")
    try:
        os.stat(python)
        # When it was last used is this file's time: a run costs no row.
        os.utime(_mark_path(key))
    except FileNotFoundError:
        raise EnvironmentAbsent(f"Its Python environment {key[:8]} is not on this host.") from None
    return python


def last_used(key: str) -> float | None:
    """When a run last used it, in seconds since the epoch; None when it is not on this host."""
    try:
        return _mark_path(key).stat().st_mtime
    except OSError:
        return None


def make(key: str, python: Python, lock: str, say: Say) -> bool:
    """Makes what the key stands for, unless it is there and whole; False then. ResolverRefused when it cannot be made.

    One maker of a key at a time. In place, for scripts in `bin` name their interpreter by its path; the mark comes last.
    """
    layout.environments_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    with held(lock_of(key)) as number:
        if not health_of(key):
            return False
        take_off(key)
        folder = layout.environment_folder(key)
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        resolver.make_empty(folder, python, say, number)
        frame = inspection.frame_of(folder)
        if lock:
            lock_file = layout.environments_folder() / f"{key}.txt"
            lock_file.write_text(f"{lock}\n")
            resolver.install(folder, lock_file, say, number)
        _finish(key, python, frame)
        return True


def _finish(key: str, python: Python, frame: dict[str, str]) -> None:
    folder = layout.environment_folder(key)
    if fault := inspection.overreach(folder, frame) or _start_fault(python.path, python.version):
        shutil.rmtree(folder)
        raise resolver.ResolverRefused(fault)
    mark = Mark(python.version, python.path, frame, inspection.inventory_of(folder))
    part = _mark_path(key).with_suffix(".part")
    part.write_text(json.dumps(asdict(mark)))
    part.replace(_mark_path(key))


def health_of(key: str) -> str:
    """What is wrong with an environment on this host; empty when its interpreter starts and all is there that was installed."""
    mark = _mark_of(key)
    if mark is None:
        return "It is not on this host."
    return inspection.damage(layout.environment_folder(key), mark.frame, mark.inventory) or _start_fault(mark.interpreter, mark.python)


def misfits_of(key: str) -> str:
    """Which of its packages do not fit together, in words."""
    mark = _mark_of(key)
    return inspection.misfits(layout.environment_folder(key), mark.python) if mark else ""


def _start_fault(interpreter: str, version: str) -> str:
    """The environment's own link leads to this interpreter; but what is started by that, reads what packages have laid there."""
    words = [interpreter, "-I", "-S", "-c", _SERIES]
    try:
        done = subprocess.run(words, capture_output=True, text=True, env={}, timeout=_START_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Its interpreter does not start: {error}"
    if done.returncode:
        return f"Its interpreter does not start: {done.stderr.strip()[-500:]}"
    series = done.stdout.strip()
    return "" if version.startswith(f"{series}.") else f"Its interpreter {interpreter} is Python {series} now; it was made with {version}."


def compile_bytecode(key: str) -> "subprocess.Popen[bytes] | None":
    """Starts what makes imports quick, at the lowest priority: runs need not wait for it, each file appears whole.

    None when it is not there. A file that is made to be hard to compile takes no more of the host than the limits, and stays as it is.
    """
    mark = _mark_of(key)
    if mark is None:
        return None
    library = str(layout.environment_folder(key) / "lib")
    words = [mark.interpreter, "-I", "-S", "-c", _COMPILE, library, str(COMPILE_BYTES), str(COMPILE_SECONDS)]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=nowhere, stdout=nowhere, stderr=nowhere, env={}, umask=0o022)


def size_of(key: str) -> int:
    """Bytes on disk."""
    total = 0
    for folder, _, names in os.walk(layout.environment_folder(key)):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue  # Compiling renames its files.
    return total


def take_off(key: str) -> None:
    """Off the disk, if it is there. The mark goes first: half an environment is none. The caller holds the key's lock."""
    _mark_path(key).unlink(missing_ok=True)
    (layout.environments_folder() / f"{key}.txt").unlink(missing_ok=True)
    if (folder := layout.environment_folder(key)).exists():
        shutil.rmtree(folder)


def lock_of(key: str) -> Path:
    """Held by who makes it or takes it off."""
    return layout.environments_folder() / f"{key}.lock"


def keys_here() -> list[str]:
    """Keys of all that lies here, whole or not."""
    ready = layout.environments_folder() / "ready"
    return sorted(os.listdir(ready)) if ready.exists() else []


@contextmanager
def held_at_once(path: Path) -> Iterator[bool]:
    """The file's lock, if nobody has it; False else."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def held(path: Path, *, keep: bool = True) -> Iterator[int]:
    """The file's lock, waited for. Children that are given its number hold it too: a builder's death does not free it under them."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
    if not keep:
        path.unlink(missing_ok=True)


def _mark_path(key: str) -> Path:
    return layout.environments_folder() / f"{key}.json"


def _mark_of(key: str) -> Mark | None:
    try:
        return Mark(**json.loads(_mark_path(key).read_text()))
    except (OSError, ValueError, TypeError):
        return None
