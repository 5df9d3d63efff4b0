"""The file beside a log that tells stream and time of its pieces. Supervisors write it (`engine.host.streams`): standard library alone.

What it does not tell, in older logs or for the moment between a piece and its mark, counts as standard output.
"""

import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

OUT, ERR = 0, 1
SUFFIX = ".marks"
# Of one piece: where it begins, when it came (milliseconds since 1970), its length, its stream.
RECORD = struct.Struct("<QQIB3x")
BLOCK = 64 * 1024
# Steps side by side may add their marks in another order than their pieces: not more than so many out of place.
_DISORDER = 64


class Mark(NamedTuple):
    """The log from `start` to `end` came by `stream` at `at` (milliseconds since 1970; 0: not known)."""

    start: int
    end: int
    stream: int
    at: int


def between(log: "Path", start: int, end: int) -> list[Mark]:
    """The marks of a part of the log, cut to it, in order and without gaps."""
    if end <= start:
        return []
    try:
        file = os.open(log.with_name(log.name + SUFFIX), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [Mark(start, end, OUT, 0)]
    try:
        return _filled(sorted(_read(file, start, end)), start, end)
    finally:
        os.close(file)


def of_stream(log: "Path", stream: int, start: int, end: int) -> Iterator[bytes]:
    """What came by one stream of the log from `start` to `end`, block by block."""
    try:
        file = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for at in range(start, end, BLOCK):
            block = os.pread(file, min(BLOCK, end - at), at)
            if wanted := b"".join(
                block[mark.start - at : mark.end - at] for mark in between(log, at, at + len(block)) if mark.stream == stream
            ):
                yield wanted
    finally:
        os.close(file)


def _read(file: int, start: int, end: int) -> Iterator[Mark]:
    at = max(0, _first(file, start) - _DISORDER)
    behind = 0
    while behind < _DISORDER and (data := os.pread(file, RECORD.size * 256, at * RECORD.size)):
        at += 256
        for begin, when, length, stream in RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]):
            if begin < end and begin + length > start:
                yield Mark(max(begin, start), min(begin + length, end), stream, when)
            behind += begin >= end


def _first(file: int, start: int) -> int:
    """The number of the first record that reaches behind `start`."""
    low, high = 0, os.fstat(file).st_size // RECORD.size
    while low < high:
        middle = (low + high) // 2
        begin, _, length, _ = RECORD.unpack(os.pread(file, RECORD.size, middle * RECORD.size))
        low, high = (middle + 1, high) if begin + length <= start else (low, middle)
    return low


def _filled(found: list[Mark], start: int, end: int) -> list[Mark]:
    whole: list[Mark] = []
    for mark in found:
        if mark.start > start:
            whole.append(Mark(start, mark.start, OUT, 0))
        whole.append(mark)
        start = max(start, mark.end)
    return [*whole, Mark(start, end, OUT, 0)] if start < end else whole
