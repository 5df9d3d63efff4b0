"""Directories of files that appear whole or not at all."""

import ctypes
import datetime
import glob
import hashlib
import json
import os
import pathlib
import shutil

from threadkit._state import write_whole

MANIFEST = "manifest.json"
# The engine records nothing of directories with this beginning, so that what was never finished is no result of a run.
_HIDDEN = ".pyscheduler"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class Dataset:
    """A data set that is being written: a path, so `set / "file.csv"` and `open(set / "file.csv", "w")` work.

    `metadata` goes into the manifest as it is at the end.
    """

    def __init__(self, name, metadata):
        self.target = pathlib.Path(name).absolute()
        self.metadata = dict(metadata)
        self.path = None
        if pathlib.PurePath(name).name in ("", "..") or self.target.name.startswith(_HIDDEN):
            raise ValueError(f"{name!r} cannot be the name of a data set")

    def __fspath__(self):
        return str(self._open())

    def __truediv__(self, name):
        return self._open() / name

    def _open(self):
        if self.path is None:
            raise ValueError(f"a data set is written in a block: with threadkit.dataset({self.target.name!r}) as data: ...")
        return self.path

    def __enter__(self):
        self.target.parent.mkdir(parents=True, exist_ok=True)
        step = os.path.basename(os.environ.get("PYSCHED_STATE", "")) or "none"
        attempt = os.environ.get("PYSCHED_ATTEMPT", "0")
        begun = f"{_HIDDEN}-{self.target.name}-{step}-"
        self._forget_earlier(begun, attempt)
        # By chance, not by pid: in a sandbox of its own each attempt has the same.
        self.path = self.target.with_name(f"{begun}{attempt}-{os.urandom(6).hex()}")
        self.path.mkdir()
        return self

    def _forget_earlier(self, begun, attempt):
        """What attempts before this one have left when they were killed."""
        for left in self.target.parent.glob(glob.escape(begun) + "*"):
            number = left.name[len(begun) :].partition("-")[0]
            if number.isdigit() and int(number) < int(attempt):
                shutil.rmtree(str(left), ignore_errors=True)

    def __exit__(self, kind, error, trace):
        path, self.path = self.path, None
        try:
            if kind is None:
                _describe(path, self.target, self.metadata)
        except BaseException:
            shutil.rmtree(str(path), ignore_errors=True)
            raise
        if kind is None:
            _put(str(path), self.target)
        else:
            shutil.rmtree(str(path), ignore_errors=True)
        return False


def _describe(path, target, metadata):
    """Write the manifest; with it the data set is complete."""
    if (path / MANIFEST).exists():
        raise ValueError(f"{MANIFEST} is written by the data set itself; name your file otherwise")
    files = [_described(file, path) for file in sorted(path.rglob("*")) if file.is_symlink() or not file.is_dir()]
    manifest = {
        "name": target.name,
        "version": _next_version(target),
        "created_at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "run": os.environ.get("PYSCHED_RUN_ID"),
        "step": os.environ.get("PYSCHED_STEP"),
        "attempt": os.environ.get("PYSCHED_ATTEMPT"),
        "files": files,
        "metadata": metadata,
    }
    write_whole(str(path / MANIFEST), json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")


def _described(file, root):
    if file.is_symlink() or not file.is_file():
        raise ValueError(f"a data set holds plain files; {file.relative_to(root)} is none")
    digest, size = hashlib.sha256(), 0
    lines = _Lines() if file.suffix.lower() == ".csv" else None
    with open(str(file), "rb") as content:
        for chunk in iter(lambda: content.read(1024 * 1024), b""):
            digest.update(chunk)
            size += len(chunk)
            if lines:
                lines.count(chunk)
        os.fsync(content.fileno())
    described = {"path": str(file.relative_to(root)), "sha256": digest.hexdigest(), "bytes": size}
    if lines:
        described["rows"] = lines.rows()
    return described


class _Lines:
    """Counts the lines of a CSV; those within quotes are none."""

    def __init__(self):
        self.lines, self.is_quoted, self.last = 0, 0, b"\n"

    def count(self, chunk):
        parts = chunk.split(b'"')
        self.lines += sum(part.count(b"\n") for part in parts[self.is_quoted :: 2])
        self.is_quoted = (self.is_quoted + len(parts) - 1) % 2
        self.last = chunk[-1:]

    def rows(self):
        """Without the header."""
        return max(0, self.lines + (self.last != b"\n") - 1)


def _version(folder):
    """The version that the manifest in a folder tells; 0 when there is none."""
    try:
        with open(os.path.join(str(folder), MANIFEST), "rb") as file:
            return int(json.loads(file.read())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _next_version(target):
    kept = (left.name.rpartition("@")[2] for left in target.parent.glob(glob.escape(target.name) + "@*"))
    return 1 + max([_version(target), *(int(number) for number in kept if number.isdigit())])


def _put(path, target):
    """The new one takes the name; one that was there gets its version behind it."""
    name = str(target)
    if not os.path.lexists(name):
        os.rename(path, name)
        return
    number = _version(target)
    while os.path.lexists(f"{name}@{number}"):
        number += 1
    earlier = f"{name}@{number}"
    if _exchange(path, name):
        os.rename(path, earlier)
    else:
        os.rename(name, earlier)
        os.rename(path, name)


def _exchange(one, other):
    """Let two names change places in one step; False where the system cannot (anywhere but on Linux)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        return rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    except (AttributeError, OSError, TypeError):
        return False
