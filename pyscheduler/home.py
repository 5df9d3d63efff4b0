"""What the start page draws and what comes next; what was and is going on it has from `history.overview`."""

from dataclasses import dataclass

from accounts.models import User
from history.overview import Day, Hour
from schedules.models import Schedule


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the picture: where it is drawn, in units of its view box."""

    x: int
    y: float
    height: float
    tone: str
    title: str


def bars_of(day: Day) -> list[Bar]:
    most = max((hour.total for hour in day.hours), default=0) or 1
    return [bar for position, hour in enumerate(day.hours) for bar in _bars(position * 10, hour, 50 / most)]


def _bars(x: int, hour: Hour, scale: float) -> list[Bar]:
    title = f"{hour.begins_at:%H:%M} UTC: {hour.good} succeeded, {hour.bad} failed, {hour.other} others"
    if not hour.total:
        return [Bar(x, 54, 2, "none", title)]
    bars, bottom = [], 56.0
    for tone, count in (("good", hour.good), ("other", hour.other), ("bad", hour.bad)):
        if count:
            height = max(2.0, round(count * scale, 1))
            bottom -= height
            bars.append(Bar(x, round(bottom, 1), height, tone, title))
    return bars


def next_schedules(user: User, most: int) -> list[Schedule]:
    rows = Schedule.objects.visible_to(user).filter(enabled=True, next_run_at__isnull=False)
    return list(rows.select_related("team", "thread", "process").order_by("next_run_at")[:most])
