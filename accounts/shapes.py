"""How people, teams and keys look over the API."""

from typing import Any, ClassVar

from django.conf import settings
from rest_framework import serializers

from accounts.models import ApiKey, AuditEntry, Membership, Team
from accounts.roles import BOUND, Role, Scope
from core.checks import MAX_RUNS
from core.endpoint import PageQuery, Strict
from core.fields import Id, Several, Text, Whole


class LoginBody(Strict):
    username = Text(max_length=150)
    password = Text(max_length=1000)


class SessionShape(serializers.Serializer[Any]):
    username = serializers.CharField()
    is_operator = serializers.BooleanField(source="is_superuser")
    csrf_token = serializers.SerializerMethodField(help_text="Send it as `X-CSRFToken` with calls that change something.")

    def get_csrf_token(self, _user: Any) -> str:
        return str(self.context["csrf_token"])


class TeamShape(serializers.ModelSerializer[Team]):
    role = serializers.SerializerMethodField(help_text="Yours: viewer, runner, editor or owner.")
    min_isolation = serializers.SerializerMethodField(help_text="The least isolation of runs that `isolation_binds` says; null for any.")

    class Meta:
        model = Team
        fields: ClassVar = ["id", "slug", "name", "role", "max_runs", "min_isolation", "isolation_binds", "created_at"]

    def get_min_isolation(self, team: Team) -> str | None:
        return team.min_isolation or None

    def get_role(self, team: Team) -> str:
        return str(self.context["roles"][team.pk])


class TeamBody(Strict):
    read_only_names = frozenset({"id", "slug", "role", "created_at"})

    name = Text()
    max_runs = Whole(required=False, allow_null=True, min_value=1, max_value=MAX_RUNS, help_text="Runs at once; null for no limit.")
    min_isolation = serializers.ChoiceField(
        choices=settings.ISOLATION_LEVELS, required=False, allow_null=True, help_text="For operators: runs below this level do not start."
    )
    isolation_binds = serializers.ChoiceField(
        choices=[role.value for role in BOUND],
        required=False,
        help_text="For operators: the highest role of whose runs that is asked. Of schedules' runs it always is.",
    )


class MemberShape(serializers.ModelSerializer[Membership]):
    team = serializers.CharField(source="team.slug")
    user = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields: ClassVar = ["id", "team", "user", "role", "created_at"]


class MemberBody(Strict):
    team = Text(max_length=60, help_text="The team's slug.")
    user = Text(max_length=150, help_text="The person's user name.")
    role = serializers.ChoiceField(choices=Role.choices)


class RoleBody(Strict):
    read_only_names = frozenset({"id", "team", "user", "created_at"})

    role = serializers.ChoiceField(choices=Role.choices)


class TeamQuery(PageQuery):
    team = Text(required=False, max_length=60, help_text="The team's slug.")


class KeyShape(serializers.ModelSerializer[ApiKey]):
    user = serializers.CharField(source="user.username")
    team = serializers.CharField(source="team.slug", default=None, allow_null=True, help_text="The one team it acts in; null for all.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))

    class Meta:
        model = ApiKey
        fields: ClassVar = ["id", "name", "prefix", "user", "team", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]


class NewKeyShape(KeyShape):
    key = serializers.CharField(help_text="The key itself. It is shown this once.")

    class Meta(KeyShape.Meta):
        fields: ClassVar = [*KeyShape.Meta.fields, "key"]


class KeyBody(Strict):
    read_only_names = frozenset({"id", "prefix", "user", "created_at", "expires_at", "last_used_at", "revoked_at"})

    name = Text()
    team = Text(required=False, allow_null=True, max_length=60, help_text="The slug of the one team it may act in.")
    scopes = Several(child=serializers.ChoiceField(choices=Scope.choices), required=False, max_length=len(Scope.values))
    days = Whole(required=False, allow_null=True, help_text="How long it is good for, from 1 to 3650; for ever when left out.")


class AuditShape(serializers.ModelSerializer[AuditEntry]):
    user = serializers.CharField(source="username", help_text="Empty: the platform itself.")
    team = serializers.CharField(source="team.slug", default=None, allow_null=True)

    class Meta:
        model = AuditEntry
        fields: ClassVar = ["id", "at", "user", "team", "verb", "target_type", "target_id", "target_name", "detail"]


class AuditQuery(TeamQuery):
    user = Text(required=False, max_length=150)
    verb = Text(required=False, max_length=40)
    target_type = Text(required=False, max_length=40)
    target_id = Id(required=False)
