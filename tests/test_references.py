"""References to the outputs of earlier steps, as they are checked when a process is saved."""

from typing import Any

import pytest

from core.errors import InvalidInput
from processes.services import StepPlan, create_process

pytestmark = pytest.mark.once


def saved(people: Any, make_thread: Any, stages: tuple[int, ...], parameters: dict[str, Any]) -> Any:
    """A process of Fetch, Clean and Use, the last with these parameters."""
    threads = [make_thread(name) for name in ("Fetch", "Clean", "Use")]
    steps = [StepPlan(thread=thread, stage=stage) for thread, stage in zip(threads, stages, strict=True)]
    steps[2] = StepPlan(thread=threads[2], stage=stages[2], parameters=parameters)
    return create_process(team=people.team, user=people.editor, name="Nightly", steps=steps)


@pytest.mark.parametrize(
    "text", ["{{steps.fetch.outputs.rows}}", "{{ steps.2.outputs.a-b }} and {{steps.clean.outputs.x}}", "{{user}}", "steps.x"]
)
def test_an_output_of_an_earlier_stage_can_be_taken(people: Any, make_thread: Any, text: str) -> None:
    assert saved(people, make_thread, (1, 2, 3), {"a": ["x", {"b": text}]}).steps.count() == 3


@pytest.mark.parametrize(
    ("stages", "text", "words"),
    [
        ((1, 2, 3), "{{steps.nobody.outputs.rows}}", "No step 'nobody' ends before this one"),
        ((1, 2, 2), "{{steps.clean.outputs.rows}}", "No step 'clean' ends before this one"),
        ((1, 2, 3), "{{steps.use.outputs.rows}}", "No step 'use' ends before this one"),
        ((1, 2, 3), "{{steps.3.outputs.rows}}", "No step '3' ends before this one"),
        ((1, 2, 3), "a {{steps.fetch.rows}}", "is no reference to an output; write {{steps.NAME.outputs.KEY}}"),
    ],
)
def test_what_cannot_be_there_is_told_at_once(people: Any, make_thread: Any, stages: tuple[int, ...], text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        saved(people, make_thread, stages, {"a": [text]})
    assert words in refused.value.fields["steps.2.parameters"][0]
