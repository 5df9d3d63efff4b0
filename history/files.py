"""Files that runs left behind, opened without being led out of the run's directory by what a script put there."""

import contextlib
import io
import os
import stat
import time
import zipfile
from collections.abc import Buffer, Iterator
from typing import BinaryIO, NamedTuple, cast

from core import layout
from core.errors import NotFound
from core.files import UnsafeFile, open_beneath
from history import logs
from history.models import Run

BLOCK = 256 * 1024
_NO_PATHS = str.maketrans("\\:", "__")


class OpenFile(NamedTuple):
    """A file to read and close, and its size when it was opened."""

    file: BinaryIO
    size: int


def open_artifact(run: Run, path: str) -> OpenFile:
    """A recorded file of the run; NotFound when there is none, it was taken away, or it is no plain file any more."""
    if "\0" in path or not run.artifacts.filter(path=path).exists():
        raise NotFound("This run has no such file.")
    try:
        return _open(run, path)
    except FileNotFoundError:
        raise NotFound(f"{path} was recorded, but it is no longer there.") from None
    except UnsafeFile:
        raise NotFound(f"{path} is not a plain file of this run any more, so it is not opened.") from None


def zip_all(run: Run) -> Iterator[bytes]:
    """A zip of all recorded files and the log, made while it is read: never whole in memory or on disk.

    What cannot be opened any more is left out. NotFound at once when the run has not started.
    """
    _has_started(run)
    return _zipped(run, list(run.artifacts.values_list("path", flat=True)))


def _zipped(run: Run, paths: list[str]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(cast(BinaryIO, sink), "w", zipfile.ZIP_DEFLATED) as archive:
        taken: set[str] = set()
        for name, file in _members(run, paths):
            with file, archive.open(_info(_entry(name, taken), file), "w", force_zip64=True) as member:
                while block := file.read(BLOCK):
                    member.write(block)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


def _members(run: Run, paths: list[str]) -> Iterator[tuple[str, BinaryIO]]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield path, _open(run, path).file
    with contextlib.suppress(FileNotFoundError):
        yield layout.SHOWN_LOG_ELSE if layout.SHOWN_LOG in paths else layout.SHOWN_LOG, logs.log_path(run).open("rb")


def _has_started(run: Run) -> None:
    if not run.output_dir:
        raise NotFound("This run has not started: it has no files yet.")


def _open(run: Run, path: str) -> OpenFile:
    """From the platform's folder down: the run's directory itself may have been swapped for a link by its script."""
    _has_started(run)
    descriptor = open_beneath(layout.runs_folder(), f"{run.output_dir}/{path}")
    return OpenFile(open(descriptor, "rb"), os.fstat(descriptor).st_size)


def _entry(path: str, taken: set[str]) -> str:
    """What the file is called in the zip, and put into `taken`.

    To Windows a backslash parts folders and a colon names a drive: what is a name here could leave the folder there.
    """
    name = plain = path.translate(_NO_PATHS)
    while name in taken:
        name = f"{plain}~{len(taken)}"
    taken.add(name)
    return name


def _info(name: str, file: BinaryIO) -> zipfile.ZipInfo:
    # A zip's dates begin with 1980 and end with 2107; a script may have set any.
    moment = time.localtime(min(max(os.fstat(file.fileno()).st_mtime, 315_619_200), 4_354_732_800))
    info = zipfile.ZipInfo(name, moment[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


class _Sink(io.RawIOBase):
    """What a zip is written to: it cannot be wound back, so sizes follow each member's content."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
