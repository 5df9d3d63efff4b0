"""The start of a script that confines itself first: another user, Landlock, the filter of system calls. Then it is the script."""

import os
import signal
from typing import Any

from core import kernel
from engine.host import landlock, seccomp


def spawn_confined(spec: dict[str, Any], output: int, default_signals: tuple[int, ...]) -> int:
    """Returns the script's pid; OSError says what could not be done, and then nothing was started."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            _become(spec, output, default_signals)
        except BaseException as error:
            os.write(writing, str(error).encode()[:4000])
        finally:
            os._exit(127)
    os.close(writing)
    # Closed by the start of the script.
    fault = os.read(reading, 4096)
    os.close(reading)
    if fault:
        os.waitpid(pid, 0)
        raise OSError(fault.decode(errors="replace"))
    return pid


def _become(spec: dict[str, Any], output: int, default_signals: tuple[int, ...]) -> None:
    how = spec["isolation"]
    os.setsid()
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for standard in (1, 2):
        os.dup2(output, standard)
    # Opened before the user is another, who may not reach them.
    rules = landlock.ruleset(how["readable"], how["writable"], network=how["network"]) if how["landlock"] else None
    if how["user"] is not None:
        _become_user(how["user"])
    kernel.renounce_privileges()
    if os.geteuid() == 0:
        kernel.bar_capabilities()
    if rules is not None:
        landlock.restrict(rules)
    for number in default_signals:
        signal.signal(number, signal.SIG_DFL)
    if program := seccomp.program(network=how["network"]):
        kernel.filter_calls(program)
    os.execve(spec["argv"][0], spec["argv"], spec["environment"])


def _become_user(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
