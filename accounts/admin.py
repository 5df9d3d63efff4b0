"""People, teams, keys and the audit log in Django's admin."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse

from accounts.access import person
from accounts.models import ApiKey, AuditEntry, Membership, Team, User
from accounts.roles import Role, Scope
from accounts.services import (
    ask_isolation,
    create_api_key,
    create_team,
    delete_user,
    limit_team,
    record,
    remove_member,
    rename_team,
    revoke_api_key,
    set_member,
)
from core.admin import PlatformAdmin, RecordAdmin, RemovalAdmin, VerbAdmin, VerbForm, VerbFormSet, VerbInline, for_each

if TYPE_CHECKING:
    StockUserAdmin = DjangoUserAdmin[User]
else:
    StockUserAdmin = DjangoUserAdmin


# Groups carry Django's permissions, which nothing here asks for.
admin.site.unregister(Group)


class MembershipFormSet(VerbFormSet):
    """Roles are set first and people removed after: an owner may hand over and leave in one go."""

    def carry_out(self, user: Any) -> None:
        gone = [form.instance for form in self.initial_forms if form in self.deleted_forms]
        for form in self.forms:
            if form in self.deleted_forms or not form.has_changed():
                continue
            values = form.cleaned_data
            member, team = self.pair(values)
            if form.instance.pk and not {"user", "team"}.isdisjoint(form.changed_data):
                gone.append(Membership.objects.get(pk=form.instance.pk))
            set_member(team=team, member=member, role=Role(values["role"]), user=user)
        for membership in gone:
            remove_member(team=membership.team, member=membership.user, user=user)

    def pair(self, values: dict[str, Any]) -> tuple[User, Team]:
        if isinstance(self.instance, Team):
            return values["user"], self.instance
        return self.instance, values["team"]


class MembershipInline(VerbInline):
    model = Membership
    formset = MembershipFormSet
    autocomplete_fields = ("user", "team")


class WithMembers(PlatformAdmin):
    """Memberships are given once what they belong to is saved."""

    inlines = (MembershipInline,)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()


@admin.register(User)
class UserAdmin(WithMembers, RemovalAdmin, StockUserAdmin):
    """What a person may do is said by roles in teams, and by being an operator (superuser): there is nothing between."""

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()
    loss = "with memberships and keys; what the person made and ran stays"
    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "memberships__team")
    search_fields = ("username", "email", "first_name", "last_name")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        # Names of fields alone: what was put into them is nobody's business here, a password least of all.
        verb = "changed" if change else "created"
        record(user=person(request), verb=verb, target=obj, fields=sorted(form.changed_data))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        # Django's page for a person's password saves past `save_model`, and calls this alone.
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            record(user=person(request), verb="changed", target=obj, fields=["password"])
        return super().log_change(request, obj, message)

    def remove(self, row: User, user: Any) -> None:
        delete_user(user=row, by=user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes himself: the last operator would lock everybody out."""
        return super().has_delete_permission(request, obj) and (obj is None or obj != request.user)


class TeamForm(VerbForm):
    def carry_out(self, user: Any, row: Team | None) -> Team:
        changes = self.changes("name", "max_runs", "min_isolation", "isolation_binds")
        if row is None:
            row = create_team(name=self.cleaned_data["name"], user=user)
        elif "name" in changes:
            row = rename_team(team=row, user=user, name=changes["name"])
        if "max_runs" in changes:
            row = limit_team(team=row, user=user, max_runs=changes["max_runs"])
        if {"min_isolation", "isolation_binds"} & changes.keys():
            values = self.cleaned_data
            row = ask_isolation(team=row, user=user, level=values["min_isolation"], binds=Role(values["isolation_binds"]))
        return row


@admin.register(Team)
class TeamAdmin(WithMembers, VerbAdmin):
    """A team's address stays as it was given. Teams are not deleted here: their whole history would go with them."""

    form = TeamForm
    fields = ("name", "slug", "max_runs", "min_isolation", "isolation_binds", "run_counter", "created_at")
    readonly_fields = ("slug", "run_counter", "created_at")
    list_display = ("name", "slug", "run_counter", "created_at")
    search_fields = ("name", "slug")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipForm(VerbForm):
    def carry_out(self, user: Any, row: Membership | None) -> Membership:
        member = row.user if row else self.cleaned_data["user"]
        team = row.team if row else self.cleaned_data["team"]
        return set_member(team=team, member=member, role=Role(self.cleaned_data["role"]), user=user)


@admin.register(Membership)
class MembershipAdmin(VerbAdmin):
    form = MembershipForm
    fields = ("user", "team", "role")
    list_display = ("user", "team", "role", "created_at")
    list_filter = ("role", "team")
    list_select_related = ("user", "team")
    search_fields = ("user__username", "team__name")
    autocomplete_fields = ("user", "team")
    fixed = ("user", "team")

    def remove(self, row: Membership, user: Any) -> None:
        remove_member(team=row.team, member=row.user, user=user)


class ApiKeyForm(VerbForm):
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple, initial=list(Scope.values))
    days = forms.IntegerField(required=False, help_text="Valid for how many days; empty for no expiry.")
    text = ""

    def carry_out(self, user: Any, row: ApiKey | None) -> ApiKey:
        values = self.cleaned_data
        key, self.text = create_api_key(
            user=values["user"], name=values["name"], by=user, team=values["team"], scopes=values["scopes"], days=values["days"]
        )
        return key


@admin.action(description="Revoke selected API keys", permissions=["view"])
def revoke(_admin: Any, request: HttpRequest, keys: Any) -> None:
    for_each(request, keys, lambda key: revoke_api_key(key=key, user=person(request)), "Revoked")


@admin.register(ApiKey)
class ApiKeyAdmin(VerbAdmin):
    """Keys are made and revoked, never changed; the audit log names them, so they stay."""

    form = ApiKeyForm
    fields = ("user", "name", "team", "scopes", "days")
    record_fields = ("user", "name", "team", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_display = ("prefix", "name", "user", "team", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "team")
    list_select_related = ("user", "team")
    search_fields = ("prefix", "name", "user__username")
    autocomplete_fields = ("user", "team")
    actions = (revoke,)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.record_fields if obj else self.fields

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        messages.warning(request, f"The key is {form.text} - copy it now, it is not shown again.")

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        response = super().response_add(request, obj, post_url_continue)
        response["Cache-Control"] = "no-store"
        return response


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    list_display = ("at", "username", "verb", "target_type", "target_name", "team")
    list_filter = ("target_type", "team", "at")
    list_select_related = ("team",)
    search_fields = ("username", "verb", "target_name")
