"""How a schedule and its due times are written down and told to the world."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from core import layout
from core.doorbell import ring
from events.models import Event
from schedules.models import Firing, Outcome, Schedule

CLOCK_BELL = "clock"


def skipped(schedule: Schedule, times: Iterable[tuple[datetime, int]], reason: str) -> list[Firing]:
    """Rows, not saved yet, that tell why these due times (each with the number it stands for) came to nothing."""
    return [Firing(schedule=schedule, due_at=due_at, outcome=Outcome.SKIPPED, reason=reason, covers=covers) for due_at, covers in times]


def schedule_event(schedule: Schedule, firing: Firing | None = None, *, deleted: bool = False) -> Event:
    """What the streams are told of a schedule; with `firing` what became of its latest due time."""
    return Event(
        topic="schedule",
        subject_id=schedule.pk,
        team_id=schedule.team_id,
        payload={
            "id": schedule.pk,
            "name": schedule.name,
            "enabled": schedule.enabled,
            "next_run_at": schedule.next_run_at.isoformat() if schedule.next_run_at else None,
            "run_count": schedule.run_count,
            "fault": schedule.fault,
            "deleted": deleted,
            "outcome": firing.outcome if firing else None,
            "reason": firing.reason if firing else "",
            "due_at": firing.due_at.isoformat() if firing else None,
            "run": firing.run_id if firing else None,
        },
    )


def wake_clock() -> None:
    """Once this transaction is committed, the clock looks again at what is due next."""
    transaction.on_commit(ring_clock)


def ring_clock() -> None:
    ring(layout.bells(), CLOCK_BELL)
