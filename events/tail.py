"""A reader's place in a growing log: an offset into the file is all there is to it."""

import os
from dataclasses import dataclass
from pathlib import Path

from core import marks

CHUNK = 32 * 1024
FAR_BEHIND = 512 * 1024
LAST_PART = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Text from `offset` up to `next`; `skipped` when it does not follow the piece before it.

    `parts` tell how much of it (in UTF-16 units, as browsers count) came by which stream and when; None when that is not known.
    """

    offset: int
    next: int
    text: str
    skipped: bool = False
    parts: list[tuple[int, int, int]] | None = None


class Tail:
    """Reads on from `offset`. `dirty` says that there may be more; whoever sees the file change sets it.

    With `skip` a reader that is far behind jumps to the last part, for people; without it nothing is left out.
    """

    __slots__ = ("dirty", "offset", "path", "skip")

    def __init__(self, path: Path, offset: int, *, skip: bool) -> None:
        self.path = path
        self.offset = offset
        self.skip = skip
        self.dirty = True

    def read(self, *, is_final: bool = False) -> Piece | None:
        """The next piece, cut behind a line or at least between characters; None when there is none now.

        `is_final`: nothing will be added, so half a character at the end is all there will be of it.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.dirty = False
            return None
        try:
            size = os.fstat(descriptor).st_size
            skipped = self.skip and size - self.offset > FAR_BEHIND
            if skipped:
                self.offset = _next_line(descriptor, size - LAST_PART, size)
            data = os.pread(descriptor, CHUNK, self.offset)
        finally:
            os.close(descriptor)
        at_end = self.offset + len(data) >= size
        length = _cut(data, at_end=at_end, is_final=is_final)
        self.dirty = not at_end
        if not length:
            return None
        start, self.offset = self.offset, self.offset + length
        parts = _parts(data, start, marks.between(self.path, start, self.offset))
        return Piece(start, self.offset, data[:length].decode("utf-8", "replace"), skipped, parts)


def _parts(data: bytes, start: int, found: list[marks.Mark]) -> list[tuple[int, int, int]] | None:
    if all(not mark.at for mark in found):
        return None
    texts = [data[mark.start - start : mark.end - start].decode("utf-8", "replace") for mark in found]
    return [(len(text.encode("utf-16-le")) // 2, mark.stream, mark.at) for text, mark in zip(texts, found, strict=True)]


def _next_line(descriptor: int, offset: int, size: int) -> int:
    """The first start of a line at or behind `offset`; `offset` where a line is longer than a chunk."""
    newline = os.pread(descriptor, min(CHUNK, size - offset), offset).find(b"\n")
    return offset + newline + 1 if newline >= 0 else offset


def _cut(data: bytes, *, at_end: bool, is_final: bool) -> int:
    if not at_end and (newline := data.rfind(b"\n")) >= 0:
        return newline + 1
    return len(data) if at_end and is_final else complete_length(data)


def complete_length(data: bytes) -> int:
    """How much of `data` ends between characters; bytes that are no UTF-8 count as characters."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue  # A character's further byte: its first one lies before it.
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if needed > back else len(data)
    return len(data)
