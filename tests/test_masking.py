"""Secrets in what scripts print: masked in every form, wherever the pipe cuts them."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from core import marks
from core.marks import ERR, OUT, RECORD
from engine.host import records
from engine.host.bars import Bars
from engine.host.masking import MASK, Masker, forms
from engine.host.pump import KEPT_END, Pump
from engine.host.reports import ENDS_ITSELF, last_report
from events.tail import Tail

pytestmark = pytest.mark.once

SECRET = 'pä ss/wörd+"1"'
SECRETS = [SECRET, "abcd", "abcdefgh", "xxab", "-----BEGIN KEY-----\nqwertz\n-----END KEY-----"]


def masked(pieces: list[bytes], secrets: list[str]) -> bytes:
    masker = Masker(secrets)
    return b"".join([*(masker.feed(piece) for piece in pieces), masker.finish()])


@pytest.mark.parametrize("form", sorted(forms(SECRET)))
def test_every_form_is_masked_wherever_it_is_cut(form: bytes) -> None:
    text = b"before " + form + b" after\n"
    for cut in range(len(text) + 1):
        assert masked([text[:cut], text[cut:]], [SECRET]) == b"before " + MASK + b" after\n"
    assert masked([text[at : at + 1] for at in range(len(text))], [SECRET]) == b"before " + MASK + b" after\n"


@pytest.mark.parametrize("before", range(4))
def test_a_secret_within_a_longer_base64_text_is_masked(before: int) -> None:
    token = base64.b64encode(b"u" * before + SECRET.encode() + b":more")
    shown = masked([token[:9], token[9:]], [SECRET])
    assert MASK in shown
    # At each edge at most one character depends on the secret and on its neighbours both.
    assert len(shown) <= len(token) - 4 * len(SECRET.encode()) // 3 + 1 + len(MASK)


def test_the_forms_are_those_of_common_libraries() -> None:
    raw = SECRET.encode()
    expected = [
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        raw.hex(),
        base64.b64encode(raw).decode(),
    ]
    assert {raw, *(word.encode() for word in expected)} <= forms(SECRET)


def test_secrets_that_overlap_leave_no_end_of_one() -> None:
    text = b"1 xxabcd 2 abcdefgh 3 abcd 4 xxabcdefgh 5\n"
    for cut in range(len(text)):
        for other in range(cut, len(text)):
            shown = masked([text[:cut], text[cut:other], text[other:]], SECRETS)
            assert shown == b"1 %b 2 %b 3 %b 4 %b 5\n" % (MASK, MASK, MASK, MASK)


def test_what_a_secret_might_begin_with_is_told_when_it_is_none() -> None:
    masker = Masker(["swordfish"])
    assert masker.feed(b"Your sword") == b"Your "
    assert masker.feed(b" please: ") == b"sword please: "
    assert masker.finish() == b""


def test_a_secret_cut_off_by_the_end_is_masked() -> None:
    assert masked([b"it is swordfis"], ["swordfish"]) == b"it is " + MASK


def test_short_values_are_left_alone() -> None:
    assert masked([b"1 of 10"], ["1", "10", ""]) == b"1 of 10"


def test_a_text_of_its_own_is_masked() -> None:
    assert Masker(["swordfish"]).whole("row 3: swordfish") == f"row 3: {MASK.decode()}"


KEY = "-----BEGIN KEY-----\nMIIEpQIBAAKCAQEA7+/x\nabc\n  0123456789abcdef==\r\n-----END KEY-----\n"


@pytest.mark.parametrize("line", ["MIIEpQIBAAKCAQEA7+/x", "MIIEpQIBAAKCAQEA7%2B%2Fx", "0123456789abcdef=="])
def test_each_line_of_a_secret_is_masked_by_itself(line: str) -> None:
    text = f"read: {line}!\n".encode()
    for cut in range(len(text)):
        assert masked([text[:cut], text[cut:]], [KEY]) == b"read: " + MASK + b"!\n"
    assert Masker([KEY]).whole(line) == MASK.decode()


def test_short_lines_of_a_secret_and_those_every_key_has_are_left_alone() -> None:
    text = b"abc\n-----BEGIN KEY-----\nrest\n"
    assert masked([text], [KEY]) == text
    assert masked([KEY.encode()], [KEY]) == MASK


def test_numbers_and_names_that_hold_a_secret_are_masked() -> None:
    masker, mask = Masker(["0123456", "swordfish", "12", "2.50e3"]), MASK.decode()
    given = {"a-swordfish": 1, "n": [123456, 123456.0, -99012345, 9912, 2500, 2500.0, True, None, 3.5, 12, "x"]}
    assert masker.value(given) == {f"a-{mask}": 1, "n": [mask, mask, -99012345, 9912, mask, mask, True, None, 3.5, 12, "x"]}
    assert Masker(["4711"]).value([14711.5, 4711, -4711, 471, "04711"]) == [mask, mask, mask, 471, f"0{mask}"]
    assert Masker(["0001", "nan", "infinity", "1e999", "x" * 5000]).value([1, True, 0.5]) == [1, True, 0.5]


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        (b'{"share": 0.5, "message": "swordfish"}\n', {"share": 0.5, "message": MASK.decode()}),
        (b'{"share": 7}\n{"share": "x"}\n[1]\nno\n', {"share": 1.0, "message": ""}),
        (b'{"share": null}\n' + ENDS_ITSELF, {"share": None, "message": ""}),
        (b'{"share": NaN}\n{"share": [1]}\n{"message": "x"}\n"share"\n' + b"[" * 50_000, None),
        (b"", None),
    ],
)
def test_the_last_good_report_counts_and_rubbish_is_none(chunk: bytes, told: dict[str, object] | None) -> None:
    assert last_report(chunk, Masker(["swordfish"])) == told


class Written:
    """A pump on a pipe of its own, its log and its marks in files."""

    def __init__(self, folder: Path, *, limit: int = 10_000_000, prefix: bytes = b"", secrets: list[str] | None = None) -> None:
        self.log, self.marks = folder / "log", folder / "log.marks"
        source, self.pipe = os.pipe()
        self.file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pump = Pump(source, self.file, limit, prefix, marks=str(self.marks), masker=Masker(secrets or []))

    def take(self, *chunks: bytes) -> None:
        for chunk in chunks:
            os.write(self.pipe, chunk)
            self.pump.move()

    def told(self) -> list[tuple[int, bytes]]:
        content = self.log.read_bytes()
        return [(stream, content[start : start + size]) for start, _, size, stream in RECORD.iter_unpack(self.marks.read_bytes())]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path)
    yield made
    os.close(made.file)


def test_marks_are_taken_out_wherever_they_are_cut(tmp_path: Path) -> None:
    text = b"one\n\x1b_e\x1b\\bad\n\x1b_o\x1b\\two \x1b[31m\n"
    for cut in range(1, len(text)):
        (folder := tmp_path / str(cut)).mkdir()
        written = Written(folder)
        written.take(text[:cut], text[cut:])
        written.pump.finish()
        assert written.log.read_bytes() == b"one\nbad\ntwo \x1b[31m\n"
        assert [b"".join(piece for at, piece in written.told() if at == stream) for stream in (OUT, ERR)] == [
            b"one\ntwo \x1b[31m\n",
            b"bad\n",
        ]


def test_half_a_mark_at_the_end_is_kept(written: Written) -> None:
    written.take(b"end\x1b_")
    written.pump.finish()
    assert written.log.read_bytes() == b"end\x1b_"


def test_the_end_of_a_log_that_was_cut_is_kept(tmp_path: Path) -> None:
    written = Written(tmp_path, limit=1000)
    line = b"x" * 999 + b"\n"
    written.take(*[line] * 3000, b"\x1b_e\x1b\\ValueError: here\n\x1b_o\x1b\\")
    written.pump.finish()
    content = written.log.read_bytes()
    assert b"[The log was cut here: it reached its limit of 1000 bytes. The script goes on.]\n[" in content
    assert b" bytes are left out here. What follows is the end.]\n" in content
    assert content.endswith(line + b"ValueError: here\n")
    assert KEPT_END <= len(content) < KEPT_END + 70_000
    assert written.told()[-1] == (ERR, b"ValueError: here\n")


def test_lines_of_a_shared_log_bear_a_name_and_no_secret(tmp_path: Path) -> None:
    written = Written(tmp_path, prefix=b"[a] ", secrets=["swordfish"])
    written.take(b"one sword", b"fish\ntwo", b"\n\x1b_e\x1b\\bad\n\x1b_o\x1b\\rest")
    written.pump.finish()
    assert written.log.read_bytes() == b"[a] one %b\n[a] two\n[a] bad\n[a] rest\n" % MASK


def test_readers_and_writers_of_marks_mean_the_same() -> None:
    assert (marks.RECORD.format, marks.OUT, marks.ERR, marks.SUFFIX) == (RECORD.format, OUT, ERR, records.MARKS)


def test_parts_of_a_log_tell_their_stream_without_gaps(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%05d" % number for number in range(2000)))
    # Two steps that wrote side by side: each pair's marks in the wrong order; every tenth piece has none.
    told = [(5 * number, 1_000 + number, 5, number % 3 == 0) for number in range(2000) if number % 10]
    swapped = [told[at ^ 1] for at in range(len(told))]
    (tmp_path / "log.marks").write_bytes(b"".join(RECORD.pack(*record) for record in swapped) + b"half a record")
    for start, end in [(0, 10_000), (3, 17), (4_999, 5_001), (9_000, 10_000), (77, 77)]:
        found = marks.between(log, start, end)
        assert [mark.start for mark in found] == ([start] if end > start else []) + [mark.end for mark in found[:-1]]
        assert not found or found[-1].end == end
        for mark in found:
            number = mark.start // 5
            assert mark.stream == (ERR if number % 10 and number % 3 == 0 else OUT)
    errors = b"".join(marks.of_stream(log, ERR, 0, 10_000))
    assert errors == b"".join(b"%05d" % number for number in range(2000) if number % 10 and number % 3 == 0)
    assert len(errors) + len(b"".join(marks.of_stream(log, OUT, 0, 10_000))) == 10_000


def test_a_page_is_told_the_stream_of_each_part_as_browsers_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes("a😀\nbä\n".encode())
    (tmp_path / "log.marks").write_bytes(RECORD.pack(0, 5, 6, OUT) + RECORD.pack(6, 7, 4, ERR))
    piece = Tail(log, 0, skip=True).read()
    assert piece is not None
    assert piece.parts == [(4, OUT, 5), (3, ERR, 7)]


@pytest.mark.parametrize(
    ("piece", "share"),
    [
        (b"\r  7%|#    | 7/100 [00:01<00:13]", 0.07),
        (b"\rpages:  40%|####      | 4/10\rpages:  50%|#####     | 5/10", 0.5),
        (b"\x1b_e\x1b\\\r100%|##########| 10/10\x1b_o\x1b\\", 1.0),
        (b"done 7%| of all\n", None),
        (b"\rno bar\n 7%|", None),
    ],
)
def test_a_bar_in_the_output_tells_the_progress(piece: bytes, share: float | None) -> None:
    bars = Bars()
    assert (bars.look(piece), bars.share) == (share is not None, share)
    assert not bars.look(piece)
