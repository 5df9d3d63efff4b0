"""What can be told of an environment without running anything that lies in it: what packages bring would run as the platform."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.markers import default_environment
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

_SHOWN = 3


def frame_of(folder: Path) -> dict[str, str]:
    """What an environment without packages is made of, by path: the digests of files, the targets of links."""
    return {path: _print_of(folder / path) for path, _ in _entries(folder)}


def _print_of(path: Path) -> str:
    return f"-> {os.readlink(path)}" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


def overreach(folder: Path, frame: Mapping[str, str]) -> str:
    """What packages have done that none may do, in words; empty when each has only added files of its own.

    A replaced interpreter would be started, a replaced `pyvenv.cfg` would show scripts other folders, a link leads anywhere.
    """
    if replaced := _changed_frame(folder, frame):
        return f"A package replaces {_listed(replaced)}, which belongs to the environment itself. Such a package is not used."
    if odd := [path for path, status in _entries(folder) if path not in frame and not stat.S_ISREG(status.st_mode)]:
        return f"A package brings something else than files: {_listed(odd)}. Such a package is not used."
    return ""


def inventory_of(folder: Path) -> dict[str, int]:
    """Sizes of its files in bytes, by path; without bytecode, which comes later."""
    return {path: status.st_size for path, status in _entries(folder) if stat.S_ISREG(status.st_mode)}


def damage(folder: Path, frame: Mapping[str, str], inventory: Mapping[str, int]) -> str:
    """What is no longer as it was made, in words; empty when all is. A module whose files are all there can be imported."""
    there = inventory_of(folder)
    lost = [path for path, size in inventory.items() if there.get(path) != size]
    changed = list(dict.fromkeys(_changed_frame(folder, frame) + lost))
    return f"Missing or changed since it was made: {_listed(changed)}." if changed else ""


def _changed_frame(folder: Path, frame: Mapping[str, str]) -> list[str]:
    changed = []
    for path, expected in frame.items():
        try:
            is_same = _print_of(folder / path) == expected
        except OSError:
            is_same = False
        if not is_same:
            changed.append(path)
    return changed


def _listed(paths: list[str]) -> str:
    more = len(paths) - _SHOWN
    shown = ", ".join(paths[:_SHOWN]).encode("utf-8", "backslashreplace").decode()
    return shown + (f" and {more} more" if more > 0 else "")


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All but folders, with their paths from `folder`; no link is followed, and what compiling makes is left out."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for entry in found:
                if not entry.is_dir(follow_symlinks=False):
                    yield os.path.relpath(entry.path, folder), entry.stat(follow_symlinks=False)
                elif entry.name != "__pycache__":
                    waiting.append(Path(entry.path))


def misfits(folder: Path, python_version: str) -> str:
    """Which packages lack another, or have it in a version that does not suit them, a line each; empty when all fit together."""
    described = [parse_email(path.read_bytes())[0] for path in sorted(folder.glob("lib/python*/site-packages/*.dist-info/METADATA"))]
    versions = {canonicalize_name(found.get("name", "")): found.get("version", "") for found in described}
    lines = []
    for found in described:
        name, python = found.get("name", ""), found.get("requires_python", "")
        if python and not _suits(python_version, python):
            lines.append(f"{name} wants Python {python}; this is {python_version}.")
        lines += [f"{name} wants {text}" for text in _unmet(found.get("requires_dist", []), versions, python_version)]
    return "\n".join(lines)


def _unmet(wanted: list[str], versions: Mapping[NormalizedName, str], python_version: str) -> Iterator[str]:
    surroundings = _surroundings(python_version)
    for text in wanted:
        requirement = _requirement(text, surroundings)
        if requirement is None:
            continue
        there = versions.get(canonicalize_name(requirement.name))
        if there is None:
            yield f"{requirement}, which is not there."
        elif not _suits(there, str(requirement.specifier)):
            yield f"{requirement}; {there} is there."


def _requirement(text: str, surroundings: dict[str, str]) -> Requirement | None:
    """None when it does not count here, or cannot be read: then the resolver has come to terms with it."""
    try:
        requirement = Requirement(text)
        counts = requirement.marker is None or requirement.marker.evaluate(surroundings)
    except (ValueError, RecursionError):
        return None
    return requirement if counts else None


def _suits(version: str, specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except ValueError:
        return True  # Written before the rules were: nothing can be said of it.


def _surroundings(python_version: str) -> dict[str, str]:
    """What markers ask for: this host with the environment's Python, and no extra."""
    own = {
        "python_version": ".".join(python_version.split(".")[:2]),
        "python_full_version": python_version,
        "implementation_name": "cpython",
        "implementation_version": python_version,
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    return {**{name: str(value) for name, value in default_environment().items()}, **own}
