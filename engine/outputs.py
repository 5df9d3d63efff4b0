"""What a step has put out by `threadkit.output`: lines of JSON that its script left in the run's directory, so nothing to trust."""

import json
import re
from typing import Any

from core import layout
from core.files import open_beneath
from core.plain import first_fault
from engine.host.masking import Masker
from history.models import StepRun
from threads.sealing import CannotOpen
from threads.variables import handed_to

MAX_BYTES = 50_000
_BEGINNING = "outputs-"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def is_output(path: str) -> bool:
    """Does a file of the working state hold what an attempt has put out? Another run's attempts put out their own."""
    return path.rpartition("/")[2].startswith(_BEGINNING)


def outputs_of(step: StepRun) -> dict[str, Any]:
    """The values by name, the last of each; what cannot be kept is left out. Empty when there is none."""
    path = f"{step.run.output_dir}/{layout.STATE}/{step.position}-{step.safe_name}/{_BEGINNING}{step.attempt}"
    try:
        descriptor = open_beneath(layout.runs_folder(), path)
    except OSError:
        return {}
    with open(descriptor, "rb") as file:
        lines = file.read(MAX_BYTES).splitlines()
    found: dict[str, Any] = {}
    for line in lines:
        found.update(_read(line))
    return _masked(found, step) if found else {}


def _read(line: bytes) -> dict[str, Any]:
    try:
        name, value = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return {}
    is_good = isinstance(name, str) and _NAME.fullmatch(name) and not first_fault(value)
    return {name: value} if is_good else {}


def _masked(found: dict[str, Any], step: StepRun) -> dict[str, Any]:
    """Without the secrets that the script was given: who may see a run may not see those."""
    owner = (step.run.team_id, step.thread_id)
    handed = handed_to([owner]).get(owner)
    try:
        secrets = list(handed.opened().values()) if handed else []
    except CannotOpen:
        # Then the script was not given any either.
        secrets = []
    masker = Masker(secrets)
    return {name: _without(value, masker) for name, value in found.items()} if secrets else found


def _without(value: Any, masker: Masker) -> Any:
    if isinstance(value, str):
        return masker.whole(value)
    if isinstance(value, list):
        return [_without(item, masker) for item in value]
    if isinstance(value, dict):
        return {masker.whole(name): _without(item, masker) for name, item in value.items()}
    return value
