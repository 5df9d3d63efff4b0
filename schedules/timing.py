"""When a schedule is due. Pure: no database, no clock of its own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Protocol
from zoneinfo import ZoneInfo

from schedules.cron import Cron, parse
from schedules.zones import zone_of

# More missed times than this are told by one row.
MOST_SINGLE_ROWS = 100
_INSTANT = timedelta(microseconds=1)


class Timed(Protocol):
    """What has a schedule's timing fields: the model, and the fields of one that is not saved yet."""

    kind: str
    cron: str
    interval_seconds: int | None
    anchor_at: datetime
    run_at: datetime | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    jitter_seconds: int


@dataclass(frozen=True, slots=True)
class Timing:
    """The due times of one schedule. Interval times are `anchor_at` + n x interval, n from 1: they do not drift.

    All lie from `starts_at` to `ends_at`. What is due starts up to `jitter` later; `seed` tells apart schedules of one timing.
    """

    kind: str
    zone: ZoneInfo
    cron: Cron | None = None
    interval: timedelta | None = None
    anchor_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    run_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    jitter: timedelta = timedelta(0)
    seed: int = 0

    @classmethod
    def of(cls, row: Timed, *, seed: int = 0) -> "Timing":
        """InvalidInput when the row's expression or zone cannot be used."""
        interval = timedelta(seconds=row.interval_seconds or 0) if row.kind == "interval" else None
        return cls(
            kind=row.kind,
            zone=zone_of(row.timezone),
            cron=parse(row.cron) if row.kind == "cron" else None,
            interval=interval,
            # The first time is the start itself.
            anchor_at=row.starts_at - interval if interval and row.starts_at else row.anchor_at,
            run_at=row.run_at if row.kind == "once" else None,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            jitter=timedelta(seconds=row.jitter_seconds),
            seed=seed,
        )

    def start_of(self, due: datetime) -> datetime:
        """When what is due then starts: up to `jitter` later, chosen by the time itself, so that asking again gives the same."""
        if not self.jitter:
            return due
        dice = blake2b(f"{self.seed} {due.timestamp()}".encode(), digest_size=8).digest()
        return due + self.jitter * (int.from_bytes(dice) / 2**64)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time (UTC) strictly after `moment`, None when there is none."""
        if self.starts_at and moment < self.starts_at:
            moment = self.starts_at - _INSTANT
        due = self._unbounded_after(moment)
        return None if due and self.ends_at and due > self.ends_at else due

    def _unbounded_after(self, moment: datetime) -> datetime | None:
        if self.cron:
            return self.cron.next_after(moment, self.zone)
        if self.interval:
            return self.anchor_at + self.interval * max(1, (moment - self.anchor_at) // self.interval + 1)
        return self.run_at if self.run_at and self.run_at > moment else None

    def count(self, after: datetime, until: datetime) -> int:
        """How many due times lie in (after, until]."""
        after = max(after, self.starts_at - _INSTANT) if self.starts_at else after
        until = min(until, self.ends_at) if self.ends_at else until
        if self.cron:
            return self.cron.count(after, until, self.zone)
        if self.interval:
            return max(0, (until - self.anchor_at) // self.interval) - max(0, (after - self.anchor_at) // self.interval)
        return int(self.run_at is not None and after < self.run_at <= until)

    def latest(self, due: datetime, until: datetime, most: int) -> list[datetime]:
        """The last `most` due times up to `until`, ascending; `due` is one already."""
        window = timedelta(minutes=2)
        while True:
            start = max(due, until - window)
            times = self._between(start, until)
            if start == due:
                return [due, *times][-most:]
            if len(times) >= most:
                return times[-most:]
            window *= 4

    def _between(self, after: datetime, until: datetime) -> list[datetime]:
        times = []
        while (following := self.next_after(after)) and following <= until:
            times.append(following)
            after = following
        return times


@dataclass(frozen=True, slots=True)
class Arrears:
    """What has come due of one schedule: `times`, ascending, and what lies before them, `earlier` (due time, how many it stands for).

    `following` comes next.
    """

    times: tuple[datetime, ...]
    earlier: tuple[tuple[datetime, int], ...]
    following: datetime | None


def arrears(timing: Timing, due: datetime, until: datetime) -> Arrears:
    """All due times from `due`, which has come, that start up to `until`. Of long rows the last are told one by one, the others counted."""
    times = [due]
    while (following := timing.next_after(times[-1])) and timing.start_of(following) <= until:
        times.append(following)
        if len(times) > MOST_SINGLE_ROWS + 1:
            return _long_arrears(timing, due, until)
    return Arrears(times=tuple(times), earlier=(), following=following)


def _long_arrears(timing: Timing, due: datetime, until: datetime) -> Arrears:
    # What may start later for its jitter is left for the next look.
    times = timing.latest(due, max(due, until - timing.jitter), MOST_SINGLE_ROWS)
    count = timing.count(due, times[0])
    return Arrears(times=tuple(times), earlier=((due, count),) if count else (), following=timing.next_after(times[-1]))
