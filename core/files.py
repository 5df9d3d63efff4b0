"""Files that are written whole or not at all, and files of scripts that are opened without being led astray."""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_SYS_OPENAT2 = 437
_RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 4, 8


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """After this the file has the whole content, on disk, or what it had before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class UnsafeFile(OSError):
    """A path of a script's directory that leads out of it, or is no plain file of its own."""


def open_beneath(root: Path, relative: str) -> int:
    """A descriptor for reading a regular file below `root`, through no link of any kind.

    Refuses symbolic links, `..`, hard links (a file of somebody else could be one), devices, sockets and FIFOs.
    openat2(2), so that no one can swap a directory for a link in between.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = struct.pack("QQQ", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
        descriptor: int = _libc.syscall(_SYS_OPENAT2, folder, os.fsencode(relative), how, ctypes.c_size_t(len(how)))
        if descriptor < 0:
            number = ctypes.get_errno()
            if number == errno.ENOENT:
                raise FileNotFoundError(number, os.strerror(number), relative)
            raise UnsafeFile(number, os.strerror(number), relative)
    finally:
        os.close(folder)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise UnsafeFile(errno.EINVAL, "not a plain file of its own", relative)
    return descriptor


def plain_files(root: Path, most: int) -> Iterator[tuple[str, os.stat_result]]:
    """At most `most` regular files below `root` with their status, links not followed; a missing root has none."""
    found = 0
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                pending.append(relative)
            elif stat.S_ISREG(status.st_mode):
                if found == most:
                    return
                found += 1
                yield relative, status
