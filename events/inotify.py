"""inotify(7) on folders by ctypes: one descriptor for all, no thread, no dependency."""

import contextlib
import ctypes
import os
import struct
from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_ONLYDIR = 0x2, 0x80, 0x100, 0x01000000
IN_Q_OVERFLOW, IN_IGNORED = 0x4000, 0x8000
_HEAD = struct.Struct("iIII")


class Inotify:
    """OSError from the constructor and `watch` where the system has none, or no more."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self.descriptor

    def watch(self, folder: Path) -> int:
        """A number for changes of files directly in `folder`; the same folder gives the same number."""
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_ONLYDIR
        return self._checked(self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), mask))

    def unwatch(self, number: int) -> None:
        self._libc.inotify_rm_watch(self.descriptor, number)

    def read(self) -> set[tuple[int, int, str]]:
        """All that changed since the last call: number, mask, file name; merged. Never blocks."""
        found = set()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, 65536):
                position = 0
                while position < len(data):
                    number, mask, _, length = _HEAD.unpack_from(data, position)
                    position += _HEAD.size
                    name = data[position : position + length].rstrip(b"\0")
                    found.add((number, mask, os.fsdecode(name)))
                    position += length
        return found

    def close(self) -> None:
        os.close(self.descriptor)

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
