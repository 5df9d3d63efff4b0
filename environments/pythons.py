"""The Pythons of this machine. Each is run once to be sure: pyenv's shims are on the PATH and fail when called."""

import glob
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from core import layout
from core.interpreter import interpreter
from environments.wishes import satisfies

OLDEST = (3, 8)
_SECONDS = 20
_ASK = """
import json, platform, sys, sysconfig
print(json.dumps({
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "version": platform.python_version() if sys.version_info[3] == "final" else "",
    "implementation": sys.implementation.name,
    "platform": sysconfig.get_platform() + "-" + "".join(platform.libc_ver()),
}))
"""
# Whatever installs Pythons puts them into one of these.
_PLACES = (
    "~/.pyenv/versions/*/bin/python3.*",
    "~/.local/share/uv/python/*/bin/python3.*",
    "/opt/python/*/bin/python3.*",
    "/opt/pyenv/versions/*/bin/python3.*",
    "/usr/local/bin/python3.*",
    "/usr/bin/python3.*",
)


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter that runs. `platform` names system, processor and C library: what wheels are made for."""

    path: str
    version: str
    implementation: str
    platform: str

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    @property
    def series(self) -> str:
        """Such as `3.12`."""
        return ".".join(self.version.split(".")[:2])


def found_pythons() -> list[Python]:
    """All of 3.8 or newer, the newest first, the platform's own before others of its version. A file is asked again when it changes."""
    known = _remembered()
    asked: dict[str, dict[str, str]] = {}
    for path in _candidates():
        mark = _mark(path)
        if mark and mark not in asked:
            asked[mark] = known[mark] if mark in known else _ask(path)
    if asked != known:
        _remember(asked)
    there = {python.path: python for answer in asked.values() if (python := _usable(answer))}
    own = interpreter()
    return sorted(there.values(), key=lambda python: (python.numbers, python.path == own), reverse=True)


def choose(version: str = "", requires: str = "") -> Python | None:
    """The newest Python of that version which fits what the script requires; without a version the platform's own, if it fits."""
    fitting = [python for python in found_pythons() if _matches(python, version) and satisfies(python.version, requires)]
    own = [python for python in fitting if python.path == interpreter()]
    return next(iter(fitting if version else own + fitting), None)


def _matches(python: Python, version: str) -> bool:
    return not version or python.version == version or python.version.startswith(f"{version}.")


def _candidates() -> Iterator[str]:
    yield interpreter()
    yield from settings.PYTHONS
    for place in _PLACES:
        yield from (path for path in sorted(glob.glob(os.path.expanduser(place))) if path.rpartition(".")[2].isdigit())


def _mark(path: str) -> str:
    """The file itself, and when it was changed: links to one Python are asked once. Empty when there is none."""
    try:
        real = os.path.realpath(path)
        return f"{real}:{os.stat(real).st_mtime_ns}" if os.access(real, os.X_OK) else ""
    except OSError:
        return ""


def _ask(path: str) -> dict[str, str]:
    """What it says of itself; nothing when it does not run."""
    try:
        done = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, timeout=_SECONDS, env={}, check=True)
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {name: str(value) for name, value in answer.items()} if isinstance(answer, dict) else {}


def _usable(answer: dict[str, str]) -> Python | None:
    if not answer.get("version"):
        return None
    python = Python(**answer)
    return python if python.implementation == "cpython" and python.numbers[:2] >= OLDEST else None


def _memory() -> Path:
    return layout.environments_folder() / "pythons.json"


def _remembered() -> dict[str, dict[str, str]]:
    try:
        known = json.loads(_memory().read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(asked: dict[str, dict[str, str]]) -> None:
    _memory().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = _memory().with_name(f".pythons.{os.getpid()}")
    part.write_text(json.dumps(asked))
    part.replace(_memory())


def shown(python: Python) -> dict[str, str]:
    return asdict(python)
