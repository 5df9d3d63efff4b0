"""A filter of system calls, assembled by hand: what no script needs and much of what breaks out of sandboxes needs.

Classic BPF over `struct seccomp_data` (see seccomp(2)): number at 0, architecture at 4, the arguments' low halves from 16 on.
"""

import os
import struct
from functools import cache

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _EACCES, _ENOSYS = 1, 13, 38
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 32
# All CLONE_NEW… flags: no namespace of its own, and so no capability in one.
_NEW_NAMESPACES = 0x7E020000
_CLONE3, _X32, _AF_UNIX = 435, 0x40000000, 1

# The same number on every architecture: io_uring (three calls), mounts by descriptor (open_tree … fspick), pidfd_getfd, mount_setattr.
_NEWER = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)
# Architecture by its audit number; then clone, socket, prlimit64, and what is denied.
_MACHINES = {
    "x86_64": (0xC000003E, 56, 41, 302, (
        101, 155, 161, 163, 165, 166, 167, 168, 169, 172, 173, 175, 176, 179, 246, 248, 249, 250, 272, 298, 304, 308, 310, 311, 313,
        320, 321, 323, 103,
    )),
    "aarch64": (0xC00000B7, 220, 198, 261, (
        117, 41, 51, 89, 40, 39, 224, 225, 142, 105, 106, 60, 104, 217, 218, 219, 97, 241, 265, 268, 270, 271, 273, 294, 280, 282, 116,
    )),
}  # fmt: skip


@cache
def program(*, network: bool) -> bytes:
    """The filter for this machine, b"" where its numbers are not known. Without `network` there are sockets within the host alone.

    Denied are ptrace and reading of foreign memory, mounts, namespaces, modules, kexec, bpf, perf, keys, userfaultfd, io_uring, and to
    set the limits of other processes.
    """
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return b""
    audit, clone, socket, limit, denied = machine
    steps = [_step(_LOAD, _ARCHITECTURE), _jump(_EQUAL, audit, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, _NUMBER)]
    # The x32 numbers of x86_64 would be a second door to every call.
    steps += [_jump(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _ERROR | _ENOSYS)]
    # Its flags lie in memory, where no filter sees them; without it the C library takes clone.
    steps += _deny(_CLONE3, _ENOSYS)
    steps += _deny_if(clone, _jump(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _EPERM)
    if not network:
        steps += _deny_if(socket, _jump(_EQUAL, _AF_UNIX, 1, 0), _EACCES)
    steps += _deny_limits_of_others(limit)
    for number in (*denied, *_NEWER):
        steps += _deny(number, _EPERM)
    steps.append(_step(_RETURN, _ALLOW))
    return b"".join(steps)


def _step(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _deny(number: int, error: int) -> list[bytes]:
    return [_jump(_EQUAL, number, 0, 1), _step(_RETURN, _ERROR | error)]


def _deny_if(number: int, test: bytes, error: int) -> list[bytes]:
    """Deny a call by its first argument; `test` skips one step when it is harmless."""
    load, back = _step(_LOAD, _FIRST_ARGUMENT), _step(_LOAD, _NUMBER)
    return [_jump(_EQUAL, number, 0, 4), load, test, _step(_RETURN, _ERROR | error), back]


def _deny_limits_of_others(number: int) -> list[bytes]:
    """prlimit64(pid, which, new, old) with a pid and something new: a second of processor time left is as good as a signal.

    Landlock does not ask, and the kernel lets whoever is the same user. Our own are set with 0 for the pid.
    """
    load, load_more = _step(_LOAD, _THIRD_ARGUMENT), _step(_LOAD, _THIRD_ARGUMENT + 4)
    own = [_step(_LOAD, _FIRST_ARGUMENT), _jump(_EQUAL, 0, 5, 0)]
    nothing_new = [load, _jump(_EQUAL, 0, 0, 2), load_more, _jump(_EQUAL, 0, 1, 0)]
    return [_jump(_EQUAL, number, 0, 8), *own, *nothing_new, _step(_RETURN, _ERROR | _EPERM), _step(_LOAD, _NUMBER)]
