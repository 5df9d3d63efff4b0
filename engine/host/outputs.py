"""What a script has put out by `threadkit.output`: lines of JSON that it left in its directory, so nothing to trust.

Its supervisor reads them when the script is over, for it alone knows the secrets that the script was given: the record has the
values without them.
"""

import json
import os
import re
import stat
import struct
from typing import Any

from core.kernel import syscall
from core.plain import first_fault
from engine.host.masking import Masker

MAX_BYTES = 50_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OPENAT2, _NO_SYMLINKS, _BENEATH = 437, 4, 8


def read_outputs(directory: str, path: str, masker: Masker) -> dict[str, Any]:
    """The values by name, the last of each; `path` is below `directory`. What cannot be kept is left out.

    A name that holds a secret has the mask in its place: so it is seen, and no parameter can refer to it.
    """
    try:
        content = _read_plain(directory, path)
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for line in content.splitlines():
        found.update(_read(line))
    return masker.value(found) if found else {}


def _read(line: bytes) -> dict[str, Any]:
    try:
        name, value = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return {}
    is_good = isinstance(name, str) and _NAME.fullmatch(name) and not first_fault(value)
    return {name: value} if is_good else {}


def _read_plain(directory: str, path: str) -> bytes:
    """The beginning of a regular file with one name; OSError for all else: a script may have laid a link, a FIFO, a device there."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        how = struct.pack("QQQ", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0, _NO_SYMLINKS | _BENEATH)
        descriptor = syscall(_OPENAT2, folder, os.fsencode(path), how, len(how))
    finally:
        os.close(folder)
    if descriptor < 0:
        raise FileNotFoundError(path)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError("not a plain file of its own")
        return file.read(MAX_BYTES)
