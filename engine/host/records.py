"""The files by which supervisor, keeper and workers tell each other of a step. JSON, replaced whole.

In a step's folder: `spec.json` (what to start, by a worker), `supervisor.json` (made once and never again, by the keeper:
so a step is started once; filled by the supervisor: who it is), `stop.json` (a note that it shall end), `exit.json` (how
it ended). A link to the exit record in the host's
`ended` folder tells workers where to look; they take it away once the end is recorded.
"""

import json
import os
from typing import Any

from core.doorbell import ring

# The first is heard by a worker that is at work and stays for more, the second by the pusher.
DRAIN_BELL, QUEUE_BELL = "drain", "queue"

SPEC, SUPERVISOR, STOP, EXIT = "spec.json", "supervisor.json", "stop.json", "exit.json"


def write(path: str, content: dict[str, Any], *, sync: bool = False) -> None:
    """The file has the whole content afterwards or what it had before; with `sync` that holds through a power cut."""
    temporary = f"{path}.new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(content, file)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, path)


def read(path: str) -> dict[str, Any] | None:
    """The content, {} of a file that is still empty; None when there is no such file."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    content: dict[str, Any] = json.loads(text) if text else {}
    return content


def ended_name(run: int, position: int, attempt: int) -> str:
    return f"{run}.{position}.{attempt}"


def announce_end(folder: str, spec: dict[str, Any], record: dict[str, Any]) -> None:
    """Write the exit record for good, then lay the link that workers look for. Doing it twice is harmless."""
    path = os.path.join(folder, EXIT)
    write(path, record, sync=True)
    try:
        os.symlink(path, os.path.join(spec["ended_folder"], ended_name(spec["run"], spec["position"], spec["attempt"])))
    except FileExistsError:
        pass


def ring_end(bells: str) -> None:
    """Tell the worker that is at work on this host, or the pusher so that one is, that a step has ended."""
    if not ring(bells, DRAIN_BELL, b"end"):
        ring(bells, QUEUE_BELL, b"end")
