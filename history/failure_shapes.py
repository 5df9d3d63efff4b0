"""How a failure, and what changed before it, look over the API."""

from typing import Any, ClassVar

from rest_framework import serializers

from history.changes import Alike, Comparison
from history.models import Run


class FrameShape(serializers.Serializer[Any]):
    file = serializers.CharField()
    line = serializers.IntegerField()
    function = serializers.CharField()
    code = serializers.CharField()


class FailureShape(serializers.Serializer[Any]):
    kind = serializers.CharField(
        help_text="exception, missing_module, missing_file, syntax_error, memory, timeout, limit, signal, exit_code, start or lost."
    )
    title = serializers.CharField(help_text="It in words.")
    message = serializers.CharField(help_text="What the exception, or the last line of the log, says.")
    exception = serializers.CharField(help_text="The exception's type; else the signal, exit code or limit.")
    file = serializers.CharField(help_text="The script's own file in which it happened; empty when not known.")
    line = serializers.IntegerField(allow_null=True)
    function = serializers.CharField()
    module = serializers.CharField(help_text="The module that is missing.")
    path = serializers.CharField(help_text="The file that is missing.")
    hint = serializers.CharField(help_text="What may help.")
    frames = FrameShape(many=True, help_text="The last of the script's own; the innermost is the last.")
    signature = serializers.CharField(help_text="The same for equal failures.")


class RunMark(serializers.ModelSerializer[Run]):
    class Meta:
        model = Run
        fields: ClassVar = ["id", "number", "status", "finished_at"]


class ChangeShape(serializers.Serializer[Any]):
    what = serializers.CharField(help_text="steps, code, input, files, environment, parameter, limit, isolation or host.")
    step = serializers.CharField(help_text="The step's name; empty for the run as a whole.")
    before = serializers.CharField()
    after = serializers.CharField()
    detail = serializers.CharField(
        help_text="Of a parameter or limit its name, of code the number of lines, of an environment its packages."
    )


class ChangesShape(serializers.Serializer[Any]):
    since = RunMark(allow_null=True, help_text="The last success before this run; null when there was none.")
    changes = ChangeShape(many=True)
    same_failures = serializers.IntegerField(
        help_text="How often the target has failed like this, this run included; at most 1000 are counted."
    )
    first_failure = RunMark(allow_null=True, help_text="The first run that failed like this.")


def show_changes(comparison: Comparison, alike: Alike | None) -> dict[str, Any]:
    shown: dict[str, Any] = ChangesShape(
        {
            "since": comparison.since,
            "changes": comparison.changes,
            "same_failures": alike.count if alike else 0,
            "first_failure": alike.first if alike else None,
        }
    ).data
    return shown
