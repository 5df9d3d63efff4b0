"""Which clock leads: a leased row. It saves work and no more; that nothing fires twice rests on the compare-and-set of `firing`.

A standby takes over when it has not seen the row change for a whole lease by its own monotonic clock, so neither
clocks that differ between hosts nor a time that jumps makes two leaders or none. A leader of this host whose process
is gone is replaced at once.
"""

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from core.kernel import boot_id
from schedules.models import ClockLease

LEASE_SECONDS = 10.0
RENEW_SECONDS = 2.0
_LONG_DEAD = timedelta(minutes=2)


def _start_of(pid: int) -> str:
    """When a process started, in ticks since boot; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _machine() -> str:
    """This host since its boot, and its space of process ids: within it a pid tells who lives."""
    return f"{settings.HOST_KEY[:60]}/{boot_id()[:8]}/{os.stat('/proc/self/ns/pid').st_ino}"


def own_name() -> str:
    return f"{_machine()}/{os.getpid()}/{_start_of(os.getpid())}"


def is_known_dead(holder: str) -> bool:
    """True when the holder was a process of this machine and is no more; False when it lives or cannot be seen from here."""
    machine, _, rest = holder.rpartition("/")[0].rpartition("/")
    if not rest.isdigit() or not machine:
        return False
    if machine.rsplit("/", 2)[0] != settings.HOST_KEY[:60]:
        return False
    if machine != _machine():
        # The same host before its last boot; another container of that name cannot be told apart and is left alone.
        return machine.rsplit("/", 1)[1] == _machine().rsplit("/", 1)[1]
    return _start_of(int(rest)) != holder.rpartition("/")[2]


class Lease:
    """One clock's view of the lease."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or own_name()
        self.is_ours = False
        # When the clock before this one was last seen at work; None when there was none.
        self.before: datetime | None = None
        self._seen: object = None
        self._seen_at = 0.0
        self._renewed_at = 0.0

    def hold(self) -> bool:
        """Whether this clock leads now: renews when due, takes over when nobody leads. One small query at most per renewal."""
        now = time.monotonic()
        if self.is_ours and now - self._renewed_at < RENEW_SECONDS:
            return True
        self.is_ours = self._renew() or self._take_over(now)
        self._renewed_at = now
        return self.is_ours

    def _renew(self) -> bool:
        return self._write(ClockLease.objects.filter(name="clock", holder=self.name))

    def _take_over(self, now: float) -> bool:
        row, created = ClockLease.objects.get_or_create(name="clock", defaults={"holder": self.name, **_times()})
        if created:
            return True
        state = (row.holder, row.expires_at)
        if state != self._seen:
            self._seen, self._seen_at = state, now
        stale = now - self._seen_at >= LEASE_SECONDS or row.expires_at < timezone.now() - _LONG_DEAD
        if row.holder and not stale and not is_known_dead(row.holder):
            return False
        self.before = row.beat_at
        # Of several that see it free, one wins.
        return self._write(ClockLease.objects.filter(name="clock", holder=row.holder, expires_at=row.expires_at))

    def _write(self, rows: "QuerySet[ClockLease]") -> bool:
        return bool(rows.update(holder=self.name, **_times()))

    def release(self) -> None:
        """Leave the lead to whoever comes next, at once."""
        self.is_ours = False
        ClockLease.objects.filter(name="clock", holder=self.name).update(holder="")


def _times() -> dict[str, datetime]:
    now = timezone.now()
    return {"expires_at": now + timedelta(seconds=LEASE_SECONDS), "beat_at": now}
