"""The builder's rows: what was typed for each step, kept as it was typed until it is good.

A row's `key` ties its parameters to it: those of row `k` are the fields `name-k` and `value-k`, in any number.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.http import QueryDict

from core.errors import DomainError, InvalidInput
from core.parameters import from_rows, to_rows
from core.text import natural
from processes.models import OnFailure, Step
from processes.services import StepPlan
from threads.models import Thread

MAX_ROWS = 200


@dataclass(slots=True)
class StepRow:
    """One step of the builder. `beside`: it runs at the same time as the step above it."""

    key: str
    thread: Thread
    beside: bool = False
    on_failure: str = OnFailure.STOP
    timeout: str = ""
    retries: str = ""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_tuned(self) -> bool:
        """Has something set that differs from a step as it is added."""
        typed = any(name.strip() or value.strip() for name, value in self.pairs)
        return bool(self.timeout or self.retries or typed or self.faults or self.on_failure != OnFailure.STOP)


def new_row(thread: Thread) -> StepRow:
    return StepRow(key=secrets.token_hex(4), thread=thread)


def rows_of(steps: Sequence[Step]) -> list[StepRow]:
    """The rows of saved steps, in order."""
    rows = []
    for before, step in zip([None, *steps], steps, strict=False):
        row = new_row(step.thread)
        row.beside = before is not None and before.stage == step.stage
        row.on_failure = step.on_failure
        row.timeout = str(step.timeout_seconds or "")
        row.retries = "" if step.retries is None else str(step.retries)
        row.pairs = to_rows(step.parameters)
        rows.append(row)
    return rows


def rows_sent(data: QueryDict, threads: Mapping[int, Thread]) -> list[StepRow]:
    """The rows as they were sent, without those whose thread is not among `threads`, the ones there are to use."""
    columns = [data.getlist(f"step-{name}")[:MAX_ROWS] for name in ("key", "thread", "beside", "on_failure", "timeout")]
    rows: list[StepRow] = []
    for key, thread_id, beside, on_failure, timeout in zip(*columns, strict=False):
        thread = threads.get(natural(thread_id) or 0)
        if thread is not None:
            pairs = list(zip(data.getlist(f"name-{key}"), data.getlist(f"value-{key}"), strict=False))
            retries = data.get(f"retries-{key}", "").strip()
            rows.append(StepRow(key, thread, beside == "1" and bool(rows), on_failure, timeout.strip(), retries, pairs))
    return rows


def thread_ids_sent(data: QueryDict) -> set[int]:
    """Which threads the rows name, whether there are such or not."""
    return {number for text in data.getlist("step-thread")[:MAX_ROWS] if (number := natural(text))}


def plans_of(rows: Sequence[StepRow]) -> list[StepPlan]:
    """The steps as services take them; InvalidInput by `steps.N.field` with all that cannot be read."""
    plans: list[StepPlan] = []
    faults: dict[str, list[str]] = {}
    stage = 0
    for position, row in enumerate(rows):
        stage += 0 if row.beside else 1
        try:
            parameters = from_rows([name for name, _ in row.pairs], [value for _, value in row.pairs])
        except InvalidInput as error:
            faults |= {f"steps.{position}.{name}": messages for name, messages in error.fields.items()}
            continue
        timeout = natural(row.timeout)
        if row.timeout and timeout is None:
            faults[f"steps.{position}.timeout_seconds"] = ["The timeout is a whole number of seconds, or empty for the thread's own."]
            continue
        retries = natural(row.retries)
        if row.retries and retries is None:
            faults[f"steps.{position}.retries"] = ["Retries are a whole number, or empty for the thread's own."]
            continue
        plans.append(StepPlan(row.thread, stage, parameters, row.on_failure, timeout, retries))
    if faults:
        raise InvalidInput("Some steps cannot be used.", fields=faults)
    return plans


def mark_faults(rows: Sequence[StepRow], error: DomainError) -> DomainError:
    """Put each step's messages beside its row; gives back what is left to say on top."""
    others: dict[str, list[str]] = {}
    for name, messages in error.fields.items():
        part = name.split(".")
        place = natural(part[1]) if part[0] == "steps" and len(part) == 3 else None
        if place is not None and place < len(rows):
            rows[place].faults.extend(messages)
        else:
            others[name] = messages
    return InvalidInput(error.message, fields=others)
