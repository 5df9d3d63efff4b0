"""What a list shows of each row's runs. Rooms below the history ask by this; it is filled in where all rooms meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers


@dataclass(frozen=True, slots=True)
class Summary:
    """`last_run` is a run or None; the figures are of the newest 100 that have ended."""

    last_run: Any = None
    runs: int = 0
    success: int = 0
    success_rate: float | None = None
    average_duration_ms: int | None = None


Summaries = Callable[[Sequence[Any]], Mapping[int, Summary]]


def no_summaries(rows: Sequence[Any]) -> Mapping[int, Summary]:
    return {row.pk: Summary() for row in rows}


class RunBrief(serializers.Serializer[Any]):
    """A run in short, where something names its last one."""

    id = serializers.IntegerField()
    number = serializers.IntegerField()
    status = serializers.CharField()
    queued_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)


class RunStats(serializers.Serializer[Any]):
    """How the newest runs that have ended went: 100 of them at most."""

    runs = serializers.IntegerField()
    success = serializers.IntegerField()
    success_rate = serializers.FloatField(
        allow_null=True, help_text="From 0 to 1, of those that were not stopped or skipped; null when there are none."
    )
    average_duration_ms = serializers.IntegerField(allow_null=True, help_text="Of those that succeeded.")
