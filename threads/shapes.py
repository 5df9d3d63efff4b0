"""How threads, their versions and folders look over the API."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.checks import MAX_RUNS
from core.endpoint import PageQuery, Strict
from core.fields import Id, Several, Text, Whole
from environments.shapes import EnvironmentBrief, brief
from threads.limits import LIMITS, MAX_TIMEOUT_SECONDS
from threads.models import (
    Folder,
    Thread,
    ThreadDraft,
    ThreadType,
    ThreadVersion,
    VersionFile,
    default_timeout,
)
from threads.repeats import MAX_CODES, MAX_DELAY_SECONDS, MAX_RETRIES, REPEATS
from threads.summaries import RunBrief, RunStats
from threads.variable_shapes import Env, env_of


class FileShape(serializers.ModelSerializer[VersionFile]):
    class Meta:
        model = VersionFile
        fields: ClassVar = ["path", "role", "size_bytes", "digest"]


class ThreadShape(serializers.ModelSerializer[Thread]):
    team = serializers.CharField(source="team.slug")
    folder = serializers.IntegerField(source="folder_id", allow_null=True)
    source = serializers.CharField(source="current_version.source", default="", help_text="What runs; empty while there is only a draft.")  # type: ignore[assignment]
    version = serializers.IntegerField(source="current_version.number", default=None, allow_null=True)
    files = FileShape(source="current_version.files", many=True, default=())
    environment = serializers.SerializerMethodField()
    env = serializers.SerializerMethodField()
    last_run = serializers.SerializerMethodField()
    stats = serializers.SerializerMethodField()

    class Meta:
        model = Thread
        fields: ClassVar = [
            "id", "team", "folder", "name", "safe_name", "type", "description", "source", "version", "files",
            "python_version", "requirements", "environment", "env", "timeout_seconds", *LIMITS, "network", *REPEATS, "enabled",
            "created_at", "updated_at", "last_run", "stats",
        ]  # fmt: skip

    @extend_schema_field(EnvironmentBrief)
    def get_environment(self, thread: Thread) -> Any:
        return EnvironmentBrief(brief(thread.environment, thread.environment_build)).data

    @extend_schema_field(Env)
    def get_env(self, thread: Thread) -> Any:
        return env_of(thread)

    @extend_schema_field(RunBrief(allow_null=True))
    def get_last_run(self, thread: Thread) -> Any:
        last = self.context["summaries"][thread.pk].last_run
        return RunBrief(last).data if last else None

    @extend_schema_field(RunStats)
    def get_stats(self, thread: Thread) -> Any:
        return RunStats(self.context["summaries"][thread.pk]).data


def limit(name: str, help_text: str) -> Whole:
    bound = LIMITS[name]
    return Whole(required=False, allow_null=True, default=None, min_value=bound.least, max_value=bound.most, help_text=help_text)


class ThreadBody(Strict):
    read_only_names = frozenset({"id", "safe_name", "version", "files", "environment", "created_at", "updated_at", "last_run", "stats"})

    team = Text(required=False, max_length=60, help_text="The team's slug; may be left out when there is one team you may write in.")
    folder = Id(required=False, allow_null=True, default=None)
    name = Text()
    source = Text(allow_blank=True)  # type: ignore[assignment]
    type = serializers.ChoiceField(choices=ThreadType.choices, required=False, default=ThreadType.OTHER)
    description = Text(required=False, allow_blank=True, default="")
    timeout_seconds = Whole(required=False, min_value=1, max_value=MAX_TIMEOUT_SECONDS, default=default_timeout)
    memory_limit_mb = limit("memory_limit_mb", "Of all its processes together, in MiB; null for the platform's limit.")
    cpu_limit = limit("cpu_limit", "Seconds of processor time; null for none.")
    process_limit = limit("process_limit", "Processes at once; null for the platform's limit.")
    output_limit_mb = limit("output_limit_mb", "What it may print, in MiB; null for the platform's limit; its log is cut anyway.")
    directory_limit_mb = limit("directory_limit_mb", "What its directory may hold, in MiB; null for the platform's limit.")
    network = serializers.BooleanField(required=False, default=True, help_text="False runs it without a network.")
    max_runs = Whole(
        required=False, allow_null=True, default=None, min_value=1, max_value=MAX_RUNS, help_text="Runs at once; null for no limit."
    )
    retries = Whole(required=False, default=0, min_value=0, max_value=MAX_RETRIES, help_text="How often a failure is tried again.")
    retry_delay_seconds = Whole(
        required=False,
        default=10,
        min_value=1,
        max_value=MAX_DELAY_SECONDS,
        help_text="Before the first retry; doubled each time, an hour at most.",
    )
    retry_exit_codes = Several(
        child=Whole(min_value=-64, max_value=255), required=False, default=list, max_length=MAX_CODES,
        help_text="Only these are tried again; every failure when empty, a time-out and a loss to a reboot too.",
    )  # fmt: skip
    enabled = serializers.BooleanField(required=False, default=True)
    python_version = Text(
        required=False, allow_blank=True, max_length=20, default="", help_text="Such as `3.12`; empty for the platform's own."
    )
    requirements = Text(
        required=False, allow_blank=True, max_length=20_000, default="", help_text="A line per package, such as `requests>=2.31`."
    )
    env = Env(
        required=False,
        help_text='Its own; left out, they stay. A secret is `{"secret": true, "value": "TEXT"}`; without `value` it stays as it is.',
    )


class NewThreadBody(ThreadBody):
    source = Text(required=False, allow_blank=True, help_text="Python; without it the thread is a draft that cannot run yet.")


# How many a thread has in all is said by its services.
MOST_LISTED = 100


@extend_schema_field(OpenApiTypes.BINARY)
class SentFile(serializers.FileField):
    """A file of a form."""


class ThreadUpload(ThreadBody):
    """The same as files of a form."""

    read_only_names = ThreadBody.read_only_names - {"files"}

    name = Text(required=False, help_text="The script's file name when left out.")
    source = Text(required=False, allow_blank=True)
    script = SentFile(required=False, allow_empty_file=True, help_text="The `.py` file.")
    input_file = SentFile(required=False, allow_empty_file=True, help_text="A `.csv` file that the script finds at `PYSCHED_INPUT`.")
    files = Several(
        child=SentFile(allow_empty_file=True), required=False, max_length=MOST_LISTED, help_text="Further files beside the script."
    )
    remove = Several(
        child=Text(max_length=150), required=False, max_length=MOST_LISTED, help_text="Names of files to take away; for changes alone."
    )


class ThreadQuery(PageQuery):
    team = Text(required=False, max_length=60, help_text="The team's slug.")
    folder = Whole(required=False, min_value=0, help_text="A folder's id; 0 for threads in none.")
    type = serializers.ChoiceField(choices=ThreadType.choices, required=False)
    enabled = serializers.BooleanField(required=False)
    safe_name = Text(required=False, max_length=60)
    q = Text(required=False, allow_blank=True, max_length=100, help_text="Part of the name, the safe name or the description.")


class DraftShape(serializers.ModelSerializer[ThreadDraft]):
    updated_by = serializers.CharField(source="updated_by.username", default=None, allow_null=True)

    class Meta:
        model = ThreadDraft
        fields: ClassVar = ["source", "revision", "updated_by", "updated_at"]


class DraftBody(Strict):
    read_only_names = frozenset({"updated_by", "updated_at"})

    source = Text(allow_blank=True)  # type: ignore[assignment]
    revision = Whole(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The one you began from: 409 when somebody saved since. Overwrites when left out.",
    )


class PublishBody(Strict):
    message = Text(required=False, allow_blank=True, max_length=200)


class VersionShape(serializers.ModelSerializer[ThreadVersion]):
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    files = FileShape(many=True)

    class Meta:
        model = ThreadVersion
        fields: ClassVar = ["number", "message", "filename", "files", "created_by", "created_at"]


class FullVersionShape(VersionShape):
    class Meta(VersionShape.Meta):
        fields: ClassVar = [*VersionShape.Meta.fields, "source"]


class FolderShape(serializers.ModelSerializer[Folder]):
    team = serializers.CharField(source="team.slug")
    parent = serializers.IntegerField(source="parent_id", allow_null=True)  # type: ignore[assignment]

    class Meta:
        model = Folder
        fields: ClassVar = ["id", "team", "parent", "name", "safe_name", "created_at"]


class FolderBody(Strict):
    read_only_names = frozenset({"id", "safe_name", "created_at"})

    team = Text(required=False, max_length=60, help_text="The team's slug.")
    parent = Id(required=False, allow_null=True)  # type: ignore[assignment]
    name = Text()


class FolderQuery(PageQuery):
    team = Text(required=False, max_length=60, help_text="The team's slug.")
    parent = Whole(required=False, min_value=0, help_text="A folder's id; 0 for those at the top.")  # type: ignore[assignment]
