"""How variables look over the API: one by one, and all of a thread as its `env`. A secret's value goes in and never out."""

import contextlib
import json
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.endpoint import PageQuery, Strict
from core.fields import Id, Text
from threads.models import Thread, Variable

_SECRET = {
    "type": "object",
    "properties": {"secret": {"type": "boolean", "enum": [True]}, "value": {"type": "string", "writeOnly": True}},
    "required": ["secret"],
}
EXAMPLE = '{"BASE_URL": "https://example.org", "API_TOKEN": {"secret": true, "value": "TEXT"}}'
_ENV = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"type": "string"}, _SECRET]},
    "example": {"BASE_URL": "https://example.org", "API_TOKEN": {"secret": True}},
}


@extend_schema_field(_ENV)
class Env(serializers.JSONField):
    """A thread's own variables by their names: texts, and secrets as `{"secret": true}`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        # In a multipart body it is text.
        with contextlib.suppress(ValueError, RecursionError):
            data = json.loads(data) if isinstance(data, str) else data
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"Use names with values, as in {EXAMPLE}.")
        return data


def env_of(thread: Thread) -> dict[str, Any]:
    return {variable.name: {"secret": True} if variable.is_secret else variable.value for variable in thread.variables.all()}


class VariableShape(serializers.ModelSerializer[Variable]):
    team = serializers.CharField(source="team.slug")
    thread = serializers.IntegerField(source="thread_id", allow_null=True, help_text="None: it is every thread's of the team.")
    secret = serializers.BooleanField(source="is_secret")
    value = serializers.SerializerMethodField(method_name="shown_value", help_text="None for a secret.")
    updated_by = serializers.CharField(source="updated_by.username", default=None, allow_null=True)

    class Meta:
        model = Variable
        fields: ClassVar = ["id", "team", "thread", "name", "secret", "value", "updated_by", "updated_at"]

    def shown_value(self, variable: Variable) -> str | None:
        return None if variable.is_secret else variable.value


class VariableBody(Strict):
    read_only_names = frozenset({"id", "updated_by", "updated_at"})

    team = Text(required=False, max_length=60, help_text="The team's slug; may be left out with a thread, or when there is one team.")
    thread = Id(required=False, allow_null=True, default=None, help_text="The one thread that gets it; all of the team when left out.")
    name = Text()
    value = Text(allow_blank=True)
    secret = serializers.BooleanField(required=False, default=False)


class VariableChange(Strict):
    read_only_names = frozenset({"id", "team", "thread", "name", "updated_by", "updated_at"})

    value = Text(required=False, allow_blank=True)
    secret = serializers.BooleanField(required=False)


class VariableQuery(PageQuery):
    team = Text(required=False, max_length=60, help_text="The team's slug.")
    thread = Id(required=False, help_text="Those of one thread alone.")
