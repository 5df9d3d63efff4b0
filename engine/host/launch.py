"""The moment between fork and exec: the script's process gets its limits, loses its rights and becomes the script."""

import os
import resource
import signal
from typing import Any

from engine.host import kernel


def spawn(spec: dict[str, Any], output: int, progress: int) -> tuple[int, str]:
    """Start the script; returns its pid and what went wrong before it could start, "" when nothing did.

    `output` becomes its standard output and error, `progress` stays open under its own number.
    """
    fault_read, fault_write = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _prepare(spec, parent, output, progress)
            os.execve(spec["argv"][0], spec["argv"], spec["environment"])
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not return into the supervisor's code
            os.write(fault_write, str(error).encode()[:500] or b"unknown fault")
        os._exit(127)
    os.close(fault_write)
    # The pipe closes by itself at a successful exec.
    fault = os.read(fault_read, 1000).decode(errors="replace")
    os.close(fault_read)
    return pid, fault


def _prepare(spec: dict[str, Any], parent: int, output: int, progress: int) -> None:
    kernel.die_with_parent(parent)
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.set_inheritable(progress, True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    for name, value in spec["limits"].items():
        _limit(getattr(resource, name), value)
    os.umask(0o077)
    os.chdir(spec["directory"])
    kernel.renounce_privileges()


def _limit(which: int, value: int) -> None:
    """Lower a limit for good, never above what we may give."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))
