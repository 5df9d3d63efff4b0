"""The platform's side of the keeper: see that there is one, ask it to start a step, tell a supervisor to stop.

(The keeper itself is `engine.host.keeper`.)
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from core import layout
from core.errors import DomainError
from core.interpreter import interpreter
from engine.host import kernel, records

# The keeper is nobody's child: its forebear ends at once, so no worker has to reap it and none that dies takes it along.
_BOOT = "import os, sys; os.fork() and os._exit(0); sys.path.insert(0, sys.argv.pop(1)); from engine.host.keeper import main; main()"
START_SECONDS = 10.0


class KeeperUnavailable(DomainError):
    """The host's keeper does not answer and none could be started."""


def renew_keeper() -> None:
    """At the platform's start: an idle keeper of an earlier start, and so perhaps of an earlier version, makes way for a new one."""
    quit_keeper()
    ensure_keeper()


def ensure_keeper() -> None:
    """Returns when a keeper answers on this host. It belongs to nobody: it outlives whoever started it."""
    if _ask({"do": "ping"}) is not None:
        return
    folder = layout.keeper_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(folder / "errors.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as errors:
        subprocess.run(
            [interpreter(), "-I", "-S", "-c", _BOOT, str(settings.BASE_DIR), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
        )
    deadline = time.monotonic() + START_SECONDS
    while _ask({"do": "ping"}) is None:
        if time.monotonic() > deadline:
            raise KeeperUnavailable(f"The keeper did not start; {folder / 'errors.log'} may say why.")
        time.sleep(0.005)


def start_steps(folders: Sequence[Path]) -> list[str]:
    """Have the steps of these folders supervised; returns what was wrong with each, "" for nothing.

    Asking again for a step that was started changes nothing.
    """
    request = {"do": "start", "folders": [str(folder) for folder in folders]}
    answer = _ask(request)
    if answer is None:
        ensure_keeper()
        answer = _ask(request)
    if answer is None:
        raise KeeperUnavailable("The keeper went away while it was asked.")
    return list(answer)


def quit_keeper() -> None:
    """End the keeper if it supervises nothing."""
    _ask({"do": "quit"})


def stop_step(folder: Path, detail: str) -> None:
    """Have a step ended, one too that is only just being started: the note lies there before its supervisor looks for it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write(str(folder / records.STOP), {"detail": detail})
    supervisor = supervisor_of(folder)
    if supervisor is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGUSR1)


def supervisor_of(folder: Path) -> int | None:
    """The pid of the step's supervisor if it lives. By pid, start time and boot: pids are used again."""
    state = records.read(str(folder / records.SUPERVISOR))
    if not state or state["boot_id"] != kernel.boot_id() or kernel.start_ticks(state["pid"]) != state["start_ticks"]:
        return None
    return int(state["pid"])


def _ask(request: dict[str, Any]) -> Any:
    folder = layout.keeper_folder()
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as connection:
        connection.settimeout(START_SECONDS)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/socket")
            connection.send(json.dumps(request).encode())
            message = connection.recv(65536)
        except OSError:
            return None
        finally:
            os.close(descriptor)
    return json.loads(message) if message else None
