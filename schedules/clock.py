"""The clock: one loop that fires what is due, sleeps until the next due time, and is woken when a schedule changes."""

import logging
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import FrameType

from django.db import connection
from django.utils import timezone

from core import layout
from core.doorbell import Listener
from core.rows import select_column
from events.services import prune
from schedules.firing import CHUNK, FIRST_CHUNK, fire_next, set_off_startups
from schedules.lease import Lease
from schedules.ledger import CLOCK_BELL, ring_clock
from schedules.models import Schedule

logger = logging.getLogger(__name__)

# A bell may get lost, another host's is never heard, and the time of day may jump: look at least this often.
LOOK_SECONDS = 1.0
PRUNE_SECONDS = 60.0
REPEAT_LOG_SECONDS = 60.0
_DUE_SOON = "SELECT 1 FROM schedules_schedule WHERE enabled AND next_run_at IS NOT NULL AND next_run_at <= %s LIMIT 1"


def run_clock(stop: Callable[[], bool] | None = None, *, platform_started_at: datetime | None = None) -> None:
    """Fire schedules until `stop()` is true; without it until SIGTERM or SIGINT. Call it in a process's main thread then.

    Several clocks may run: one leads, the others stand by. An error, the database's own included, never ends it.
    `platform_started_at` is when all that this clock is a part of began; a clock by itself is the platform's own beginning.
    """
    Clock(stop or _until_signalled(), started_at=platform_started_at).run()


def _until_signalled() -> Callable[[], bool]:
    """A question that is answered by true once the process was asked to end; the request wakes the clock."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        ring_clock()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    return lambda: bool(asked)


class Clock:
    """One process's clock; `stop` is asked at each turn."""

    def __init__(self, stop: Callable[[], bool], lease: Lease | None = None, *, started_at: datetime | None = None) -> None:
        self.stop = stop
        self.lease = lease or Lease()
        self.started_at: datetime | None = started_at or timezone.now()
        self._pruned_at = time.monotonic()
        self._last_fault = ""
        self._logged_at = 0.0

    def run(self) -> None:
        listener = Listener(layout.bells(), CLOCK_BELL)
        try:
            while not self.stop():
                listener.wait(self._guarded_turn())
        finally:
            listener.close()
            self._leave()

    def turn(self) -> float:
        """Do what is due; returns for how many seconds there is nothing to do."""
        if not self.lease.hold():
            return LOOK_SECONDS
        if self.started_at:
            self._greet(self.started_at)
        if (pause := self._pause()) > 0:
            self._tidy()
            return pause
        size, passed = FIRST_CHUNK, set[int]()
        while fire_next(size, passed) and not self.stop() and self.lease.hold():
            size = CHUNK
        # What is due still is just being dealt with by another clock, or came due this moment.
        return max(0.02 if passed else 0.0, self._pause())

    def _greet(self, started_at: datetime) -> None:
        """The platform has just started, unless another clock was at work since: then this one only takes its place."""
        if self.lease.before is None or self.lease.before < started_at:
            set_off_startups(started_at)
        self.started_at = None

    def _tidy(self) -> None:
        if time.monotonic() - self._pruned_at >= PRUNE_SECONDS:
            self._pruned_at = time.monotonic()
            prune()

    def _pause(self) -> float:
        # Mostly there is nothing: asked without the ORM, once a second for ever.
        if not select_column(_DUE_SOON, [timezone.now() + timedelta(seconds=LOOK_SECONDS)]):
            return LOOK_SECONDS
        rows = Schedule.objects.filter(enabled=True, next_run_at__isnull=False).order_by("next_run_at")
        due = rows.values_list("next_run_at", flat=True).first()
        if due is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.0, (due - timezone.now()).total_seconds()))

    def _guarded_turn(self) -> float:
        try:
            return self.turn()
        except Exception as error:
            self._log(error)
            self.lease.is_ours = False
            # A connection that broke is of no more use; the next turn opens another.
            connection.close()
            return LOOK_SECONDS

    def _log(self, error: Exception) -> None:
        """The same fault is told once a minute, not at each turn."""
        fault = f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if fault != self._last_fault or now - self._logged_at >= REPEAT_LOG_SECONDS:
            self._last_fault, self._logged_at = fault, now
            logger.error("The scheduler could not do its turn and tries again in a second.", exc_info=error)

    def _leave(self) -> None:
        try:
            self.lease.release()
        except Exception as error:
            # Without a database nobody can be told; the lease runs out by itself.
            self._log(error)
