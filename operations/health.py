"""Is the platform well? Gathered in a few small queries; the start page and the API show the same."""

import logging
import os
import shutil
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min
from django.utils import timezone

from core.text import size_words, span_words
from engine.canary import known_report
from engine.findings import IsolationUnavailable
from engine.isolation import PLAIN
from history import draining, limits
from history.models import Host, Run
from history.overview import hosts_alive
from history.status import ALIVE, Status
from schedules.status import clock_status

logger = logging.getLogger(__name__)

OK, DEGRADED, DOWN = "ok", "degraded", "down"
# A run that waits this long beside free places waits for nothing that will come by itself.
QUEUE_STUCK_AFTER = timedelta(seconds=60)
REMEMBERED_SECONDS = 1.0
# A disk is nearly full when it has less room than both: a small one may be fuller than a large one.
LOW_DISK_SHARE, LOW_DISK_BYTES = 0.05, 5_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the platform: `state` is ok, degraded or down, `message` a sentence for people, `advice` what it means to them.

    `detail` is for operators alone: names, reasons, what to do. `seen_at` is when a part that is down was last heard of.
    `has_banner`: all pages say it above everything else.
    """

    state: str
    message: str
    advice: str = ""
    detail: str = ""
    seen_at: datetime | None = None
    has_banner: bool = False

    @property
    def is_running(self) -> bool:
        return self.state != DOWN


@dataclass(frozen=True, slots=True)
class Health:
    """`checks` by name: database, scheduler, workers, queue, disk, isolation.

    `status` is down when the database is, degraded when any other check is not ok.
    """

    status: str
    checks: dict[str, Check]

    @property
    def troubles(self) -> list[Check]:
        """What is not well, without what a banner says."""
        return [check for check in self.checks.values() if check.state != OK and not check.has_banner]


def health() -> Health:
    """The platform's state now. Never raises: what cannot be asked is down."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        checks = {"database": Check(OK, "It answers.", detail=_database_words())}
        checks |= {"scheduler": _scheduler(), "workers": _workers(), "queue": _queue()}
    except DatabaseError:
        logger.exception("The database cannot be asked.")
        unknown = Check(DOWN, "Not known while the database does not answer.")
        checks = {"database": Check(DOWN, "It does not answer."), "scheduler": unknown, "workers": unknown, "queue": unknown}
    checks |= {"disk": _disk(), "isolation": _isolation()}
    if checks["database"].state == DOWN:
        return Health(DOWN, checks)
    return Health(OK if all(check.state == OK for check in checks.values()) else DEGRADED, checks)


def _database_words() -> str:
    if connection.vendor != "sqlite":
        return f"{connection.display_name}."
    size = _size_of(str(connection.settings_dict["NAME"]))
    return f"SQLite{f', {size_words(size)}' if size else ''}."


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # It lies in memory.


def _scheduler() -> Check:
    clock = clock_status()
    if not clock.running:
        waiting = f" {clock.due} due {'time waits' if clock.due == 1 else 'times wait'}." if clock.due else ""
        detail = "Start it with manage.py up or manage.py scheduler."
        return Check(DOWN, "The scheduler is not running.", f"Nothing starts by schedule.{waiting}", detail, clock.beat_at)
    leader = f"The clock of {clock.holder.partition('/')[0]} leads."
    if clock.late_seconds > QUEUE_STUCK_AFTER.total_seconds():
        return Check(DEGRADED, f"The scheduler is {span_words(clock.late_seconds)} late.", detail=leader)
    if stopped := clock.stopped:
        said = f" ({stopped.reason})" if stopped.reason else ""
        return Check(DEGRADED, f"{stopped.by} stopped scheduling{said}.", "No due time starts a run.", leader, stopped.starts_at)
    return Check(OK, "It is on time.", detail=leader)


def _workers() -> Check:
    hosts = hosts_alive()
    if not hosts:
        last = Host.objects.order_by("-seen_at").values_list("seen_at", flat=True).first()
        detail = "Start it with manage.py up or manage.py qcluster."
        return Check(DOWN, "No worker is running.", "Runs wait until one comes.", detail, last)
    names = ", ".join(host.key for host in hosts)
    return Check(OK, f"{len(hosts)} {'host works' if len(hosts) == 1 else 'hosts work'}.", detail=f"{names}.")


def _queue() -> Check:
    waiting = Run.objects.filter(status=Status.QUEUED)
    depth, oldest = waiting.aggregate(depth=Count("pk"), oldest=Min("queued_at")).values()
    if drain := draining.current():
        said = f" ({drain.reason})" if drain.reason else ""
        return Check(DEGRADED, f"Maintenance{said}: {_waiting(depth)}, none starts.", has_banner=True)
    is_old = oldest is not None and timezone.now() - oldest > QUEUE_STUCK_AFTER
    if is_old and Run.objects.filter(status__in=ALIVE).count() < settings.MAX_RUNS and (stuck := _stuck()):
        return Check(DEGRADED, f"{_waiting(stuck)} though there are free places.", detail="The log of the workers says why.")
    return Check(OK, f"{_waiting(depth)}.")


def _stuck() -> int:
    """Runs that have waited long for nothing; what waits for its team, thread or process waits for something."""
    return limits.free_to_start().filter(queued_at__lt=timezone.now() - QUEUE_STUCK_AFTER).count()


def _disk() -> Check:
    """Of the places where this host writes, the one with the least room."""
    used = [(path, shutil.disk_usage(path)) for path in (settings.DATA_PATH, settings.MEDIA_ROOT) if os.path.isdir(path)]
    if not used:
        return Check(OK, "Nothing was written yet.")
    path, usage = min(used, key=lambda one: one[1].free)
    words = f"{size_words(usage.free)} free"
    if usage.free < min(usage.total * LOW_DISK_SHARE, LOW_DISK_BYTES):
        advice = "Runs that write more than that fail."
        return Check(DEGRADED, f"The disk is nearly full: {words}.", advice, f"{path} has {size_words(usage.total)}.")
    return Check(OK, f"{words}.", detail=f"{path} has {size_words(usage.total)}.")


def _isolation() -> Check:
    """Of this host: what others can do stands on their runs."""
    report = known_report()
    if report is None:
        return Check(OK, "It is found out before the first run.")
    try:
        level = report.level
    except IsolationUnavailable as error:
        return Check(DEGRADED, "The isolation that is asked for cannot be had.", "No run starts until it can be had.", error.message)
    detail = " ".join([level.reason, *report.remedies]).strip()
    if level.name == PLAIN and settings.ISOLATION != PLAIN:
        message = "Scripts are not kept from the platform's files: no level of isolation works here."
        return Check(DEGRADED, message, detail=detail)
    return Check(OK, f"Scripts run at level {level.name}.", detail=detail)


def _waiting(depth: int) -> str:
    return f"{depth:,} {'run waits' if depth == 1 else 'runs wait'}"


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

    def forget(self) -> None:
        self.health = None


memory = Remembered()


def recent_health() -> Health:
    """As `health`, at most a second old: what pages and API say, the same to all."""
    return memory.get()
