"""The files by which supervisor, keeper and workers tell each other of a step. JSON, replaced whole.

In a step's folder: `spec.json` (what to start, by a worker), `supervisor.json` (made once and never again, by the keeper:
so a step is started once; filled by the supervisor: who it is), `stop.json` (a note that it shall end), `pause.json` (a
note that it shall stand still as long as the note lies there), `resources.json` (what it used over time), `exit.json` (how
it ended). Spec and exit record bear the run's claim: what was left by a database that is gone is not taken for this one's.
A link in the host's `running` folder says that a step is supervised; one in its `ended` folder tells workers of an end.
"""

import json
import os
from typing import Any

from core.doorbell import ring

# The first is heard by a worker that is at work and stays for more, the second by the pusher.
DRAIN_BELL, QUEUE_BELL = "drain", "queue"

# Added to the name of a log: the file that tells stream and time of its pieces.
MARKS = ".marks"

SPEC, SUPERVISOR, STOP, PAUSE, RESOURCES, EXIT = "spec.json", "supervisor.json", "stop.json", "pause.json", "resources.json", "exit.json"


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
    """The content, {} of a file that is empty or damaged; None when there is no such file."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read() or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def step_name(run: int, position: int, attempt: int) -> str:
    """How a step is called in the `ended` and `running` folders."""
    return f"{run}.{position}.{attempt}"


def run_of(name: str) -> int | None:
    """The run of a name in these folders; None for what is none of ours."""
    parts = name.split(".")
    is_ours = len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts)
    return int(parts[0]) if is_ours else None


def announce_start(folder: str, running_folder: str, name: str) -> None:
    try:
        os.symlink(folder, os.path.join(running_folder, name))
    except FileExistsError:
        pass


def announce_end(folder: str, spec: dict[str, Any], record: dict[str, Any]) -> None:
    """Write the exit record for good, then lay the link that workers look for. Doing it twice is harmless."""
    path = os.path.join(folder, EXIT)
    write(path, record, sync=True)
    name = step_name(spec["run"], spec["position"], spec["attempt"])
    try:
        os.symlink(path, os.path.join(spec["ended_folder"], name))
    except FileExistsError:
        pass
    try:
        os.unlink(os.path.join(spec["running_folder"], name))
    except FileNotFoundError:
        pass


def ring_end(bells: str) -> None:
    """Tell the worker that is at work on this host, or the pusher so that one is, that a step has ended."""
    if not ring(bells, DRAIN_BELL, b"end"):
        ring(bells, QUEUE_BELL, b"end")
