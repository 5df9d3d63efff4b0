"""What came by which stream: one pipe carries all that a script prints, so that its order is kept, and marks in it tell errors apart.

The marks are put around each piece of Python's `sys.stderr` by `sitecustomize` and are taken out here. What else writes to
the descriptor of standard error (C code, programs that are not Python) has no marks and counts as standard output.
"""

import os
import re
from collections.abc import Iterable

from core.marks import ERR, OUT, RECORD
from engine.host.masking import Masker

# Application program commands (ECMA-48): a terminal that meets one shows nothing.
_MARK = re.compile(rb"\x1b_([eo])\x1b\\")
_MARKS = (b"\x1b_e\x1b\\", b"\x1b_o\x1b\\")
MOST_KEPT_BACK = 65536

Piece = tuple[int, bytes]


class Splitter:
    """Takes a pipe's bytes apart by their marks, which may come in halves."""

    def __init__(self) -> None:
        self._stream = OUT
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Piece]:
        text = self._rest + chunk
        held = next((size for size in range(4, 0, -1) if text.endswith((_MARKS[0][:size], _MARKS[1][:size]))), 0)
        self._rest = text[len(text) - held :]
        found: list[Piece] = []
        parts = iter(_MARK.split(text[: len(text) - held]))
        found.append((self._stream, next(parts)))
        for name, part in zip(parts, parts, strict=True):
            self._stream = ERR if name == b"e" else OUT
            found.append((self._stream, part))
        return [piece for piece in found if piece[1]]

    def finish(self) -> list[Piece]:
        return [(self._stream, self._rest)] if self._rest else []


class Lane:
    """One stream on its way into the log: secrets are masked, and lines of a shared log bear their step's name."""

    def __init__(self, masker: Masker, prefix: bytes) -> None:
        self._masker = masker
        self._prefix = prefix
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        masked = self._masker.feed(chunk)
        return self._prefixed(masked) if self._prefix and masked else masked

    def finish(self) -> bytes:
        """The last line of a shared log may lack its end: give it one, so that the next step's line stands alone."""
        last = self._masker.finish()
        if not self._prefix:
            return last
        told, self._rest = self._prefixed(last), self._rest
        return told + (self._prefix + self._rest + b"\n" if self._rest else b"")

    def _prefixed(self, chunk: bytes) -> bytes:
        complete, newline, rest = (self._rest + chunk).rpartition(b"\n")
        # A line without end is kept back until it has one, but not for ever.
        if len(rest) > MOST_KEPT_BACK:
            complete, newline, rest = complete + newline + rest, b"\n", b""
        self._rest = rest
        return self._prefix + complete.replace(b"\n", b"\n" + self._prefix) + newline if newline else b""


class Marks:
    """The file beside the log that tells stream and time of its pieces. Made when the first piece comes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1

    def add(self, start: int, end: int, at: float, pieces: Iterable[Piece]) -> None:
        """`pieces` lie in the log from `start`; what lies behind `end` did not get there."""
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, 0o600)
        records = []
        for stream, content in pieces:
            length = min(len(content), end - start)
            if length <= 0:
                break
            records.append(RECORD.pack(start, int(at * 1000), length, stream))
            start += length
        os.write(self._file, b"".join(records))
