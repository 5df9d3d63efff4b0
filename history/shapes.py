"""How runs look over the API, and what starts and finds them."""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.endpoint import PageQuery, Strict
from core.fields import Id, Moment, Parameters, Several, Text, Whole
from history.failure_shapes import FailureShape
from history.models import Artifact, Run, StepRun
from history.orders import MAX_PRIORITY
from history.retrying import RetryFrom
from history.status import Status, Trigger
from history.waiting import MAX_SECONDS
from history.why_waiting import tell_why


class StepRunShape(serializers.ModelSerializer[StepRun]):
    thread = serializers.IntegerField(source="thread_id", allow_null=True)
    version = serializers.IntegerField(source="version_number")
    duration_ms = serializers.IntegerField(allow_null=True)
    failure = serializers.SerializerMethodField(help_text="Why it failed; null when it did not.")

    class Meta:
        model = StepRun
        fields: ClassVar = [
            "position", "stage", "name", "safe_name", "thread", "version", "parameters", "on_failure", "timeout_seconds", "attempt",
            "status", "reason", "started_at", "finished_at", "duration_ms", "exit_code", "peak_memory_bytes", "cpu_seconds", "isolation",
            "isolation_reason", "outputs", "failure", "retries", "not_before", "earlier_attempts",
        ]  # fmt: skip

    @extend_schema_field(FailureShape(allow_null=True))
    def get_failure(self, step: StepRun) -> dict[str, Any] | None:
        return step.failure or None


class RunShape(serializers.ModelSerializer[Run]):
    team = serializers.CharField(source="team.slug")
    thread = serializers.IntegerField(source="thread_id", allow_null=True)
    process = serializers.IntegerField(source="process_id", allow_null=True)
    schedule = serializers.IntegerField(source="schedule_id", allow_null=True)
    user = serializers.CharField(source="user.username", default=None, allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True, help_text="To the end, or to now while it runs.")
    progress = serializers.FloatField(allow_null=True, help_text="From 0 to 1; null when not known. Of one run also by earlier ones.")
    eta_seconds = serializers.IntegerField(
        default=None, allow_null=True, help_text="What remains of a run that is read alone and running; null when not known."
    )
    output_dir = serializers.CharField(help_text="Relative to `media/process_runs`; empty until it starts.")
    steps = StepRunShape(many=True)
    worker = serializers.CharField(source="host_key", help_text="The host that runs it; empty until it starts.")
    waiting_reason = serializers.CharField(help_text="Why it waits, in words; empty when it does not, and right after it was queued.")

    class Meta:
        model = Run
        fields: ClassVar = [
            "id", "number", "status", "kind", "name", "team", "thread", "process", "schedule", "trigger", "user", "parameters", "priority",
            "queued_at", "started_at", "finished_at", "duration_ms", "exit_code", "reason", "progress", "output_dir", "steps",
            "peak_memory_bytes", "cpu_seconds", "attempt", "worker", "failure_signature", "paused_ms", "eta_seconds",
            "retry_of", "not_before", "waiting_reason",
        ]  # fmt: skip


def show_run(run: Run) -> dict[str, Any]:
    """As `RunShape` has it. Lists should have read team, user and steps before."""
    shown: dict[str, Any] = _shape().to_representation(run)
    return shown


def show_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    tell_why(runs)
    return [show_run(run) for run in runs]


@cache
def _shape() -> RunShape:
    # One for all answers, for it keeps nothing of a run: to build a model's fields anew costs 2 ms each time.
    return RunShape()


class StartBody(Strict):
    parameters = Parameters(required=False)
    priority = Whole(required=False, min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, help_text="Higher ones start first.")


class RetryBody(Strict):
    def get_fields(self) -> dict[str, Any]:
        # A word of Python's own: no attribute can be called so.
        choice = serializers.ChoiceField(choices=RetryFrom.choices, required=False, help_text="`start` when left out.")
        return {**super().get_fields(), "from": choice}


class TriggerQuery(Strict):
    wait = Whole(required=False, min_value=0, help_text=f"Seconds to wait for the end, {MAX_SECONDS} at most.")
    team = Text(required=False, max_length=60, help_text="The team's slug, when several of yours have that name.")


class ThreadTriggerQuery(TriggerQuery):
    folder = Whole(required=False, min_value=0, help_text="The folder's id, when several have that name; 0 for the one in none.")


class Statuses(Several):
    """One or more, by commas or by naming it again."""

    child = serializers.ChoiceField(choices=Status.choices)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list) and all(isinstance(item, str) for item in data):
            data = list(dict.fromkeys(word for item in data for word in item.split(",") if word))
        return super().to_internal_value(data)


class RunQuery(PageQuery):
    status = Statuses(required=False, max_length=len(Status.values))
    number = Whole(required=False, min_value=1, help_text="The #NUMBER of the pages; each team counts its own.")
    thread = Id(required=False)
    process = Id(required=False)
    schedule = Id(required=False)
    team = Text(required=False, max_length=60, help_text="The team's slug.")
    trigger = serializers.ChoiceField(choices=Trigger.choices, required=False)
    user = Text(required=False, max_length=150, help_text="Who started it, by user name.")
    started_after = Moment(required=False)
    started_before = Moment(required=False)
    failure = Text(required=False, max_length=64, help_text="A run's `failure_signature`: those that failed in the same way.")
    q = Text(required=False, allow_blank=True, max_length=100, help_text="Part of the name, or #NUMBER.")


class LogQuery(Strict):
    offset = Whole(required=False, min_value=0, help_text="From this byte on.")
    tail = Whole(required=False, min_value=0, max_value=1_000_000, help_text="The last lines alone.")
    stream = serializers.ChoiceField(
        choices=["stdout", "stderr"], required=False, help_text="Of that part, what came by this stream alone."
    )

    stamps = serializers.BooleanField(
        required=False, default=False, help_text="Time (UTC) and stream before each line: `2026-11-25T15:40:12.345Z stdout It works`."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if "offset" in given and "tail" in given:
            raise serializers.ValidationError({"tail": ["Use offset or tail, not both."]})
        return given


class ArtifactShape(serializers.ModelSerializer[Artifact]):
    class Meta:
        model = Artifact
        fields: ClassVar = ["path", "size_bytes", "modified_at"]
