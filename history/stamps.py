"""A log with the time and the stream of each line before it. Nothing here holds more than a block of it in memory."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from core import marks

STREAMS = {marks.OUT: "stdout", marks.ERR: "stderr"}
_WIDTH = len("2026-11-25T15:40:12.345Z")


def stamped(log: Path, start: int, end: int, stream: int | None = None) -> Iterator[bytes]:
    """The log from `start` to `end`, block by block, each line as `2026-11-25T15:40:12.345Z stdout It works`; UTC.

    Time and stream are those of a line's first byte; a time that is not known is `-`. With `stream` only what came by it.
    """
    try:
        file = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    begins = True
    try:
        for at in range(start, end, marks.BLOCK):
            block = os.pread(file, min(marks.BLOCK, end - at), at)
            for mark in marks.between(log, at, at + len(block)):
                piece = block[mark.start - at : mark.end - at]
                if stream in (None, mark.stream) and piece:
                    yield _with_stamps(piece, _stamp(mark), begins=begins)
                    begins = piece.endswith(b"\n")
    finally:
        os.close(file)


def _stamp(mark: marks.Mark) -> bytes:
    moment = f"{datetime.fromtimestamp(mark.at / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{mark.at % 1000:03}Z" if mark.at else "-"
    return f"{moment:{_WIDTH}} {STREAMS[mark.stream]} ".encode()


def _with_stamps(piece: bytes, stamp: bytes, *, begins: bool) -> bytes:
    # The last byte is left out of the search: the line behind its newline begins with the next piece.
    return (stamp if begins else b"") + piece[:-1].replace(b"\n", b"\n" + stamp) + piece[-1:]
