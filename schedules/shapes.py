"""How schedules look over the API."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.endpoint import PageQuery, Strict
from core.fields import Id, Parameters, Text, Whole
from history.orders import MAX_PRIORITY
from history.status import Kind
from schedules.models import MAX_INTERVAL_SECONDS, MAX_JITTER_SECONDS, MAX_REASON, Missed, Overlap, Pause, Schedule, ScheduleKind
from schedules.preview import MAX_COUNT
from threads.limits import MAX_TIMEOUT_SECONDS
from threads.repeats import MAX_RETRIES
from threads.summaries import RunBrief


class ScheduleShape(serializers.ModelSerializer[Schedule]):
    team = serializers.CharField(source="team.slug")
    target_type = serializers.SerializerMethodField()
    target = serializers.SerializerMethodField(help_text="The id of the thread or process.")
    last_run = serializers.SerializerMethodField()
    skip_next_by = serializers.CharField(help_text="Who wants the next due time left out; empty when nobody does.")
    fault = serializers.CharField(help_text="Why it was set aside; empty when it was not.")

    class Meta:
        model = Schedule
        fields: ClassVar = [
            "id", "team", "name", "target_type", "target", "kind", "cron", "interval_seconds", "run_at", "timezone", "starts_at", "ends_at",
            "jitter_seconds", "enabled", "priority", "parameters", "overlap", "missed", "retries", "timeout_seconds", "next_run_at",
            "skip_next_by", "last_run", "run_count", "fault", "created_at", "updated_at",
        ]  # fmt: skip

    @extend_schema_field(serializers.ChoiceField(choices=Kind.choices))
    def get_target_type(self, schedule: Schedule) -> str:
        return str(Kind.THREAD if schedule.thread_id else Kind.PROCESS)

    def get_target(self, schedule: Schedule) -> int:
        return schedule.thread_id or schedule.process_id or 0

    @extend_schema_field(RunBrief(allow_null=True))
    def get_last_run(self, schedule: Schedule) -> Any:
        last = self.context["last_runs"].get(schedule.pk)
        return RunBrief(last).data if last else None


class TimingBody(Strict):
    """When; the schedules' own checks say what is wrong with it."""

    kind = serializers.ChoiceField(choices=ScheduleKind.choices)
    cron = Text(required=False, allow_blank=True, max_length=200, default="", help_text="Five fields, or a word such as @daily.")
    interval_seconds = Whole(required=False, allow_null=True, min_value=1, max_value=MAX_INTERVAL_SECONDS, default=None)
    run_at = Text(
        required=False, allow_null=True, allow_blank=True, max_length=50, default=None,
        help_text="ISO 8601; without an offset it is the time of `timezone`.",
    )  # fmt: skip
    timezone = Text(required=False, max_length=64, default="UTC", help_text="Such as Europe/Berlin.")
    starts_at = Text(required=False, allow_null=True, allow_blank=True, max_length=50, default=None, help_text="No time is due before it.")
    ends_at = Text(required=False, allow_null=True, allow_blank=True, max_length=50, default=None, help_text="No time is due after it.")
    jitter_seconds = Whole(
        required=False, min_value=0, max_value=MAX_JITTER_SECONDS, default=0, help_text="Each time starts up to so much later."
    )


class ScheduleBody(TimingBody):
    read_only_names = frozenset({"id", "next_run_at", "skip_next_by", "last_run", "run_count", "fault", "created_at", "updated_at"})

    team = Text(required=False, max_length=60, help_text="The team's slug; the target's when left out.")
    name = Text()
    target_type = serializers.ChoiceField(choices=Kind.choices)
    target = Id(help_text="The id of the thread or process.")
    enabled = serializers.BooleanField(required=False, default=True)
    priority = Whole(required=False, min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, default=0)
    parameters = Parameters(required=False, default=dict)
    overlap = serializers.ChoiceField(
        choices=Overlap.choices, required=False, default=Overlap.ALLOW, help_text="While an earlier run of it has not ended."
    )
    missed = serializers.ChoiceField(
        choices=Missed.choices, required=False, default=Missed.LATEST, help_text="Due times that passed while the platform was not running."
    )
    retries = Whole(
        required=False, allow_null=True, min_value=0, max_value=MAX_RETRIES, default=None, help_text="Null: those of the threads."
    )
    timeout_seconds = Whole(
        required=False, allow_null=True, min_value=1, max_value=MAX_TIMEOUT_SECONDS, default=None, help_text="Of each step. Null: its own."
    )


class PreviewBody(ScheduleBody):
    """A schedule's fields, of which those that say when are needed."""

    name = Text(required=False, allow_blank=True)
    target_type = serializers.ChoiceField(choices=Kind.choices, required=False)
    target = Id(required=False, allow_null=True)
    after = Text(required=False, allow_null=True, max_length=50, help_text="The times after this one; now when left out.")
    count = Whole(required=False, min_value=1, max_value=MAX_COUNT, default=5)


class PreviewShape(serializers.Serializer[Any]):
    next = serializers.ListField(child=serializers.DateTimeField())
    description = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField())


class TemplateShape(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    cron = serializers.CharField()
    words = serializers.CharField(help_text="When it runs, in the schedule's zone.")


class TemplatesShape(serializers.Serializer[Any]):
    templates = TemplateShape(many=True)


class ToggleBody(Strict):
    enabled = serializers.BooleanField(required=False, help_text="The other of what it is when left out.")


class SkipBody(Strict):
    skip = serializers.BooleanField(required=False, default=True, help_text="False: not after all.")


class PauseShape(serializers.ModelSerializer[Pause]):
    ends_at = serializers.DateTimeField(allow_null=True, help_text="Null: until somebody ends it.")

    class Meta:
        model = Pause
        fields: ClassVar = ["id", "starts_at", "ends_at", "reason", "by", "created_at"]


class StopBody(Strict):
    reason = Text(required=False, allow_blank=True, max_length=MAX_REASON, default="", help_text="What the record of due times says.")


class PauseBody(StopBody):
    starts_at = Text(required=False, allow_null=True, allow_blank=True, max_length=50, default=None, help_text="Now when left out.")
    ends_at = Text(
        required=False, allow_null=True, allow_blank=True, max_length=50, default=None, help_text="Until somebody ends it when left out."
    )


class ScheduleQuery(PageQuery):
    team = Text(required=False, max_length=60, help_text="The team's slug.")
    thread = Id(required=False)
    process = Id(required=False)
    kind = serializers.ChoiceField(choices=ScheduleKind.choices, required=False)
    enabled = serializers.BooleanField(required=False)
    q = Text(required=False, allow_blank=True, max_length=100, help_text="Part of the name, or of the target's.")


class ComingShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    next_run_at = serializers.DateTimeField()


class ClockShape(serializers.Serializer[Any]):
    running = serializers.BooleanField()
    holder = serializers.CharField(help_text="Which scheduler leads.")
    beat_at = serializers.DateTimeField(allow_null=True)
    due = serializers.IntegerField(help_text="Due times that have come and were not started yet.")
    late_seconds = serializers.FloatField()
    next = ComingShape(many=True)
    stopped = PauseShape(allow_null=True, help_text="Who stopped scheduling as a whole; null while it goes on.")
