"""A log with times: each line once, in its order, whatever pieces it came in."""

import random
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core import marks
from history.stamps import stamped

pytestmark = pytest.mark.once

Pieces = list[tuple[int, int, bytes]]


def written(path: Path, pieces: Pieces) -> int:
    """A log of these pieces (time, stream, bytes) with its marks; its size."""
    start, records = 0, []
    for at, stream, content in pieces:
        records.append(marks.RECORD.pack(start, at, len(content), stream))
        start += len(content)
    path.write_bytes(b"".join(content for _, _, content in pieces))
    path.with_name(path.name + marks.SUFFIX).write_bytes(b"".join(records))
    return start


def expected(pieces: Pieces, only: int | None = None) -> bytes:
    """Byte by byte."""
    told, begins = bytearray(), True
    for at, stream, content in pieces:
        if only not in (None, stream):
            continue
        moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for byte in content:
            if begins:
                told += f"{moment} {('stdout', 'stderr')[stream]} ".encode()
            told.append(byte)
            begins = byte == 10
    return bytes(told)


@pytest.mark.parametrize("seed", range(5))
def test_any_pieces_give_each_line_the_time_of_its_first_byte(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "BLOCK", 64)
    chance = random.Random(seed)
    contents = [bytes(chance.choices(b"ab\n\xff", k=chance.randint(1, 90))) for _ in range(60)]
    pieces = [(1_767_225_600_000 + 37 * number, chance.randint(0, 1), content) for number, content in enumerate(contents)]
    log = tmp_path / "log"
    size = written(log, pieces)
    assert b"".join(stamped(log, 0, size)) == expected(pieces)
    assert b"".join(stamped(log, 0, size, marks.ERR)) == expected(pieces, marks.ERR)


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(stamped(tmp_path / "log", 0, 10)) == []


def test_a_large_log_is_never_whole_in_memory(tmp_path: Path) -> None:
    log = tmp_path / "log"
    size = written(log, [(1_767_225_600_000, marks.OUT, b"a line of an ordinary length\n" * 1000)] * 700)
    tracemalloc.start()
    try:
        assert sum(len(block) for block in stamped(log, 0, size)) > 40_000_000
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()
