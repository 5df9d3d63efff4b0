"""What a step is given when it starts: its team's and thread's variables, and values that earlier steps have put out.

A reference to an output (`processes.references`) stands alone for the value as it is, within a text for how the value reads.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from core.errors import DomainError
from history.models import StepRun
from history.status import FINAL
from processes.references import FORM, MARK, REFERENCE, is_broken
from threads.variables import Handed, Owner, handed_to

_NOTHING = Handed()


class MissingOutput(DomainError):
    """A parameter refers to an output that is not there."""


class Handover:
    """For steps that start together: one query for the variables of all, one more for outputs if a parameter refers to some."""

    def __init__(self, steps: Sequence[StepRun]) -> None:
        self._variables = handed_to(_owner(step) for step in steps)
        asking = {step.run_id for step in steps if MARK.search(json.dumps(step.parameters))}
        self._earlier: dict[int, list[StepRun]] = {run_id: [] for run_id in asking}
        if asking:
            for step in StepRun.objects.filter(run__in=asking, status__in=FINAL).order_by("position"):
                self._earlier[step.run_id].append(step)

    def variables(self, step: StepRun) -> Handed:
        return self._variables.get(_owner(step), _NOTHING)

    def parameters(self, step: StepRun) -> dict[str, Any]:
        """The step's parameters with the outputs they refer to in place; MissingOutput says which is not there."""
        given: dict[str, Any] = step.parameters
        earlier = self._earlier.get(step.run_id)
        return given if earlier is None else {name: _filled(value, name, earlier) for name, value in given.items()}


def _owner(step: StepRun) -> Owner:
    return step.run.team_id, step.thread_id


def _filled(value: Any, parameter: str, earlier: Sequence[StepRun]) -> Any:
    if isinstance(value, list):
        return [_filled(item, parameter, earlier) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, parameter, earlier) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    if alone := REFERENCE.fullmatch(value.strip()):
        return _output(alone, parameter, earlier)
    text = REFERENCE.sub(lambda found: _as_text(_output(found, parameter, earlier)), value)
    if is_broken(value):
        raise MissingOutput(f"its parameter {parameter} is {value!r}; write {FORM}")
    return text


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _output(reference: re.Match[str], parameter: str, earlier: Sequence[StepRun]) -> Any:
    name, key = reference.groups()
    wanted = f"its parameter {parameter} takes the output {key} of step {name}"
    named = [step for step in earlier if step.safe_name == name] or [step for step in earlier if str(step.position) == name]
    if not named:
        raise MissingOutput(f"{wanted}, and no step of that name has ended before it")
    step = named[-1]
    if key not in step.outputs:
        told = f"which put out {', '.join(sorted(step.outputs))} alone" if step.outputs else "which put out nothing"
        raise MissingOutput(f"{wanted}, {told} and ended as {step.state.label.lower()}")
    return step.outputs[key]
