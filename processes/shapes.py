"""How processes look over the API."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.checks import MAX_RUNS
from core.endpoint import PageQuery, Strict
from core.fields import Id, Parameters, Several, Text, Whole
from processes.models import MAX_STEPS, OnFailure, Process, Step
from threads.limits import MAX_TIMEOUT_SECONDS
from threads.repeats import MAX_RETRIES
from threads.summaries import RunBrief, RunStats

MAX_STAGE = 10_000


class StepShape(serializers.ModelSerializer[Step]):
    thread = serializers.IntegerField(source="thread_id")

    class Meta:
        model = Step
        fields: ClassVar = ["position", "stage", "thread", "parameters", "on_failure", "timeout_seconds", "retries"]


class ProcessShape(serializers.ModelSerializer[Process]):
    team = serializers.CharField(source="team.slug")
    steps = StepShape(many=True)
    last_run = serializers.SerializerMethodField()
    stats = serializers.SerializerMethodField()

    class Meta:
        model = Process
        fields: ClassVar = [
            "id", "team", "name", "safe_name", "description", "max_runs", "enabled", "steps",
            "created_at", "updated_at", "last_run", "stats",
        ]  # fmt: skip

    @extend_schema_field(RunBrief(allow_null=True))
    def get_last_run(self, process: Process) -> Any:
        last = self.context["summaries"][process.pk].last_run
        return RunBrief(last).data if last else None

    @extend_schema_field(RunStats)
    def get_stats(self, process: Process) -> Any:
        return RunStats(self.context["summaries"][process.pk]).data


class StepBody(Strict):
    # A client that reads steps and sends them back may leave their positions in: the order of the list is what counts.
    position = Whole(required=False, allow_null=True)
    thread = Id()
    stage = Whole(
        required=False, min_value=0, max_value=MAX_STAGE, help_text="Steps of one stage run side by side; one of its own when left out."
    )
    parameters = Parameters(required=False)
    on_failure = serializers.ChoiceField(choices=OnFailure.choices, required=False)
    timeout_seconds = Whole(
        required=False, allow_null=True, min_value=1, max_value=MAX_TIMEOUT_SECONDS, help_text="The thread's own when null."
    )
    retries = Whole(required=False, allow_null=True, min_value=0, max_value=MAX_RETRIES, help_text="The thread's own when null.")


class ProcessBody(Strict):
    read_only_names = frozenset({"id", "safe_name", "created_at", "updated_at", "last_run", "stats"})

    team = Text(required=False, max_length=60, help_text="The team's slug; may be left out when there is one team you may write in.")
    name = Text()
    description = Text(required=False, allow_blank=True, default="")
    max_runs = Whole(
        required=False, allow_null=True, default=None, min_value=1, max_value=MAX_RUNS, help_text="Runs at once; null for no limit."
    )
    enabled = serializers.BooleanField(required=False, default=True)
    steps = Several(child=StepBody(), required=False, default=list, max_length=MAX_STEPS)


class ProcessQuery(PageQuery):
    team = Text(required=False, max_length=60, help_text="The team's slug.")
    enabled = serializers.BooleanField(required=False)
    safe_name = Text(required=False, max_length=60)
    q = Text(required=False, allow_blank=True, max_length=100, help_text="Part of the name, the safe name or the description.")
