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


def write_atomic(path: Path, content: bytes) -> None:
    """After this the file has the whole content, on disk, or what it had before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class UnsafeFile(OSError):
    """A path of a script's directory that leads out of it, or is no plain file of its own."""


def open_beneath(root: Path, relative: str) -> int:
    """A descriptor for reading a regular file below `root`, through no link of any kind.

    `root` is a folder of the platform's; everything below may be a script's. Refuses symbolic links, `..`, hard links
    (a file of somebody else could be one), devices, sockets and FIFOs.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _open_at(folder, relative, os.O_NONBLOCK)
    finally:
        os.close(folder)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise UnsafeFile(errno.EINVAL, "not a plain file of its own", relative)
    return descriptor


def plain_files(root: Path, below: str, most: int) -> list[tuple[str, os.stat_result]]:
    """At most `most` regular files of the directory `below` of `root`, paths relative to it, by path; no link is followed.

    What cannot be read is left out: a path too long for the kernel, a directory without permission, one that is gone.
    """
    found: list[tuple[str, os.stat_result]] = []
    base = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    pending = [""]
    try:
        while pending and len(found) < most:
            folder = pending.pop()
            try:
                found += _files_of(base, below, folder, pending)
            except OSError:
                continue
    finally:
        os.close(base)
    return sorted(found[:most], key=lambda file: file[0])


def _files_of(base: int, below: str, folder: str, pending: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files directly in a folder, but those that have a second name, which may be anybody's; its subfolders go to `pending`."""
    descriptor = _open_at(base, f"{below}/{folder}" if folder else below, os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                relative = f"{folder}/{entry.name}" if folder else entry.name
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(relative)
                elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                    yield relative, status
    finally:
        os.close(descriptor)


def _open_at(folder: int, relative: str, flags: int) -> int:
    """openat2(2): no one can swap a directory for a link between the look and the opening."""
    how = struct.pack("QQQ", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    descriptor: int = _libc.syscall(_SYS_OPENAT2, folder, os.fsencode(relative), how, ctypes.c_size_t(len(how)))
    if descriptor < 0:
        number = ctypes.get_errno()
        kind = FileNotFoundError if number == errno.ENOENT else UnsafeFile
        raise kind(number, os.strerror(number), relative)
    return descriptor
