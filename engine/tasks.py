"""What django-q2's workers run. A ticket says "there is work"; these read from the runs what it is.

Both return None and let nothing out: a task that raises would only be written down as a failure nobody reads.
"""

import logging
import time
from collections import defaultdict

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from core import layout
from core.doorbell import ring
from engine.advance import advance, start_steps
from engine.recovery import look_after_runs
from engine.turn import turns
from history import ledger
from history.models import StepRun
from history.status import Status

logger = logging.getLogger(__name__)

# A worker returns from time to time, so that it can be recycled and stopped.
SLICE_SECONDS = 10.0


def drain() -> None:
    """Do what there is for this host: record the steps that have ended, stop what shall stop, start the best waiting runs."""
    try:
        until = time.monotonic() + SLICE_SECONDS
        for _ in turns("drain"):
            while _drain_once():
                if time.monotonic() > until:
                    ring(layout.bells(), "queue", b"work")
                    return
    except (OperationalError, InterfaceError):
        # The database went away: the periodic look comes back to everything that is left undone.
        logger.exception("The database did not answer while runs were moved on.")
        connection.close()
    except Exception:
        logger.exception("Moving runs on failed.")


def look() -> None:
    """The periodic look: renew leases, find what died without a word, then drain. Either this or the bells alone would do."""
    try:
        look_after_runs()
    except Exception:
        logger.exception("Looking after runs failed.")
        connection.close()
        return
    drain()


def _drain_once() -> bool:
    """One round; True when it did something, so that another may find more."""
    ended = ended_run_ids()
    if ended:
        advance(ended)
    stopping = stopping_run_ids() - ended
    if stopping:
        advance(stopping)
    claimed = ledger.claim(settings.HOST_KEY, settings.MAX_RUNS)
    if claimed:
        runs = {run.pk: run for run in claimed}
        first: list[StepRun] = []
        counts: dict[int, int] = defaultdict(int)
        for step in StepRun.objects.filter(run__in=claimed).select_related("version").order_by("run_id", "position"):
            step.run = runs[step.run_id]
            counts[step.run_id] += 1
            if step.status == Status.RUNNING:
                first.append(step)
        start_steps(first, counts)
    return bool(ended or claimed)


def ended_run_ids() -> set[int]:
    """Runs of which a supervisor said that a step has ended."""
    try:
        return {int(entry.name.partition(".")[0]) for entry in layout.ended_folder().iterdir()}
    except FileNotFoundError:
        return set()


def stopping_run_ids() -> set[int]:
    """Runs of this host that somebody wants stopped."""
    return set(ledger.stopping(settings.HOST_KEY))
