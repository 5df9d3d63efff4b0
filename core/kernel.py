"""prctl(2): what a process may ask of the kernel for itself; and which boot this is. Linux; standard library alone, for the keeper."""

import _ctypes
import os
import signal
import struct

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_PR_CAPBSET_DROP = 24
_M_ARENA_MAX = -8

# The bare C module: importing all of ctypes costs more memory than the rest of the keeper.
_this_program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
_prctl = _ctypes.dlsym(_this_program, "prctl")
_syscall = _ctypes.dlsym(_this_program, "syscall")


def boot_id() -> str:
    """Another one after each start of the machine."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _call(option: int, value: int) -> None:
    if _ctypes.call_function(_prctl, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl({option}, {value}) was refused")


def limit_arenas() -> None:
    """One heap for all OS threads of the process and its children instead of up to eight per processor: less memory, no less speed."""
    mallopt = _ctypes.dlsym(_this_program, "mallopt")
    _ctypes.call_function(mallopt, (_M_ARENA_MAX, 1))


def become_subreaper() -> None:
    """Descendants that lose their parent become our children, so none escapes by forking twice."""
    _call(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """SIGKILL for us when the parent dies; also when it died before this call."""
    _call(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def renounce_privileges() -> None:
    """No set-user-id program gives this process or its children more rights than it has."""
    _call(_PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """Other processes of the same user can no longer read our environment and memory or attach to us."""
    _call(_PR_SET_DUMPABLE, 0)


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """A system call that the C library has no function for; numbers of up to 31 bits, bytes as pointers. -1 for any error."""
    return int(_ctypes.call_function(_syscall, (number, *arguments)))


class _Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "c"


def filter_calls(program: bytes) -> None:
    """Have the kernel judge each of our system calls by this filter (see `engine.host.seccomp`), for good."""
    code = (_Byte * len(program)).from_buffer_copy(program)
    header = struct.pack("=H6xQ", len(program) // 8, _ctypes.addressof(code))
    if _ctypes.call_function(_prctl, (_PR_SET_SECCOMP, _SECCOMP_FILTER, header, 0, 0)) != 0:
        raise OSError("the kernel did not take the filter of system calls")


def bar_capabilities() -> None:
    """No program that we execute will have a capability, though it run as root. Without power over them ourselves: nothing to bar."""
    number = 0
    while _ctypes.call_function(_prctl, (_PR_CAPBSET_DROP, number, 0, 0, 0)) == 0:
        number += 1
