"""Files as somebody sent them: read within their limits, checked, kept.

Nothing here asks the database: compiling, reading a CSV, SHA-256 and the disk take their time before a transaction
begins, for while one goes on no other can write (SQLite).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from core.errors import InvalidInput, TooLarge
from threads import blobs
from threads.checks import EXTRA_TYPES, check_csv, check_filename, check_script, check_syntax, decode_source
from threads.models import FileRole, ThreadVersion

FIRST_FILENAME = "main.py"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as somebody sent it."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that passed its checks and is stored."""

    role: FileRole
    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Content:
    """What a thread is given, checked and stored. None, and no files: it keeps what it has."""

    source: str | None = None
    filename: str | None = None
    files: tuple[CheckedFile, ...] = ()


def read_uploads(
    script: "UploadedFile[Any] | None", input_file: "UploadedFile[Any] | None", files: Sequence["UploadedFile[Any]"]
) -> dict[str, Any]:
    """`script`, `input_file` and `extra_files` as the services take them; TooLarge by field before a large one is read."""
    _check_count(len(files))
    return {
        "script": _read(script, "script", settings.MAX_SCRIPT_BYTES),
        "input_file": _read(input_file, "input_file", settings.MAX_FILE_BYTES),
        "extra_files": [_read(file, "files", settings.MAX_FILE_BYTES) for file in files],
    }


def _read(file: "UploadedFile[Any] | None", field: str, most: int) -> Upload | None:
    if file is None:
        return None
    if (file.size or 0) > most:
        raise TooLarge.of(field, f"{file.name} has {file.size:,} bytes; the limit is {most:,}.")
    return Upload(name=file.name or "", content=file.read())


def name_from(script: Upload) -> str:
    """What a thread is called that was given no name: `weekly_report.py` becomes "weekly report"."""
    return PurePosixPath(script.name).stem.replace("_", " ")


def check_content(
    source: str | None = None, script: Upload | None = None, input_file: Upload | None = None, extra_files: Sequence[Upload] = ()
) -> Content:
    """All that was sent; InvalidInput by field for what cannot be used."""
    _check_count(len(extra_files))
    text, filename = source, None
    if script is not None:
        if source is not None:
            raise InvalidInput.of("source", "Send the script as a file or as text, not both.")
        filename = check_filename(script.name, "script", frozenset({".py"}))
        text = check_script(script.content)
    elif source is not None:
        text = decode_source(source.encode("utf-8", "surrogatepass"), "source")
        check_syntax(text, "source")
    files = [_input(input_file)] if input_file else []
    return Content(text, filename, (*files, *map(_extra, extra_files)))


def _input(upload: Upload) -> CheckedFile:
    check_filename(upload.name, "input_file", frozenset({".csv"}))
    check_csv(upload.content)
    return _stored(FileRole.INPUT, upload)


def _extra(upload: Upload) -> CheckedFile:
    check_filename(upload.name, "files", EXTRA_TYPES)
    if upload.name.lower().endswith(".py"):
        if upload.content.strip():  # An empty __init__.py is a good module.
            check_script(upload.content, "files")
    elif len(upload.content) > settings.MAX_FILE_BYTES:
        raise TooLarge.of("files", f"{upload.name} has {len(upload.content):,} bytes; the limit is {settings.MAX_FILE_BYTES:,}.")
    return _stored(FileRole.EXTRA, upload)


def _stored(role: FileRole, upload: Upload) -> CheckedFile:
    return CheckedFile(role=role, path=upload.name, digest=blobs.store(upload.content), size_bytes=len(upload.content))


def files_of(version: ThreadVersion | None) -> list[CheckedFile]:
    """The files of a version as a new one may take them over."""
    if version is None:
        return []
    return [CheckedFile(FileRole(file.role), file.path, file.digest, file.size_bytes) for file in version.files.all()]


def laid_together(
    filename: str, kept: Iterable[CheckedFile], given: Sequence[CheckedFile], remove: Iterable[str] = ()
) -> list[CheckedFile]:
    """The files beside `filename`: those that stay, without what is removed or replaced by name or as the input, and the given."""
    names = [filename, *(file.path for file in given)]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput.of("files", f"Two files have the name {', '.join(doubled)}.")
    gone = {*names, *remove}
    has_input = any(file.role is FileRole.INPUT for file in given)
    files = [file for file in kept if file.path not in gone and not (has_input and file.role is FileRole.INPUT)]
    _check_count(len(files) + len(given))
    return [*files, *given]


def _check_count(count: int) -> None:
    if count > settings.MAX_FILES:
        raise InvalidInput.of("files", f"A thread has at most {settings.MAX_FILES} files.")
