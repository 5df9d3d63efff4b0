"""Verbs about processes: create, change, delete. Steps are given whole, as the builder shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.errors import InvalidInput
from core.names import clean_name, first_free, safe_name
from core.parameters import check_parameters
from processes.models import MAX_STEPS, OnFailure, Process, Step
from threads.models import MAX_TIMEOUT_SECONDS, Thread


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step as it shall be. Steps of equal `stage` run side by side; stages run in ascending order."""

    thread: Thread
    stage: int
    parameters: dict[str, Any] = field(default_factory=dict)
    on_failure: str = OnFailure.STOP
    timeout_seconds: int | None = None


@transaction.atomic
def create_process(
    *, team: Team, user: User, name: str, description: str = "", enabled: bool = True, steps: Sequence[StepPlan] = ()
) -> Process:
    require(user, team, Role.EDITOR)
    name = clean_name(name)
    _check_description(description)
    process = Process.objects.create(
        team=team, name=name, safe_name=_free_safe_name(team, name), description=description, enabled=enabled, created_by=user
    )
    _write_steps(process, steps)
    record(user=user, verb="created", target=process)
    return process


@transaction.atomic
def change_process(*, process: Process, user: User, steps: Sequence[StepPlan] | None = None, **changes: Any) -> Process:
    """Change `name`, `description`, `enabled`; `steps`, when given, replace all there were."""
    require(user, process.team, Role.EDITOR)
    fields = dict(changes)
    unknown = set(fields) - {"name", "description", "enabled"}
    if unknown:
        raise InvalidInput("Some fields are not known here.", fields={name: ["There is no such field."] for name in unknown})
    _check_description(fields.get("description", ""))
    if "name" in fields:
        fields["name"] = clean_name(fields["name"])
        if fields["name"] != process.name:
            fields["safe_name"] = _free_safe_name(process.team, fields["name"], but=process)
    for field_name, value in fields.items():
        setattr(process, field_name, value)
    process.save(update_fields=[*fields, "updated_at"])
    if steps is not None:
        process.steps.all().delete()
        _write_steps(process, steps)
    record(user=user, verb="changed", target=process, fields=sorted([*fields, *(["steps"] if steps is not None else [])]))
    return process


@transaction.atomic
def delete_process(*, process: Process, user: User) -> None:
    """Gone with its steps and schedules; its runs stay in the history."""
    require(user, process.team, Role.EDITOR)
    record(user=user, verb="deleted", target=process)
    process.delete()


def _write_steps(process: Process, steps: Sequence[StepPlan]) -> None:
    if len(steps) > MAX_STEPS:
        raise InvalidInput.of("steps", f"A process has at most {MAX_STEPS} steps; this one has {len(steps)}.")
    faults = {f"steps.{position}.{name}": [fault] for position, step in enumerate(steps) for name, fault in _faults(process, step)}
    if faults:
        raise InvalidInput("Some steps cannot be used.", fields=faults)
    # Stages are renumbered without gaps; sorting is stable, so steps keep their order within a stage.
    ordered = sorted(steps, key=lambda step: step.stage)
    stages = {stage: number for number, stage in enumerate(dict.fromkeys(step.stage for step in ordered), start=1)}
    Step.objects.bulk_create(
        Step(
            process=process,
            position=position,
            stage=stages[step.stage],
            thread=step.thread,
            parameters=step.parameters,
            on_failure=step.on_failure,
            timeout_seconds=step.timeout_seconds,
        )
        for position, step in enumerate(ordered, start=1)
    )


def _faults(process: Process, step: StepPlan) -> list[tuple[str, str]]:
    faults = []
    if step.thread.team_id != process.team_id:
        faults.append(("thread", "That thread belongs to another team."))
    if not isinstance(step.stage, int) or not 0 <= step.stage <= 10_000:
        faults.append(("stage", "Use a whole number from 0 to 10000."))
    if step.on_failure not in OnFailure.values:
        faults.append(("on_failure", f"Use one of {', '.join(OnFailure.values)}."))
    if step.timeout_seconds is not None and not 1 <= step.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        faults.append(("timeout_seconds", f"Use a whole number of seconds from 1 to {MAX_TIMEOUT_SECONDS:,}."))
    try:
        check_parameters(step.parameters)
    except InvalidInput as error:
        faults.append(("parameters", error.message))
    return faults


def _check_description(description: str) -> None:
    if len(description) > 5000:
        raise InvalidInput.of("description", "The description has more than 5,000 characters.")


def _free_safe_name(team: Team, name: str, but: Process | None = None) -> str:
    Team.objects.select_for_update().get(pk=team.pk)
    slug = safe_name(name, "process")
    taken = Process.objects.filter(team=team, safe_name__startswith=slug[:50]).exclude(pk=but.pk if but else 0)
    return first_free(slug, set(taken.values_list("safe_name", flat=True)))
