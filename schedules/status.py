"""Is the clock running, and how late is it?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from schedules.lease import LEASE_SECONDS, is_known_dead
from schedules.models import ClockLease, Pause, Schedule
from schedules.pauses import standstill


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """`due`: schedules whose time has come and that were not started yet, the oldest by `late_seconds`; `next`: the next due time.

    `stopped` is who stopped scheduling as a whole, None while it goes on.
    """

    running: bool
    holder: str
    beat_at: datetime | None
    due: int
    late_seconds: float
    next: datetime | None
    stopped: Pause | None


def clock_status() -> ClockStatus:
    """The scheduler's state as its rows tell it; three small queries, two more while something is overdue."""
    now = timezone.now()
    lease = ClockLease.objects.filter(name="clock").first()
    waiting = Schedule.objects.filter(enabled=True, next_run_at__isnull=False).order_by("next_run_at")
    times = waiting.values_list("next_run_at", flat=True)
    first = times.first()
    is_overdue = first is not None and first <= now
    return ClockStatus(
        running=lease is not None and _leads(lease, now),
        holder=lease.holder if lease else "",
        beat_at=lease.beat_at if lease else None,
        due=waiting.filter(next_run_at__lte=now).count() if is_overdue else 0,
        late_seconds=(now - first).total_seconds() if first and is_overdue else 0.0,
        next=times.filter(next_run_at__gt=now).first() if is_overdue else first,
        stopped=standstill(),
    )


def _leads(lease: ClockLease, now: datetime) -> bool:
    fresh = lease.beat_at is not None and now - lease.beat_at < timedelta(seconds=LEASE_SECONDS)
    return bool(lease.holder) and fresh and not is_known_dead(lease.holder)
