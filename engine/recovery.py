"""What died without a word: looked for at start and every few seconds. The evidence is on disk and in /proc, never mere age."""

import logging
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from core import layout
from core.kernel import boot_id
from engine import keeper
from engine.advance import advance, start_steps, write_end
from engine.host import kernel, records
from engine.prepare import is_ours
from engine.retries import next_attempt_at
from history import ledger
from history.models import Run, StepRun
from history.status import ALIVE

logger = logging.getLogger(__name__)

# How long a step may be on its way from "begun" to "supervised" before it is asked for again.
START_PATIENCE = timedelta(seconds=10)


def look_after_runs() -> None:
    """Vouch for this host's runs; end or restart what is stuck; lose the runs of hosts that are gone."""
    ledger.renew(settings.HOST_KEY, boot_id())
    if ledger.any_alive():
        ledger.lose_abandoned(settings.HOST_KEY, is_tried_again)
        _look_at_all()
    end_what_was_given_up()
    forget_stale_ends()


def is_tried_again(step: StepRun, end: ledger.StepEnd) -> bool:
    return next_attempt_at(step, end, timezone.now()) is not None


def _look_at_all() -> None:
    alive = StepRun.objects.filter(run__host_key=settings.HOST_KEY, status__in=ALIVE).select_related("run", "version")
    stuck = {step.run_id for step in alive if _needs_advance(step)}
    # Between two stages a crash leaves a run with no step alive: moving it on again is harmless for all others.
    between = Run.objects.filter(host_key=settings.HOST_KEY, status__in=ALIVE, not_before=None).exclude(steps__status__in=ALIVE)
    stuck |= set(between.values_list("id", flat=True))
    if stuck:
        advance(stuck)


def end_what_was_given_up() -> None:
    """Scripts of runs that are over in the record: another host lost sight of this one while its scripts ran on."""
    for link in _over(layout.running_folder()):
        folder = link.resolve()
        if not link.is_symlink() or keeper.supervisor_of(folder) is None:
            link.unlink(missing_ok=True)
        else:
            logger.warning("Step %s runs though its run is over; it is stopped.", link.name)
            keeper.stop_step(folder, "The run was given up")


def forget_stale_ends() -> None:
    """Take away links to ends of runs that are over: the end came after somebody else had given the run up."""
    for link in _over(layout.ended_folder()):
        link.unlink(missing_ok=True)


def _over(folder: Path) -> list[Path]:
    """What lies in the folder for runs that are not alive on this host, or for no run at all."""
    names = {name: records.run_of(name) for name in os.listdir(folder)} if folder.exists() else {}
    if not names:
        return []
    runs = {run for run in names.values() if run is not None}
    alive = set(Run.objects.filter(pk__in=runs, host_key=settings.HOST_KEY, status__in=ALIVE).values_list("id", flat=True))
    return [folder / name for name, run in names.items() if run not in alive]


def _needs_advance(step: StepRun) -> bool:
    """True when the step has an end to be recorded. One that cannot be looked at does not hide the others."""
    try:
        return _look_at(step)
    except OSError:
        logger.exception("Step %s of run %s could not be looked at.", step.position, step.run_id)
        return False


def _look_at(step: StepRun) -> bool:
    """True when the step has an end to be recorded, which this may have found out just now."""
    folder = layout.step_folder(step.run_id, step.position, step.attempt)
    if not is_ours(step.run):
        return _look_at_start(step, was_tried=False)
    if (folder / records.EXIT).exists():
        return True
    if (supervisor := keeper.supervisor_of(folder)) is not None:
        if kernel.is_stopped(supervisor):
            # A script has stopped it: its deadline and a person's stop must not wait for that.
            os.kill(supervisor, signal.SIGCONT)
        is_paused = step.run.pause_requested_at is not None
        if (folder / records.PAUSE).exists() != is_paused:
            # It was started while somebody paused or resumed the run.
            keeper.pause_step(folder, is_paused=is_paused)
        return False
    state = records.read(str(folder / records.SUPERVISOR))
    if not state:
        return _look_at_start(step, was_tried=state is not None)
    # Its supervisor is dead. It may have said its last word between our two looks, and the keeper is told of the
    # death too and cleans up quicker: give both a moment.
    time.sleep(0.2)
    if not (folder / records.EXIT).exists():
        killed = end_leftovers(step.run)
        same_boot = state["boot_id"] == boot_id()
        detail = "Its supervisor died, so the script was stopped" if same_boot else "The host was restarted while it ran"
        more = f"; {killed} of its processes were still there" if killed else ""
        write_end(step, cause="lost", detail=f"{detail}{more}. How far it got is not known.")
    return True


def _look_at_start(step: StepRun, *, was_tried: bool) -> bool:
    """The step was begun, but no supervisor has said who it is."""
    if step.started_at and step.started_at > timezone.now() - START_PATIENCE:
        return False
    if was_tried:
        # The script starts after its supervisor has said so: it never ran. But that it was tried must not be hidden.
        write_end(step, cause="lost", detail="The keeper died while it was starting the step; the script never ran.")
        return True
    logger.warning("Step %s of run %s was begun but not started; asking for it again.", step.position, step.run_id)
    start_steps([step])
    return False


def end_leftovers(run: Run) -> int:
    """Kill what carries the run's mark and has no supervisor any more; returns how many there were."""
    marker = f"PYSCHED_RUN_DIR={layout.run_directory(run.output_dir)}".encode()
    killed = 0
    for _ in range(100):
        found = kernel.marked_processes(marker)
        if not found:
            break
        killed = max(killed, kernel.signal_all(found, signal.SIGKILL))
        time.sleep(0.01)
    return killed
