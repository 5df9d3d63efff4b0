"""Landlock (Linux 5.13 and newer): a process gives up, for itself and all it starts, files beyond those named, and more by version.

Needs no privilege and works inside default containers. Version 4 knows TCP, version 6 signals and abstract sockets.
"""

import contextlib
import os
import stat
import struct

from core.kernel import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_FOLDER = 1, 4, 8
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
# What makes sense on something that is no folder: execute, write, read, truncate, ioctl.
_ON_FILES = _EXECUTE | 2 | _READ_FILE | 1 << 14 | 1 << 15
_ALL_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_NEWEST_RIGHTS = (1 << 16) - 1
_TCP, _SCOPES = 3, 3
TCP_SINCE, SCOPES_SINCE = 4, 6


def version() -> int:
    """0 where there is none."""
    return max(0, syscall(_CREATE, None, 0, _VERSION_FLAG))


def ruleset(readable: list[str], writable: list[str], *, network: bool) -> int:
    """A descriptor of rules: read and execute below `readable`, all below `writable`. What is missing of these is left out."""
    level = version()
    rights = _ALL_RIGHTS.get(level, _NEWEST_RIGHTS)
    denied_net = _TCP if not network and level >= TCP_SINCE else 0
    attributes = struct.pack("=QQQ", rights, denied_net, _SCOPES)[: 24 if level >= SCOPES_SINCE else 16 if level >= TCP_SINCE else 8]
    rules = syscall(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        raise OSError("the kernel made no Landlock rules")
    for paths, allowed in ((readable, _READ), (writable, rights)):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                _allow(rules, path, allowed & rights)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _ON_FILES
    if syscall(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0) < 0:
        raise OSError(f"Landlock took no rule for {path}")
    os.close(descriptor)


def restrict(rules: int) -> None:
    """For good. Needs that privileges were renounced."""
    if syscall(_RESTRICT, rules, 0) < 0:
        raise OSError("the kernel did not take the Landlock rules")
    os.close(rules)
