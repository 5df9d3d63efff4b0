"""Telling the world: one outbox row in the transaction, one bell after it."""

import json
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from core import layout
from core.doorbell import ring
from core.rows import insert_rows
from events.models import Event

WEB_BELL = "web"
KEEP = timedelta(minutes=10)
CHANNEL = "pyscheduler_events"


def publish(topic: str, subject_id: int | None = None, *, team_id: int | None, **state: Any) -> None:
    """Record what one `topic` is like now and, once that is committed, wake the streams."""
    publish_all([Event(topic=topic, subject_id=subject_id, team_id=team_id, payload=state)])


def publish_all(events: list[Event]) -> None:
    """Several at once: one statement, one bell."""
    rows = [(event.topic, event.subject_id, event.team_id, json.dumps(event.payload), event.created_at) for event in events]
    insert_rows(Event, ("topic", "subject_id", "team_id", "payload", "created_at"), rows)
    notify(CHANNEL)
    transaction.on_commit(ring_web)


def ring_web() -> None:
    ring(layout.bells(), WEB_BELL)


def notify(channel: str) -> None:
    """On PostgreSQL, wake listeners on other hosts when the transaction commits; equal ones in it are sent once."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {channel}")


def prune() -> int:
    """Drop events that no reconnecting page will ask for; returns how many.

    The newest stays: its id is where the streams of pages begin that are drawn while nothing happens.
    """
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first()
    return Event.objects.filter(created_at__lt=timezone.now() - KEEP, pk__lt=newest or 0).delete()[0]
