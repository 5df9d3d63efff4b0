"""The platform's side of the keeper: see that there is one, ask it to start a step, tell a supervisor to stop.

(The keeper itself is `engine.host.keeper`.)
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from core import layout
from core.errors import DomainError
from core.interpreter import interpreter
from core.kernel import boot_id
from engine.host import kernel, records

# The keeper is nobody's child: its forebear ends at once, so no worker has to reap it and none that dies takes it along.
_BOOT = "import os, sys; os.fork() and os._exit(0); sys.path.insert(0, sys.argv.pop(1)); from engine.host.keeper import main; main()"
START_SECONDS, BOOT_SECONDS, ANSWER_SECONDS = 10.0, 0.5, 5.0
# A request is one message; with long paths a few hundred folders would not fit.
BATCH = 50
# Of secrets in it; those of one step may have as many (see `threads.variables`).
BATCH_BYTES = 130_000


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
    _end_one_that_hangs()
    deadline = time.monotonic() + START_SECONDS
    while True:
        _boot()
        pause = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < pause:
            if _ask({"do": "ping"}) is not None:
                return
            time.sleep(0.005)
        if time.monotonic() > deadline:
            raise KeeperUnavailable(f"The keeper did not start; {layout.keeper_folder() / 'errors.log'} may say why")


def _boot() -> None:
    """Start a keeper; it ends at once if another holds the lock."""
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


def _end_one_that_hangs() -> None:
    """A keeper that holds the lock and does not answer, stopped by a script perhaps, makes way; its supervisors do not need it."""
    try:
        lock = os.open(layout.keeper_folder() / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode()
        if pid.isdigit():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    finally:
        os.close(lock)


@dataclass(frozen=True, slots=True)
class Start:
    """A step to be started, by its folder. Its secrets go to the keeper by word of mouth: they lie on no disk."""

    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """At most so many bytes it takes in a request: quotes, backslashes and line breaks take two."""
        return sum(len(name) + 2 * len(value.encode()) + 10 for name, value in self.secrets.items())


def start_steps(starts: Sequence[Start]) -> list[str]:
    """Have these steps supervised; returns what was wrong with each, "" for nothing.

    Asking again for a step that was started changes nothing.
    """
    faults: list[str] = []
    for part in _batches(starts):
        request: dict[str, Any] = {"do": "start", "folders": [str(start.folder) for start in part]}
        if secrets := {str(start.folder): start.secrets for start in part if start.secrets}:
            request["secrets"] = secrets
        answer = _ask(request)
        if answer is None:
            ensure_keeper()
            answer = _ask(request)
        faults += answer if answer is not None else ["the keeper went away while it was asked"] * len(part)
    return faults


def _batches(starts: Sequence[Start]) -> Iterator[list[Start]]:
    """A request is one message, which the kernel takes up to 200 KB long."""
    part: list[Start] = []
    size = 0
    for start in starts:
        if part and (len(part) == BATCH or size + start.size > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(start)
        size += start.size
    if part:
        yield part


def quit_keeper() -> None:
    """End the keeper if it supervises nothing."""
    _ask({"do": "quit"})


def stop_step(folder: Path, detail: str) -> None:
    """Have a step ended, one too that is only just being started: the note lies there before its supervisor looks for it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write(str(folder / records.STOP), {"detail": detail})
    _wake(folder)


def pause_step(folder: Path, *, is_paused: bool) -> None:
    """Have a step stand still or go on: it does so as long as the note lies there, whoever of the platform dies meanwhile."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if is_paused:
        records.write(str(folder / records.PAUSE), {})
    else:
        (folder / records.PAUSE).unlink(missing_ok=True)
    _wake(folder)


def _wake(folder: Path) -> None:
    """There is news for the step's supervisor."""
    supervisor = supervisor_of(folder)
    if supervisor is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGCONT)
            os.kill(supervisor, signal.SIGUSR1)


def supervisor_of(folder: Path) -> int | None:
    """The pid of the step's supervisor if it lives. By pid, start time and boot: pids are used again."""
    state = records.read(str(folder / records.SUPERVISOR))
    if not state or state["boot_id"] != boot_id() or kernel.start_ticks(state["pid"]) != state["start_ticks"]:
        return None
    return int(state["pid"])


def _ask(request: dict[str, Any]) -> Any:
    folder = layout.keeper_folder()
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/socket")
            order = {"key": _key(descriptor), **request}
            connection.send(json.dumps(order, ensure_ascii=False).encode(errors="surrogatepass"))
            message = connection.recv(65536)
        except OSError:
            return None
        finally:
            os.close(descriptor)
    return json.loads(message) if message else None


def _key(folder: int) -> str:
    """What the keeper knows us by. Read each time: each keeper makes another. One of an earlier version has none and asks for none."""
    try:
        descriptor = os.open("key", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return ""
    with open(descriptor) as file:
        return file.read()
