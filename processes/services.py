"""Verbs about processes: create, change, delete. Steps are given whole, as the builder shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.checks import check_description, check_known, runs_fault
from core.errors import InvalidInput, NotFound
from core.names import clean_name, first_free, safe_name
from core.parameters import check_parameters
from events.services import publish
from processes.models import MAX_STEPS, OnFailure, Process, Step
from processes.references import reference_fault
from threads.models import Thread
from threads.repeats import retries_fault
from threads.services import timeout_fault

SETTINGS = ("description", "max_runs", "enabled")


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step as it shall be. Steps of equal `stage` run side by side; stages run in ascending order."""

    thread: Thread
    stage: int
    parameters: dict[str, Any] = field(default_factory=dict)
    on_failure: str = OnFailure.STOP
    timeout_seconds: int | None = None
    retries: int | None = None


def create_process(*, team: Team, user: User, name: str, steps: Sequence[StepPlan] = (), **settings_given: Any) -> Process:
    """A new process; `settings_given`: those of `SETTINGS`."""
    require(user, team, Role.EDITOR)
    name = clean_name(name)
    _check_settings(settings_given)
    _check_steps(team, steps)
    with transaction.atomic():
        process = Process.objects.create(team=team, name=name, safe_name=_free_safe_name(team, name), created_by=user, **settings_given)
        _write_steps(process, steps)
        record(user=user, verb="created", target=process)
        _tell(process)
    return process


def change_process(*, process: Process, user: User, steps: Sequence[StepPlan] | None = None, **changes: Any) -> Process:
    """Change `name` and `SETTINGS`; `steps`, when given, replace all there were."""
    require(user, process.team, Role.EDITOR)
    fields = changes | ({"name": clean_name(changes["name"])} if "name" in changes else {})
    _check_settings({name: value for name, value in fields.items() if name != "name"})
    _check_steps(process.team, steps or ())
    with transaction.atomic():
        row = _locked(process)
        if fields.get("name", row.name) != row.name:
            fields["safe_name"] = _free_safe_name(row.team, fields["name"], but=row)
        for field_name, value in fields.items():
            setattr(row, field_name, value)
        row.save(update_fields=[*fields, "updated_at"])
        if steps is not None:
            row.steps.all().delete()
            _write_steps(row, steps)
        record(user=user, verb="changed", target=row, fields=sorted([*fields, *(["steps"] if steps is not None else [])]))
        _tell(row)
    return row


@transaction.atomic
def delete_process(*, process: Process, user: User) -> None:
    """Gone with its steps and schedules; its runs stay in the history."""
    require(user, process.team, Role.EDITOR)
    row = _locked(process)
    record(user=user, verb="deleted", target=row)
    _tell(row, deleted=True)
    row.delete()


def _check_settings(given: dict[str, Any]) -> None:
    check_known(given, SETTINGS)
    check_description(given.get("description", ""))
    if fault := runs_fault(given.get("max_runs")):
        raise InvalidInput.of("max_runs", fault)


def _locked(process: Process) -> Process:
    """The row as it is now, ours until we commit; NotFound when it is gone. Who only refers to it need not wait."""
    row = Process.objects.select_related("team").select_for_update(of=("self",), no_key=True).filter(pk=process.pk).first()
    if row is None:
        raise NotFound
    return row


def _tell(process: Process, **more: Any) -> None:
    """The streams are told what the process is like now."""
    publish(
        "process",
        process.pk,
        team_id=process.team_id,
        id=process.pk,
        name=process.name,
        safe_name=process.safe_name,
        enabled=process.enabled,
        **more,
    )


def _check_steps(team: Team, steps: Sequence[StepPlan]) -> None:
    if len(steps) > MAX_STEPS:
        raise InvalidInput.of("steps", f"A process has at most {MAX_STEPS} steps; this one has {len(steps)}.")
    faults = {f"steps.{position}.{name}": [fault] for position, step in enumerate(steps) for name, fault in _faults(team, step)}
    if faults := faults or _reference_faults(steps):
        raise InvalidInput("Some steps cannot be used.", fields=faults)


def _reference_faults(steps: Sequence[StepPlan]) -> dict[str, list[str]]:
    found = {}
    for place, step in enumerate(steps):
        before = [(number, other) for number, other in enumerate(steps, start=1) if other.stage < step.stage]
        earlier = {other.thread.safe_name for _, other in before} | {str(number) for number, _ in before}
        if fault := reference_fault(step.parameters, earlier):
            found[f"steps.{place}.parameters"] = [fault]
    return found


def _write_steps(process: Process, steps: Sequence[StepPlan]) -> None:
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
            retries=step.retries,
        )
        for position, step in enumerate(ordered, start=1)
    )


def _faults(team: Team, step: StepPlan) -> list[tuple[str, str]]:
    faults = []
    if step.thread.team_id != team.pk:
        faults.append(("thread", "That thread belongs to another team."))
    if not isinstance(step.stage, int) or not 0 <= step.stage <= 10_000:
        faults.append(("stage", "Use a whole number from 0 to 10000."))
    if step.on_failure not in OnFailure.values:
        faults.append(("on_failure", f"Use one of {', '.join(OnFailure.values)}."))
    if step.timeout_seconds is not None and (fault := timeout_fault(step.timeout_seconds)):
        faults.append(("timeout_seconds", fault))
    if step.retries is not None and (fault := retries_fault(step.retries)):
        faults.append(("retries", fault))
    try:
        check_parameters(step.parameters)
    except InvalidInput as error:
        faults.append(("parameters", error.message))
    return faults


def _free_safe_name(team: Team, name: str, but: Process | None = None) -> str:
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    slug = safe_name(name, "process")
    taken = Process.objects.filter(team=team, safe_name__startswith=slug[:50]).exclude(pk=but.pk if but else 0)
    return first_free(slug, set(taken.values_list("safe_name", flat=True)))
