"""When a schedule is due. Pure: no database, no clock of its own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from schedules.cron import Cron, parse
from schedules.zones import zone_of

# More missed times than this are told by one row.
MOST_SINGLE_ROWS = 100


class Timed(Protocol):
    """What has a schedule's timing fields: the model, and the fields of one that is not saved yet."""

    kind: str
    cron: str
    interval_seconds: int | None
    anchor_at: datetime
    run_at: datetime | None
    timezone: str


@dataclass(frozen=True, slots=True)
class Timing:
    """The due times of one schedule. Interval times are `anchor_at` + n x interval, n from 1: they do not drift."""

    kind: str
    zone: ZoneInfo
    cron: Cron | None = None
    interval: timedelta | None = None
    anchor_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    run_at: datetime | None = None

    @classmethod
    def of(cls, row: Timed) -> "Timing":
        """InvalidInput when the row's expression or zone cannot be used."""
        return cls(
            kind=row.kind,
            zone=zone_of(row.timezone),
            cron=parse(row.cron) if row.kind == "cron" else None,
            interval=timedelta(seconds=row.interval_seconds or 0) if row.kind == "interval" else None,
            anchor_at=row.anchor_at,
            run_at=row.run_at if row.kind == "once" else None,
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time (UTC) strictly after `moment`, None when there is none."""
        if self.cron:
            return self.cron.next_after(moment, self.zone)
        if self.interval:
            return self.anchor_at + self.interval * max(1, (moment - self.anchor_at) // self.interval + 1)
        return self.run_at if self.run_at and self.run_at > moment else None

    def last_until(self, due: datetime, until: datetime) -> datetime:
        """The latest due time up to `until`; `due` is one already. Looks back in widening windows, so it costs little after any gap."""
        if self.interval:
            return due + self.interval * ((until - due) // self.interval)
        window = timedelta(minutes=2)
        while (start := until - window) > due:
            if (found := self.next_after(start)) and found <= until:
                return self._last_from(found, until)
            window *= 4
        return self._last_from(due, until)

    def _last_from(self, due: datetime, until: datetime) -> datetime:
        while (following := self.next_after(due)) and following <= until:
            due = following
        return due

    def count(self, after: datetime, until: datetime) -> int:
        """How many due times lie in (after, until]."""
        if self.cron:
            return self.cron.count(after, until, self.zone)
        if self.interval:
            return max(0, (until - self.anchor_at) // self.interval) - max(0, (after - self.anchor_at) // self.interval)
        return int(self.run_at is not None and after < self.run_at <= until)


@dataclass(frozen=True, slots=True)
class Arrears:
    """What has come due of one schedule: `latest` fires, `missed` (due time, how many it stands for) does not, `following` comes next."""

    latest: datetime
    missed: tuple[tuple[datetime, int], ...]
    following: datetime | None


def arrears(timing: Timing, due: datetime, until: datetime) -> Arrears:
    """All due times from `due`, which has come, up to `until`. Long rows of them are one entry that counts them."""
    times = [due]
    while (following := timing.next_after(times[-1])) and following <= until:
        times.append(following)
        if len(times) > MOST_SINGLE_ROWS + 1:
            return _long_arrears(timing, due, until)
    return Arrears(latest=times[-1], missed=tuple((time, 1) for time in times[:-1]), following=following)


def _long_arrears(timing: Timing, due: datetime, until: datetime) -> Arrears:
    latest = timing.last_until(due, until)
    return Arrears(latest=latest, missed=((due, timing.count(due, latest)),), following=timing.next_after(latest))
