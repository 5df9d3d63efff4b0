"""Reading logs and files of runs: whole, in part, and whatever a script may have put there."""

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from core import layout
from core.errors import NotFound
from events.tail import CHUNK, FAR_BEHIND, Tail, complete_length
from history import files, logs
from history.downloads import log_of


@pytest.fixture
def run(make_run: Any) -> Any:
    return make_run()


def write_log(run: Any, content: bytes) -> Path:
    path = logs.log_path(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tail(run: Any, lines: int) -> bytes:
    with logs.opened(run, logs.tail_offset(run, lines)) as file:
        return file.read()


def test_a_run_that_has_not_started_has_an_empty_log(run: Any) -> None:
    assert (logs.size(run), logs.read(run, 0, 10), tail(run, 5)) == (0, b"", b"")


def test_a_log_is_read_in_parts(run: Any) -> None:
    write_log(run, b"0123456789")
    assert (logs.size(run), logs.read(run, 3, 4), logs.read(run, 8, 100), logs.read(run, 50, 5)) == (10, b"3456", b"89", b"")


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 99, b"a\nb\nc\n"),
        (b"a\n\n\n", 2, b"\n\n"),
        (b"a\n", 0, b""),
        (b"", 3, b""),
        (b"\n", 1, b"\n"),
        (b"no end", 1, b"no end"),
    ],
)
def test_the_last_lines_of_a_log(run: Any, content: bytes, lines: int, expected: bytes) -> None:
    write_log(run, content)
    assert tail(run, lines) == expected


def test_the_last_lines_are_found_across_blocks(run: Any) -> None:
    content = b"".join(b"%06d\n" % number for number in range(100_000))
    write_log(run, content)
    for lines in (1, 9_362, 9_363, 9_364, 50_000, 99_999, 100_000):
        assert logs.tail_offset(run, lines) == len(content) - 7 * lines
    assert tail(run, 2) == b"099998\n099999\n"


def test_a_log_is_sent_up_to_where_it_ended_when_it_was_asked_for(run: Any) -> None:
    path = write_log(run, b"x" * 200_000)
    end = logs.size(run)
    with path.open("ab") as file:
        file.write(b"later")
    answer = log_of(run, 100, end, {})
    assert answer["Content-Length"] == "199900", "and the web server sends no more than it says"
    answer.close()


def test_a_gigabyte_costs_no_memory(run: Any) -> None:
    path = write_log(run, b"")
    with path.open("wb") as file:
        file.truncate(2**30)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    tracemalloc.start()
    try:
        assert tail(run, 1) == b"last\n"
        assert logs.tail_offset(run, 2) == 0
        with logs.opened(run) as file:
            assert sum(len(block) for block in iter(lambda: file.read(65536), b"")) == 2**30 + 6
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()


# The tail that streams read


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (b"abc", 3),
        ("aü".encode(), 3),
        ("aü".encode()[:-1], 1),
        ("a€".encode()[:-1], 1),
        ("a€".encode()[:-2], 1),
        ("a😀".encode(), 5),
        ("a😀".encode()[:-1], 1),
        ("a😀".encode()[:-3], 1),
        (b"a\x80\x80\x80\x80", 5),
        (b"a\xff", 1),
        (b"", 0),
    ],
)
def test_text_is_cut_between_characters(data: bytes, complete: int) -> None:
    assert complete_length(data) == complete


def test_a_tail_reads_chunks_that_end_with_lines(tmp_path: Path) -> None:
    content = b"".join(b"line %d\n" % number for number in range(10_000))
    (tmp_path / "log").write_bytes(content)
    tail = Tail(tmp_path / "log", 0, skip=False)
    pieces = []
    while tail.dirty:
        piece = tail.read()
        assert piece
        assert piece.text.endswith("\n")
        assert len(piece.text) <= CHUNK
        pieces.append(piece)
    assert "".join(piece.text for piece in pieces).encode() == content
    assert tail.read() is None


def test_a_tail_gets_through_a_line_without_end_and_through_binary(tmp_path: Path) -> None:
    content = "€".encode() * 50_000 + os.urandom(100_000)
    (tmp_path / "log").write_bytes(content)
    tail = Tail(tmp_path / "log", 0, skip=False)
    text = ""
    while tail.dirty:
        piece = tail.read(is_final=True)
        assert piece
        text += piece.text
    assert text.startswith("€" * 50_000)
    assert tail.offset == len(content)


def test_a_tail_far_behind_jumps_to_a_line_near_the_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes((b"y" * 999 + b"\n") * 1000)
    tail = Tail(tmp_path / "log", 0, skip=True)
    piece = tail.read()
    assert piece
    assert piece.skipped
    assert piece.text.startswith("y" * 999 + "\n")
    assert piece.offset % 1000 == 0
    assert tail.offset > 1_000_000 - FAR_BEHIND


# Files


@pytest.fixture
def folder(run: Any) -> Path:
    run.output_dir = "hello/2026-01-01"
    run.save(update_fields=["output_dir"])
    path = layout.run_directory(run.output_dir)
    path.mkdir(parents=True)
    return path


def leave(run: Any, folder: Path, path: str, content: bytes = b"content") -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    record(run, path, len(content))


def record(run: Any, path: str, size: int = 0) -> None:
    run.artifacts.create(path=path, size_bytes=size, modified_at=timezone.now())


def test_a_recorded_file_is_opened(run: Any, folder: Path) -> None:
    leave(run, folder, "out/täble.csv", b"a,b\n")
    file, size = files.open_artifact(run, "out/täble.csv")
    with file:
        assert (file.read(), size) == (b"a,b\n", 4)


@pytest.mark.parametrize("trick", ["link", "folder_link", "hard_link", "fifo", "folder", "gone"])
def test_a_file_that_was_swapped_for_something_else_is_not_opened(run: Any, folder: Path, tmp_path: Path, trick: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "out").write_text("secret")
    record(run, "x/out")
    if trick == "folder_link":
        (folder / "x").symlink_to(secret)
    else:
        (folder / "x").mkdir()
        target = folder / "x" / "out"
        tricks: dict[str, Callable[[], None]] = {
            "link": lambda: target.symlink_to(secret / "out"),
            "hard_link": lambda: os.link(secret / "out", target),
            "fifo": lambda: os.mkfifo(target),
            "folder": target.mkdir,
            "gone": lambda: None,
        }
        tricks[trick]()
    with pytest.raises(NotFound):
        files.open_artifact(run, "x/out")
    with zipfile.ZipFile(io.BytesIO(b"".join(files.zip_all(run)))) as archive:
        assert archive.namelist() == []


@pytest.mark.parametrize("path", ["unrecorded", "../../secret", "/etc/passwd", ""])
def test_only_recorded_files_are_opened(run: Any, folder: Path, path: str) -> None:
    (folder / "unrecorded").write_text("x")
    with pytest.raises(NotFound):
        files.open_artifact(run, path)


def test_a_run_that_has_not_started_has_no_zip(run: Any) -> None:
    with pytest.raises(NotFound):
        files.zip_all(run)


def test_the_zip_has_all_files_and_the_log(run: Any, folder: Path) -> None:
    leave(run, folder, "a.txt", b"first")
    leave(run, folder, "deep/b.bin", os.urandom(300_000))
    leave(run, folder, "old", b"before zips were invented")
    os.utime(folder / "old", (0, 0))
    write_log(run, b"log\n")
    with zipfile.ZipFile(io.BytesIO(b"".join(files.zip_all(run)))) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["a.txt", "deep/b.bin", "old", "run.log"]
        assert archive.read("deep/b.bin") == (folder / "deep/b.bin").read_bytes()
        assert archive.read("run.log") == b"log\n"


def test_no_name_in_the_zip_leads_out_of_the_folder_on_windows(run: Any, folder: Path) -> None:
    names = ["..\\..\\evil.exe", "C:evil", "C_evil", "C\\evil", "in\\a:b"]
    for name in names:
        leave(run, folder, name, name.encode())
    with zipfile.ZipFile(io.BytesIO(b"".join(files.zip_all(run)))) as archive:
        found = archive.namelist()
        assert not any(mark in name for name in found for mark in "\\:")
        assert len(set(found)) == len(found) == len(names)
        assert {archive.read(name).decode() for name in found} == set(names)


def test_a_large_zip_is_never_whole_in_memory(run: Any, folder: Path) -> None:
    leave(run, folder, "large", os.urandom(1024 * 1024) * 64)
    tracemalloc.start()
    try:
        assert sum(len(block) for block in files.zip_all(run)) > 60_000_000
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
