"""Reading a run's log: bytes as the scripts printed them. Nothing here holds more than a block of it in memory."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from core import layout
from history.models import Run

BLOCK = 64 * 1024


def log_path(run: Run) -> Path:
    """Where the log is. It lies out of the script's reach: what the run's directory shows under its name proves nothing."""
    return layout.log_path(run.pk)


def size(run: Run) -> int:
    """Bytes of the log by now; 0 while there is none."""
    try:
        return log_path(run).stat().st_size
    except FileNotFoundError:
        return 0


def read(run: Run, offset: int, limit: int) -> bytes:
    """At most `limit` bytes from `offset`; none behind the end."""
    with _Opened(run) as file:
        return os.pread(file.fileno(), limit, offset) if file else b""


def tail_offset(run: Run, lines: int) -> int:
    """Where the last `lines` lines begin; 0 when there are no more than that."""
    with _Opened(run) as file:
        return _line_start(file.fileno(), lines) if file else 0


def opened(run: Run, offset: int = 0) -> BinaryIO:
    """The log from `offset`, for the caller to close; an empty file while there is none.

    It may grow while it is read: who has told its size before sends no more than that.
    """
    try:
        file = log_path(run).open("rb")
    except FileNotFoundError:
        return io.BytesIO()
    file.seek(offset)
    return file


class _Opened:
    """The log, or None while there is none."""

    def __init__(self, run: Run) -> None:
        self.path = log_path(run)
        self.file: io.FileIO | None = None

    def __enter__(self) -> io.FileIO | None:
        try:
            self.file = self.path.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        return self.file

    def __exit__(self, *_: object) -> None:
        if self.file:
            self.file.close()


def _line_start(descriptor: int, lines: int) -> int:
    """Backwards block by block, counting ends of lines; the very last byte's ends the last line and starts none."""
    end = os.fstat(descriptor).st_size
    if lines <= 0:
        return end
    position, missing = end, lines
    while position > 0:
        start = max(0, position - BLOCK)
        block = os.pread(descriptor, position - start, start)
        searched = len(block) - 1 if position == end else len(block)
        found = block.count(b"\n", 0, searched)
        if found >= missing:
            for _ in range(missing):
                searched = block.rfind(b"\n", 0, searched)
            return start + searched + 1
        missing -= found
        position = start
    return 0
