"""Is this a script, is this a CSV? Functions over bytes; what is wrong is said by field, with the place."""

import csv
import io
import re
from pathlib import PurePosixPath

from django.conf import settings

from core.errors import InvalidInput, TooLarge, UnsupportedType
from threads.compiling import find_fault

# What may lie beside a script. Modules must be sources: compiled code cannot be read by a person.
EXTRA_TYPES = frozenset(
    ".py .csv .tsv .txt .json .jsonl .yaml .yml .toml .ini .xml .html .md .sql .tmpl .j2".split()  # noqa: SIM905
)
MAX_COLUMNS = 1000
DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*(?:"|$)')


def check_filename(name: str, field: str, allowed: frozenset[str]) -> str:
    """The plain file name; refuses paths, hidden names and types that are not taken."""
    if "/" in name or "\\" in name or name in ("", ".", "..") or name.startswith(".") or not name.isprintable():
        raise InvalidInput.of(field, f"{name!r} is not a plain file name.")
    if len(name) > 100:
        raise InvalidInput.of(field, f"The file's name has {len(name)} characters; the limit is 100.")
    if PurePosixPath(name).suffix.lower() not in allowed:
        raise UnsupportedType.of(field, f"{name!r} is not accepted; use {', '.join(sorted(allowed))}.")
    return name


def check_script(content: bytes, field: str = "script") -> str:
    """The source text; it is UTF-8, not empty, not too large, and compiles."""
    source = decode_source(content, field)
    check_syntax(source, field)
    return source


def decode_source(content: bytes, field: str = "script") -> str:
    """UTF-8 text of a script that may still be unfinished; line ends become `\\n`."""
    if len(content) > settings.MAX_SCRIPT_BYTES:
        raise TooLarge.of(field, f"The script has {len(content):,} bytes; the limit is {settings.MAX_SCRIPT_BYTES:,}.")
    if not content.strip():
        raise InvalidInput.of(field, "The script is empty.")
    if b"\0" in content:
        raise InvalidInput.of(field, "This is a binary file, not Python source.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput.of(field, f"Line {line} is not UTF-8; save the file as UTF-8 and try again.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_syntax(source: str, field: str = "source") -> None:
    """Returns if the source compiles; else InvalidInput with line, column and the compiler's words."""
    if fault := find_fault(source):
        raise InvalidInput.of(field, fault.message)


def check_csv(content: bytes) -> None:
    """Returns if the content is a CSV with a header and rows of its width; else InvalidInput by `input_file` that names the line."""
    if len(content) > settings.MAX_FILE_BYTES:
        raise TooLarge.of("input_file", f"The CSV has {len(content):,} bytes; the limit is {settings.MAX_FILE_BYTES:,}.")
    if not content.strip():
        raise InvalidInput.of("input_file", "The CSV is empty.")
    if b"\0" in content:
        raise InvalidInput.of("input_file", "This is a binary file, not a CSV.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput.of("input_file", f"Line {line} of the CSV is not UTF-8; save it as UTF-8 and try again.") from None
    _check_rows(text)


def _check_rows(text: str) -> None:
    delimiter, spaced = _delimiter(text[:8192])
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=spaced, strict=True)
    try:
        header = next(reader)
        if len(header) > MAX_COLUMNS:
            raise InvalidInput.of("input_file", f"The CSV has {len(header):,} columns; the limit is {MAX_COLUMNS:,}.")
        if any(not name.strip() for name in header):
            raise InvalidInput.of(
                "input_file", f"Column {[bool(name.strip()) for name in header].index(False) + 1} of the CSV's first line has no name."
            )
        for row in reader:
            if row and len(row) != len(header):
                raise InvalidInput.of(
                    "input_file", f"Line {reader.line_num} of the CSV has {len(row)} columns, its first line has {len(header)}."
                )
    except (csv.Error, StopIteration) as error:
        raise InvalidInput.of("input_file", f"Line {reader.line_num} is not CSV: {error}.") from None


def _delimiter(beginning: str) -> tuple[str, bool]:
    """What stands most often in the first line outside of quotes, and whether a space follows it; a comma when nothing does.

    In one pass: `csv.Sniffer` takes seconds for eight kilobytes of quotes.
    """
    line = next(iter(_QUOTED.sub("", beginning).splitlines()), "")
    delimiter = max(DELIMITERS, key=line.count)
    return delimiter, f"{delimiter} " in line
