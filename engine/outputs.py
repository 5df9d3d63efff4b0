"""What a step has put out by `threadkit.output`: lines of JSON that its script left in the run's directory, so nothing to trust."""

import json
import re
from typing import Any

from core import layout
from core.files import open_beneath
from core.plain import first_fault
from history.models import StepRun

MAX_BYTES = 50_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def outputs_of(step: StepRun) -> dict[str, Any]:
    """The values by name, the last of each; what cannot be kept is left out. Empty when there is none."""
    path = f"{step.run.output_dir}/{layout.STATE}/{step.position}-{step.safe_name}/outputs-{step.attempt}"
    try:
        descriptor = open_beneath(layout.runs_folder(), path)
    except OSError:
        return {}
    with open(descriptor, "rb") as file:
        lines = file.read(MAX_BYTES).splitlines()
    found: dict[str, Any] = {}
    for line in lines:
        found.update(_read(line))
    return found


def _read(line: bytes) -> dict[str, Any]:
    try:
        name, value = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return {}
    is_good = isinstance(name, str) and _NAME.fullmatch(name) and not first_fault(value)
    return {name: value} if is_good else {}
