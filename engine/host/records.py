"""The files by which supervisor, keeper and workers tell each other of a step. JSON, replaced whole.

In a step's folder: `spec.json` (what to start, by a worker), `started` (made once: who may start it), `state.json` (who
supervises it), `control` (the supervisor's socket), `stop` (a note that it shall end, in case the word by socket came too
early), `exit.json` (how it ended). A link to the exit record in the host's
`ended` folder tells workers where to look; they take it away once the end is recorded.
"""

import contextlib
import json
import os
from typing import Any

SPEC, STARTED, STATE, CONTROL, STOP, EXIT = "spec.json", "started", "state.json", "control", "stop", "exit.json"


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
    """The content; None when there is no such file."""
    try:
        with open(path) as file:
            content: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return None
    return content


def ended_name(run: int, position: int, attempt: int) -> str:
    return f"{run}.{position}.{attempt}"


def announce_end(folder: str, spec: dict[str, Any], record: dict[str, Any]) -> None:
    """Write the exit record for good, then lay the link that workers look for. Doing it twice is harmless."""
    path = os.path.join(folder, EXIT)
    write(path, record, sync=True)
    os.makedirs(spec["ended_folder"], mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(path, os.path.join(spec["ended_folder"], ended_name(spec["run"], spec["position"], spec["attempt"])))
