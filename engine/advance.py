"""The one verb that moves a run: look at what is recorded, do the next thing. Idempotent: bells, tickets and crashes may repeat it."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from core import layout
from core.errors import DomainError
from engine import keeper
from engine.awaiting import await_environment
from engine.canary import level_in_force
from engine.carrying import carry_over
from engine.collect import found_files
from engine.decide import Begin, Finish, decide
from engine.demands import team_demands
from engine.environment import enforced
from engine.failure import bare_end_of, end_of
from engine.handover import Handover
from engine.host import records
from engine.isolation import Level, run_user
from engine.prepare import is_ours, open_control, show_log, write_spec
from engine.retries import next_attempt_at
from environments.ondisk import EnvironmentAbsent
from events.services import publish_all
from history import ledger, logs
from history.failures import lost
from history.ledger import FoundFile, RunEnd, StepEnd
from history.models import Run, StepRun
from history.services import run_event
from history.status import ALIVE, Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that has ended on disk, with all that is to be recorded of it."""

    step: StepRun
    end: StepEnd
    attempt: int
    files: list[FoundFile]
    outputs: dict[str, Any]


def advance(run_ids: Collection[int]) -> int:
    """Move these runs on; returns how many steps ended or were started. One that makes trouble holds up no other."""
    try:
        return _advance(run_ids)
    except (OperationalError, InterfaceError):
        raise  # Not the run's fault: it is tried again when the database answers.
    except Exception as error:
        if len(run_ids) > 1:
            return sum(advance([run_id]) for run_id in run_ids)
        [run_id] = run_ids
        logger.exception("Run %s could not be advanced.", run_id)
        return _give_up(run_id, error)


def _give_up(run_id: int, error: Exception) -> int:
    """An end that has happened is recorded, if need be without what could not be read of it: no run keeps its place for ever."""
    given_up = 0
    for step in StepRun.objects.filter(run=run_id, status__in=ALIVE).select_related("run"):
        record = records.read(str(_folder(step) / records.EXIT))
        if record is not None and is_ours(step.run):
            given_up += ledger.end_step(step, _bare_end(step, record, error))
            forget_end(step, step.attempt)
    return given_up and advance([run_id])


def _bare_end(step: StepRun, record: dict[str, Any], error: Exception) -> StepEnd:
    """The end without what had to be read from the run's directory and log; `lost` when the record itself is the trouble."""
    note = f"What it left could not be read ({type(error).__name__})."
    try:
        end = bare_end_of(step, record)
    except Exception:
        return StepEnd(Status.LOST, f"{note} How it ended is not known.", failure=lost(note).as_record())
    return replace(end, reason=f"{end.reason} {note}".strip())


def _advance(run_ids: Collection[int]) -> int:
    steps_of: dict[int, list[StepRun]] = defaultdict(list)
    alive = StepRun.objects.filter(run__in=run_ids, run__status__in=ALIVE)
    for step in alive.select_related("run").order_by("run_id", "position"):
        steps_of[step.run_id].append(step)
        step.run = steps_of[step.run_id][0].run
    # Reading disks comes before the transaction: nobody waits for the database's lock meanwhile.
    ends = [end for steps in steps_of.values() for step in steps if step.status in ALIVE and (end := _end_of(step))]
    with transaction.atomic():
        changed = {end.step.run_id for end in ends if _record(end)}
        begun = [step for steps in steps_of.values() for step in _move(steps, is_changed=steps[0].run_id in changed)]
    for end in ends:
        forget_end(end.step, end.attempt)
    for steps in steps_of.values():
        if steps[0].run.is_final:
            _show_log(steps[0].run)
        elif steps[0].run.stop_requested_at is not None:
            stop_steps(steps)
        elif (steps[0].run.pause_requested_at is not None) != (steps[0].run.status == Status.PAUSED):
            _hold(steps[0].run, steps)
    return len(ends) + start_steps(begun)


def _record(ended: Ended) -> bool:
    """Write down an end and, when the step is to be tried again, that."""
    if not ledger.end_step(ended.step, ended.end, ended.files, ended.outputs):
        return False
    if at := next_attempt_at(ended.step, ended.end, timezone.now()):
        ledger.try_again(ended.step, at)
    return True


def _move(steps: list[StepRun], *, is_changed: bool) -> Sequence[StepRun]:
    """Write down what comes next for the run of these steps; returns those that are to be started."""
    run = steps[0].run
    match decide(run, steps, timezone.now()):
        case Begin(following) if _begin(run, following, steps):
            return following
        case Finish(status, reason, exit_code):
            ledger.finish_run(run, steps, RunEnd(status, reason, exit_code, logs.size(run)))
        case _ if is_changed:
            publish_all([run_event(run)])
    return ()


def _begin(run: Run, following: Sequence[StepRun], steps: Sequence[StepRun]) -> bool:
    level = level_in_force()
    return ledger.begin_steps(run, following, progress=_share_done(steps), isolation=level.name, isolation_reason=level.account)


def _share_done(steps: Sequence[StepRun]) -> float:
    return sum(Status(step.status).is_final for step in steps) / len(steps)


def _folder(step: StepRun) -> Path:
    return layout.step_folder(step.run_id, step.position, step.attempt)


def _end_of(step: StepRun) -> Ended | None:
    """How the step ended, if its exit record is there."""
    record = records.read(str(_folder(step) / records.EXIT))
    if record is None or not is_ours(step.run):
        return None
    return Ended(step, end_of(step, record), step.attempt, _left_behind(step), record.get("outputs") or {})


def _left_behind(step: StepRun) -> list[FoundFile]:
    """The files of the run's directory. What a script did to it never holds up the record of its end."""
    try:
        return found_files(step.run, _inputs(step)) if step.run.output_dir else []
    except (OSError, ValueError) as error:
        logger.warning("The files of run %s could not be collected: %s", step.run_id, error)
        return []


def _inputs(step: StepRun) -> dict[str, Any]:
    """What was laid beside the scripts of this step and of those before it: as long as it is unchanged nobody wrote it."""
    laid: dict[str, Any] = {}
    attempts = range(1, step.attempt + 1)
    folders = [layout.step_folder(step.run_id, position, attempt) for position in range(1, step.position + 1) for attempt in attempts]
    for folder in folders:
        given = (records.read(str(folder / records.SPEC)) or {}).get("inputs", {})
        # A later step finds the earlier one's file there and lays nothing.
        laid |= {name: status for name, status in given.items() if status is not None or name not in laid}
    return laid


def _show_log(run: Run) -> None:
    try:
        show_log(run)
    except OSError as error:
        logger.warning("The log of run %s could not be put into its directory: %s", run.pk, error)


def forget_end(step: StepRun, attempt: int) -> None:
    """The end of this attempt is recorded: take its link away."""
    link = layout.ended_folder() / records.step_name(step.run_id, step.position, attempt)
    link.unlink(missing_ok=True)


def stop_steps(steps: Iterable[StepRun]) -> None:
    """Have the running ones of these steps ended, those too that are only just being started."""
    for step in steps:
        if step.status in ALIVE:
            keeper.stop_step(_folder(step), f"Stopped by {step.run.stop_requested_by}.")


def _hold(run: Run, steps: Iterable[StepRun]) -> None:
    """Have the scripts of the run stand still, or go on; when they were told, the record says so."""
    is_paused = run.pause_requested_at is not None
    for step in steps:
        if step.status in ALIVE:
            keeper.pause_step(_folder(step), is_paused=is_paused)
    ledger.mark_paused(run, is_paused=is_paused)


def start_steps(steps: Iterable[StepRun]) -> int:
    """Lay out these begun steps and hand them to the keeper, all at once; twice is as good as once.

    A step that cannot start gets the exit record that says so, and is recorded like any other; one whose environment this host
    lacks waits until it is built here. Returns how many started.
    """
    steps = list(steps)
    handover, level = Handover(steps), level_in_force()
    least = team_demands(steps, level)
    ready: list[tuple[StepRun, keeper.Start]] = []
    for step, is_beside_others in _with_neighbours(steps):
        try:
            open_control(step.run)
            carry_over(step.run, run_user(level.name, step.run_id), enforced(step.limits)["directory_limit_bytes"])
            ready.append((step, _laid_out(step, handover, level, is_beside_others=is_beside_others, least=least.get(step.run_id, ""))))
        except EnvironmentAbsent:
            if fault := await_environment(step):
                fail_start(step, fault)
        except (OSError, DomainError) as error:
            fail_start(step, str(error))
    if not ready:
        return 0
    try:
        faults = keeper.start_steps([start for _, start in ready])
    except keeper.KeeperUnavailable as error:
        faults = [error.message] * len(ready)
    for (step, _), fault in zip(ready, faults, strict=True):
        if fault:
            fail_start(step, fault)
    return faults.count("")


def _laid_out(step: StepRun, handover: Handover, level: Level, *, is_beside_others: bool, least: str) -> keeper.Start:
    """OSError or DomainError when it cannot start."""
    given = handover.variables(step)
    # In memory alone: the record keeps what refers to outputs as it was written.
    step.parameters = handover.parameters(step)
    folder = write_spec(step, level, given.plain, is_beside_others=is_beside_others, least=least)
    return keeper.Start(folder, given.opened())


def _with_neighbours(steps: list[StepRun]) -> list[tuple[StepRun, bool]]:
    """Each step, and whether others of its run are started beside it."""
    count = Counter(step.run_id for step in steps)
    return [(step, count[step.run_id] > 1) for step in steps]


def fail_start(step: StepRun, fault: str) -> None:
    """Write the exit record that a supervisor would have written; the same path records it."""
    logger.warning("Step %s of run %s could not be started: %s", step.position, step.run_id, fault)
    try:
        write_end(step, cause="start", detail=fault)
    except OSError:
        # Not even that can be written: straight into the record then.
        ledger.end_step(step, StepEnd(Status.FAILED, f"It could not be started: {fault}."))


def write_end(step: StepRun, *, cause: str, detail: str) -> None:
    """An exit record in a supervisor's stead."""
    open_control(step.run)
    _folder(step).mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = {"run": step.run_id, "position": step.position, "attempt": step.attempt, "claim": step.run.claim_token}
    record = {**identity, "cause": cause, "detail": detail, "exit_code": None, "signal": None, "finished_at": time.time()}
    folders = {"ended_folder": str(layout.ended_folder()), "running_folder": str(layout.running_folder())}
    records.announce_end(str(_folder(step)), identity | folders, record)
