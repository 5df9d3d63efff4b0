"""Schedules of the standing team, and a hand on the time of day."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone


@pytest.fixture
def make_schedule(people: Any, make_thread: Callable[..., Any]) -> Callable[..., Any]:
    """A schedule, every hour on the hour unless said otherwise."""
    from schedules.services import create_schedule

    def make(name: str = "Hourly", **more: Any) -> Any:
        target = more.pop("target", None) or make_thread()
        more.setdefault("kind", "cron")
        if more["kind"] == "cron":
            more.setdefault("cron", "0 * * * *")
        return create_schedule(team=people.team, user=more.pop("user", people.editor), name=name, target=target, **more)

    return make


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Say what time it is for the clock and for the verbs."""
    real = timezone.now

    def set_time(moment: datetime | None) -> None:
        monkeypatch.setattr(timezone, "now", real if moment is None else lambda: moment)

    return set_time


@pytest.fixture
def make_due() -> Callable[..., Any]:
    """Let a schedule's next due time be so many seconds ago."""
    from schedules.models import Schedule

    def move(schedule: Any, seconds: float = 1) -> datetime:
        due_at = timezone.now() - timedelta(seconds=seconds)
        Schedule.objects.filter(pk=schedule.pk).update(next_run_at=due_at)
        return due_at

    return move
