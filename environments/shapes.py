"""How environments and their builds look over the API."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.endpoint import PageQuery
from environments.models import BuildStatus, Environment, EnvironmentBuild, EnvironmentState
from environments.ondisk import last_used

# `none`: the platform's own Python, without an environment.
STATES = ["none", *BuildStatus.values]
_PACKAGES = serializers.DictField(child=serializers.CharField(), help_text="Versions by package.")


class EnvironmentShape(serializers.ModelSerializer[Environment]):
    state = serializers.ChoiceField(choices=EnvironmentState.choices)
    packages = serializers.SerializerMethodField()
    last_used_at = serializers.SerializerMethodField()

    class Meta:
        model = Environment
        fields: ClassVar = [
            "id", "key", "python_version", "implementation", "platform", "packages", "state", "health", "size_bytes", "created_at",
            "checked_at", "last_used_at",
        ]  # fmt: skip

    @extend_schema_field(_PACKAGES)
    def get_packages(self, environment: Environment) -> Any:
        return environment.packages

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last_used_at(self, environment: Environment) -> Any:
        used = last_used(environment.key)
        return None if used is None else datetime.fromtimestamp(used, UTC).isoformat()


class FullEnvironmentShape(EnvironmentShape):
    class Meta(EnvironmentShape.Meta):
        fields: ClassVar = [*EnvironmentShape.Meta.fields, "lock"]


class BuildShape(serializers.ModelSerializer[EnvironmentBuild]):
    status = serializers.ChoiceField(choices=BuildStatus.choices)

    class Meta:
        model = EnvironmentBuild
        fields: ClassVar = ["id", "status", "log", "error", "created_at", "started_at", "finished_at"]


class EnvironmentBrief(serializers.Serializer[Any]):
    """What a thread runs in, in short. While a build is under way, or when it failed, the last good one stays in use."""

    status = serializers.ChoiceField(choices=STATES, help_text="Of the newest build; `none`: the platform's own Python is used.")
    python_version = serializers.CharField(allow_null=True, help_text="Of the environment in use.")
    key = serializers.CharField(allow_null=True, help_text="Of the environment in use; runs note it.")
    error = serializers.CharField(help_text="The resolver's words when the newest build failed.")


class PackageChange(serializers.Serializer[Any]):
    package = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


class ThreadEnvironmentShape(EnvironmentBrief):
    environment = FullEnvironmentShape(allow_null=True, help_text="The one in use.")
    build = BuildShape(allow_null=True, help_text="The newest.")
    changes = PackageChange(many=True, help_text="From the environment before to the one in use.")


class EnvironmentQuery(PageQuery):
    state = serializers.ChoiceField(choices=EnvironmentState.choices, required=False)


def brief(environment: Environment | None, build: EnvironmentBuild | None) -> dict[str, Any]:
    return {
        "status": build.status if build else "none",
        "python_version": environment.python_version if environment else None,
        "key": environment.key if environment else None,
        "error": build.error if build else "",
    }
