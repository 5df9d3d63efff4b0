"""The one verb that moves a run: look at what is recorded, do the next thing. Idempotent: bells, tickets and crashes may repeat it."""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from django.db import transaction

from core import layout
from engine import keeper
from engine.collect import found_files
from engine.decide import Begin, Finish, decide
from engine.host import records
from engine.isolation import level_in_force
from engine.outcome import Outcome, exception_line, outcome_of
from engine.prepare import make_run_directory, open_log, show_log, write_spec
from history import ledger
from history.ledger import FoundFile, RunEnd
from history.models import Run, StepRun
from history.status import ALIVE

logger = logging.getLogger(__name__)
TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class StepEnd:
    """A step that has ended on disk, with all that is to be recorded of it."""

    step: StepRun
    outcome: Outcome
    files: list[FoundFile]


def advance(run_ids: Collection[int]) -> int:
    """Move these runs on; returns how many steps were started. One that makes trouble is set aside, the others go on."""
    try:
        return _advance(run_ids)
    except Exception:
        if len(run_ids) == 1:
            logger.exception("Run %s could not be advanced; the next look tries again.", *run_ids)
            return 0
        return sum(advance([run_id]) for run_id in run_ids)


def _advance(run_ids: Collection[int]) -> int:
    steps_of: dict[int, list[StepRun]] = defaultdict(list)
    runs = {run.pk: run for run in Run.objects.filter(pk__in=run_ids, status__in=ALIVE)}
    for step in StepRun.objects.filter(run__in=runs.values()).order_by("position"):
        step.run = runs[step.run_id]
        steps_of[step.run_id].append(step)
    # Reading disks comes before the transaction: nobody waits for the database's lock meanwhile.
    ends = [end for steps in steps_of.values() for step in steps if step.status in ALIVE and (end := _end_of(step))]
    begun: list[StepRun] = []
    with transaction.atomic():
        changed = {end.step.run_id for end in ends if ledger.end_step(end.step, **_recorded(end.outcome), files=end.files)}
        for run_id, run in runs.items():
            match decide(run, steps_of[run_id]):
                case Begin(steps) if ledger.begin_steps(run, steps):
                    begun.extend(steps)
                case Finish(status, reason, exit_code):
                    ledger.finish_run(run, steps_of[run_id], RunEnd(status, reason, exit_code, _log_bytes(run)))
                case _ if run_id in changed:
                    ledger.publish_step_change(run)
    for end in ends:
        forget_end(end.step)
    for run in runs.values():
        if run.stop_requested_at is not None:
            stop_steps(steps_of[run.pk], f"Stopped by {run.stop_requested_by}.")
    return start_steps(begun, {run_id: len(steps) for run_id, steps in steps_of.items()})


def _recorded(outcome: Outcome) -> dict[str, object]:
    return asdict(outcome)


def _end_of(step: StepRun) -> StepEnd | None:
    """How the step ended, if its exit record is there."""
    folder = layout.step_folder(step.run_id, step.position, step.attempt)
    record = records.read(str(folder / records.EXIT))
    if record is None:
        return None
    spec = records.read(str(folder / records.SPEC)) or {}
    last_line = exception_line(log_tail(step.run)) if record.get("exit_code") else ""
    outcome = outcome_of(record, timeout_seconds=step.timeout_seconds, stopped_by=step.run.stop_requested_by, last_line=last_line)
    if step.run.output_dir:
        show_log(step.run)
    return StepEnd(step, outcome, found_files(step.run, spec.get("inputs", {})))


def log_tail(run: Run) -> bytes:
    try:
        with open(layout.control_folder(run.pk) / "log", "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL_BYTES))
            return log.read(TAIL_BYTES)
    except FileNotFoundError:
        return b""


def _log_bytes(run: Run) -> int:
    try:
        return (layout.control_folder(run.pk) / "log").stat().st_size
    except FileNotFoundError:
        return 0


def forget_end(step: StepRun) -> None:
    """The end is recorded: take its link away."""
    link = layout.ended_folder() / records.ended_name(step.run_id, step.position, step.attempt)
    link.unlink(missing_ok=True)


def stop_steps(steps: Iterable[StepRun], reason: str) -> None:
    """Tell the supervisors of running steps to end them, those too that are only just being started."""
    for step in steps:
        if step.status in ALIVE:
            folder = layout.step_folder(step.run_id, step.position, step.attempt)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # First the note, then the word: a supervisor listens first and looks for a note second.
            records.write(str(folder / records.STOP), {"detail": reason})
            keeper.tell_supervisor(folder, "stop", reason)


def start_steps(steps: Iterable[StepRun], counts: dict[int, int]) -> int:
    """Have each step supervised; one that cannot start is recorded as failed with the reason. Returns how many started."""
    by_stage: dict[tuple[int, int], list[StepRun]] = defaultdict(list)
    for step in steps:
        by_stage[step.run_id, step.stage].append(step)
    started = 0
    for (run_id, _), stage in by_stage.items():
        for step in stage:
            started += start_step(step, stage_size=len(stage), step_count=counts[run_id])
    return started


def start_step(step: StepRun, *, stage_size: int, step_count: int) -> bool:
    """Lay the step out and hand it to the keeper. Twice is as good as once."""
    run = step.run
    try:
        if not run.output_dir:
            ledger.set_output_dir(run, make_run_directory(run))
        open_log(run)
        folder = write_spec(run, step, level_in_force(), stage_size=stage_size, step_count=step_count)
        keeper.start_step(folder)
    except (OSError, keeper.KeeperUnavailable) as error:
        fail_start(step, error)
        return False
    return True


def fail_start(step: StepRun, error: Exception) -> None:
    """Write the exit record that a supervisor would have written; the same path records it."""
    logger.warning("Step %s of run %s could not be started: %s", step.position, step.run_id, error)
    folder = layout.step_folder(step.run_id, step.position, step.attempt)
    write_end(folder, step, cause="start", detail=str(error))


def write_end(folder: Path, step: StepRun, *, cause: str, detail: str) -> None:
    """An exit record in a supervisor's stead."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = {"run": step.run_id, "position": step.position, "attempt": step.attempt}
    record = {**identity, "cause": cause, "detail": detail, "exit_code": None, "signal": None, "finished_at": time.time()}
    records.announce_end(str(folder), {**identity, "ended_folder": str(layout.ended_folder())}, record)
