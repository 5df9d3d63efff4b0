"""What django-q2's workers run. A ticket says "there is work"; these read from the runs what it is.

Both return None and let nothing out: a task that raises would only be written down as a failure nobody reads.
"""

import logging
import os
import time

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from core import layout
from core.doorbell import Listener, ring
from engine.advance import advance, start_steps
from engine.awaiting import put_off_what_waits
from engine.canary import level_in_force
from engine.host import records
from engine.host.records import DRAIN_BELL, QUEUE_BELL
from engine.recovery import look_after_runs
from engine.turn import turns
from history import ledger
from threads.building import look_after_builds

logger = logging.getLogger(__name__)

# A worker returns from time to time, so that it can be recycled and stopped.
SLICE_SECONDS = 5.0

# Where more runs are allowed at once than there are processors, a freed place may wait this long: the ends that come
# meanwhile are recorded together, at two thirds of the processor time.
GATHER_SECONDS = 0.004
_PROCESSORS = os.cpu_count() or 1


def drain() -> None:
    """Do what there is for this host: record the steps that have ended, stop what shall stop, start the best waiting runs."""
    try:
        until = time.monotonic() + SLICE_SECONDS
        has_turn = False
        for _ in turns("drain"):
            has_turn = True
            _work(until)
        if not has_turn:
            ring(layout.bells(), DRAIN_BELL)
    except (OperationalError, InterfaceError):
        # The database went away: the periodic look comes back to everything that is left undone.
        logger.exception("The database did not answer while runs were moved on.")
        connection.close()
    except Exception:
        logger.exception("Moving runs on failed.")


def _work(until: float) -> None:
    """Rounds of work as long as each finds some. While runs wait for a place it stays and hears itself of each that is freed."""
    while _drain_once():
        if time.monotonic() > until:
            ring(layout.bells(), QUEUE_BELL, b"work")
            return
    if not ledger.any_waiting():
        return
    ear = Listener(layout.bells(), DRAIN_BELL)
    try:
        while ledger.any_waiting() and time.monotonic() < until:
            ear.wait(min(1.0, until - time.monotonic()))
            if settings.MAX_RUNS > _PROCESSORS:
                time.sleep(GATHER_SECONDS)
            _drain_once()
    finally:
        ear.close()
    # Who rang just before the ear was closed rang for nobody: one more round finds what he meant.
    _drain_once()


def look() -> None:
    """The periodic look: renew leases, find what died without a word, then drain. Either this or the bells alone would do."""
    try:
        look_after_runs()
        put_off_what_waits()
        if due := ledger.due_again(settings.HOST_KEY, settings.MAX_RUNS):
            advance(due)
        look_after_builds(ledger.is_gone)
    except Exception:
        logger.exception("Looking after runs failed.")
        connection.close()
    drain()


def _drain_once() -> bool:
    """One round; True when it did something, so that another may find more."""
    ended = ended_run_ids()
    moving = ended | ledger.told(settings.HOST_KEY)
    moved = advance(moving) if moving else 0
    level = level_in_force()
    steps = ledger.claim(settings.HOST_KEY, settings.MAX_RUNS, isolation=level.name, isolation_reason=level.account)
    if steps:
        start_steps(steps)
    return bool(moved or steps)


def ended_run_ids() -> set[int]:
    """Runs of which a supervisor said that a step has ended."""
    try:
        found = {records.run_of(name) for name in os.listdir(layout.ended_folder())}
    except FileNotFoundError:
        return set()
    return {run for run in found if run is not None}
