"""The outbox: what happened, written in the transaction in which it happened."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Event(models.Model):
    """A small full state of one topic, not a delta: a reader may skip all but the last.

    `topic` is `run`, `schedule` …, `subject_id` which one. `id` is the stream's Last-Event-ID. `team_id` says who may
    hear of it (a bare number: teams live in a room above); None is for all.
    """

    topic = models.CharField(max_length=20)
    subject_id = models.BigIntegerField(null=True)
    team_id = models.BigIntegerField(null=True)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["created_at"], name="event_by_age")]

    def __str__(self) -> str:
        return f"{self.topic} {self.subject_id or ''}".strip()
