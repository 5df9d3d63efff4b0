"""Starts one script as a supervisor would, for the canary: reads a spec, prints what became of it. A process of its own."""

import json
import os
import select
import signal
import sys
import time
from typing import Any

from core.kernel import become_subreaper, hide_memory, renounce_privileges
from engine.host import kernel
from engine.host.launch import spawn

MOST_BYTES = 65536


def main() -> None:
    """Prints `{"status": exit status, None when it could not be started or took too long, "output": text}`.

    The script learns our pid: in us it finds a process of the platform that it must not reach.
    """
    spec = json.load(sys.stdin)
    hide_memory()
    become_subreaper()
    renounce_privileges()
    spec["argv"].append(str(os.getpid()))
    print(json.dumps(_run(spec, spec["seconds"])))


def _run(spec: dict[str, Any], seconds: float) -> dict[str, Any]:
    output, output_end = os.pipe2(os.O_CLOEXEC)
    _, progress_end = os.pipe2(os.O_CLOEXEC)
    try:
        child = spawn(spec, output_end, progress_end)
    except OSError as error:
        return {"status": None, "output": str(error)}
    os.close(output_end)
    said = _read(output, time.monotonic() + seconds)
    if said is None:
        kernel.signal_all(list(kernel.descendants(os.getpid())), signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"status": status if said is not None else None, "output": said or "it took too long"}


def _read(source: int, until: float) -> str | None:
    """All that is printed, None when it does not end in time."""
    text = b""
    while select.select([source], [], [], max(0.0, until - time.monotonic()))[0]:
        chunk = os.read(source, MOST_BYTES)
        if not chunk:
            return text.decode(errors="replace")
        text = (text + chunk)[:MOST_BYTES]
    return None
