"""Is this a script, is this a CSV? Pure functions over bytes; what is wrong is said by field, with the place."""

import csv
import io
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.conf import settings

from core.errors import InvalidInput, TooLarge, UnsupportedType

# What may lie beside a script. Modules must be sources: compiled code cannot be read by a person.
EXTRA_TYPES = frozenset(
    ".py .csv .tsv .txt .json .jsonl .yaml .yml .toml .ini .xml .html .md .sql .tmpl .j2".split()  # noqa: SIM905
)
MAX_COLUMNS = 1000


def check_filename(name: str, field: str, allowed: frozenset[str]) -> str:
    """The plain file name; refuses paths, hidden names and types that are not taken."""
    if "/" in name or "\\" in name or name in ("", ".", "..") or name.startswith(".") or not name.isprintable():
        raise InvalidInput.of(field, f"{name!r} is not a plain file name.")
    if len(name) > 100:
        raise InvalidInput.of(field, f"The file's name has {len(name)} characters; 100 are the most.")
    if PurePosixPath(name).suffix.lower() not in allowed:
        raise UnsupportedType.of(field, f"{name!r} is not taken here; use {', '.join(sorted(allowed))}.")
    return name


def check_script(content: bytes, field: str = "script") -> str:
    """The source text; it is UTF-8, not empty, not too large, and compiles."""
    source = decode_source(content, field)
    check_syntax(source, field)
    return source


def decode_source(content: bytes, field: str = "script") -> str:
    """UTF-8 text of a script that may still be unfinished; line ends become `\\n`."""
    if len(content) > settings.MAX_SCRIPT_BYTES:
        raise TooLarge.of(field, f"The script has {len(content):,} bytes; {settings.MAX_SCRIPT_BYTES:,} are the most.")
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


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """Why a source does not compile, and where, if the compiler could tell; `message` is a sentence that names the place."""

    message: str
    line: int | None = None
    column: int | None = None


def find_fault(source: str) -> SyntaxFault | None:
    """What keeps the source from compiling, None when nothing does."""
    if not source.strip():
        return SyntaxFault("The script is empty.")
    if "\0" in source:
        return SyntaxFault("The script has a NUL character in it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f"Line {error.lineno}" + (f", column {error.offset}" if error.offset else "") if error.lineno else "The script"
        return SyntaxFault(f"{place} does not compile: {error.msg}.", error.lineno, error.offset)
    except (RecursionError, MemoryError):
        return SyntaxFault("The script is nested too deeply to compile.")
    except (ValueError, OverflowError) as error:
        return SyntaxFault(f"The script does not compile: {error}.")
    return None


def check_syntax(source: str, field: str = "source") -> None:
    """Returns if the source compiles; else InvalidInput with line, column and the compiler's words."""
    if fault := find_fault(source):
        raise InvalidInput.of(field, fault.message)


def check_csv(content: bytes, field: str = "input_file") -> None:
    """Returns if the content is a CSV with a header and rows of its width; else InvalidInput that names the line."""
    if len(content) > settings.MAX_FILE_BYTES:
        raise TooLarge.of(field, f"The CSV has {len(content):,} bytes; {settings.MAX_FILE_BYTES:,} are the most.")
    if not content.strip():
        raise InvalidInput.of(field, "The CSV is empty.")
    if b"\0" in content:
        raise InvalidInput.of(field, "This is a binary file, not a CSV.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput.of(field, f"Line {line} of the CSV is not UTF-8; save it as UTF-8 and try again.") from None
    _check_rows(text, field)


def _check_rows(text: str, field: str) -> None:
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = "excel"  # One column: there is no delimiter to find.
    reader = csv.reader(io.StringIO(text), dialect, strict=True)
    try:
        header = next(reader)
        if len(header) > MAX_COLUMNS:
            raise InvalidInput.of(field, f"The CSV has {len(header):,} columns; {MAX_COLUMNS:,} are the most.")
        if any(not name.strip() for name in header):
            raise InvalidInput.of(
                field, f"Column {[bool(name.strip()) for name in header].index(False) + 1} of the CSV's first line has no name."
            )
        for row in reader:
            if row and len(row) != len(header):
                raise InvalidInput.of(field, f"Line {reader.line_num} of the CSV has {len(row)} columns, its first line has {len(header)}.")
    except (csv.Error, StopIteration) as error:
        raise InvalidInput.of(field, f"Line {reader.line_num} is not CSV: {error}.") from None
