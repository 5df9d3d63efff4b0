"""Is the platform well? Gathered in a few small queries; the page and the API show the same."""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from history.models import Host, Run
from history.status import ALIVE, Status
from schedules.status import clock_status

logger = logging.getLogger(__name__)

OK, DEGRADED, DOWN = "ok", "degraded", "down"
HOST_SEEN_WITHIN = timedelta(seconds=30)
# A run that waits this long beside free places waits for nothing that will come by itself.
QUEUE_STUCK_AFTER = timedelta(seconds=60)
REMEMBERED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the platform: `state` is ok, degraded or down, `message` a sentence for the operator."""

    state: str
    message: str


@dataclass(frozen=True, slots=True)
class Health:
    """`checks` by name: database, scheduler, workers, queue.

    `status` is down when the database is, degraded when any other check is not ok.
    """

    status: str
    checks: dict[str, Check]


def health() -> Health:
    """The platform's state now. Never raises: what cannot be asked is down."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        checks = {"database": Check(OK, "It answers."), "scheduler": _scheduler(), "workers": _workers(), "queue": _queue()}
    except DatabaseError:
        logger.exception("The database cannot be asked.")
        unknown = Check(DOWN, "Not known while the database does not answer.")
        checks = {"database": Check(DOWN, "It does not answer."), "scheduler": unknown, "workers": unknown, "queue": unknown}
    if checks["database"].state == DOWN:
        return Health(DOWN, checks)
    return Health(OK if all(check.state == OK for check in checks.values()) else DEGRADED, checks)


def _scheduler() -> Check:
    clock = clock_status()
    if not clock.running:
        return Check(DOWN, f"No clock runs; {clock.due} due times wait." if clock.due else "No clock runs.")
    if clock.late_seconds > QUEUE_STUCK_AFTER.total_seconds():
        return Check(DEGRADED, f"It is {clock.late_seconds:.0f} s late.")
    return Check(OK, f"{clock.holder} leads.")


def _workers() -> Check:
    hosts = Host.objects.filter(seen_at__gt=timezone.now() - HOST_SEEN_WITHIN).count()
    if not hosts:
        return Check(DOWN, f"No host was seen within {HOST_SEEN_WITHIN.total_seconds():.0f} s.")
    return Check(OK, f"{hosts} {'host works' if hosts == 1 else 'hosts work'}.")


def _queue() -> Check:
    waiting = Run.objects.filter(status=Status.QUEUED)
    depth, oldest = waiting.count(), waiting.order_by("pk").values_list("queued_at", flat=True).first()
    is_old = oldest is not None and timezone.now() - oldest > QUEUE_STUCK_AFTER
    if is_old and Run.objects.filter(status__in=ALIVE).count() < settings.MAX_RUNS:
        return Check(DEGRADED, f"{depth} runs wait though there are free places.")
    return Check(OK, f"{depth} {'run waits' if depth == 1 else 'runs wait'}.")


class Remembered:
    """The health of a second ago at most: anybody may ask, and as often as he likes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = float("-inf")
        self.health: Health | None = None

    def get(self) -> Health:
        with self.lock:
            if self.health is None or time.monotonic() - self.at > REMEMBERED_SECONDS:
                self.health, self.at = health(), time.monotonic()
            return self.health
