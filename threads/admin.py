"""Threads, their versions, drafts, files and folders in Django's admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts.access import person
from core.admin import RecordAdmin, RecordInline, VerbAdmin, VerbForm, for_each, switch_actions
from core.errors import InvalidInput
from threads.models import Folder, Thread, ThreadDraft, ThreadVersion, Variable, VersionFile
from threads.repeats import REPEATS
from threads.services import (
    ENVIRONMENT,
    SETTINGS,
    change_thread,
    create_folder,
    create_thread,
    delete_folder,
    delete_thread,
    publish,
    restore_version,
    save_draft,
)
from threads.variables import change_variable, remove_variable, set_variable


class SourceField(forms.CharField):
    """Source text as it is typed; browsers send other line ends than the draft has."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, required=False, **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class ThreadForm(VerbForm):
    source = SourceField(help_text="Saving a changed source makes a new version. Leave empty to begin a new thread as a draft.")

    SETTINGS = (*SETTINGS, *REPEATS, *ENVIRONMENT)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.initial["source"] = ThreadDraft.objects.values_list("source", flat=True).get(thread=self.instance.pk)

    def clean_retry_exit_codes(self) -> list[int]:
        """None of them, like an empty field, is every failure."""
        return self.cleaned_data["retry_exit_codes"] or []

    def carry_out(self, user: Any, row: Thread | None) -> Thread:
        if row is None:
            values = {name: self.cleaned_data[name] for name in self.SETTINGS}
            return create_thread(
                team=self.cleaned_data["team"],
                user=user,
                name=self.cleaned_data["name"],
                folder=self.cleaned_data["folder"],
                source=self.cleaned_data["source"] or None,
                **values,
            )
        if changes := self.changes("name", "folder", *self.SETTINGS):
            row = change_thread(thread=row, user=user, **changes)
        if "source" in self.changed_data:
            save_draft(thread=row, user=user, source=self.cleaned_data["source"])
            publish(thread=row, user=user, message="Saved in the admin")
        return row


@admin.register(Thread)
class ThreadAdmin(VerbAdmin):
    """`history.admin` adds the action that runs them."""

    form = ThreadForm
    fields = (
        "team",
        "folder",
        "name",
        "safe_name",
        *ThreadForm.SETTINGS,
        "source",
        "current_version",
        "environment",
        "environment_build",
        "created_by",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("safe_name", "current_version", "environment", "environment_build", "created_by", "created_at", "updated_at")
    list_display = ("name", "safe_name", "team", "folder", "type", "enabled", "current_version", "updated_at")
    list_filter = ("enabled", "type", "team")
    list_select_related = ("team", "folder", "current_version__thread")
    search_fields = ("name", "safe_name", "description")
    autocomplete_fields = ("team", "folder")
    actions = switch_actions(lambda thread, user, enabled: change_thread(thread=thread, user=user, enabled=enabled), "threads")
    fixed = ("team",)
    loss = "its versions, its draft and its schedules; its runs stay in the history"

    def remove(self, row: Thread, user: Any) -> None:
        delete_thread(thread=row, user=user)


class FolderForm(VerbForm):
    def carry_out(self, user: Any, row: Folder | None) -> Folder:
        values = self.cleaned_data
        return create_folder(team=values["team"], user=user, name=values["name"], parent=values["parent"])


@admin.register(Folder)
class FolderAdmin(VerbAdmin):
    form = FolderForm
    fields = ("team", "parent", "name")
    list_display = ("name", "safe_name", "parent", "team", "created_at")
    list_filter = ("team",)
    list_select_related = ("team", "parent")
    search_fields = ("name", "safe_name")
    autocomplete_fields = ("team", "parent")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def remove(self, row: Folder, user: Any) -> None:
        delete_folder(folder=row, user=user)


class VersionFileInline(RecordInline):
    model = VersionFile
    fields = ("role", "path", "size_bytes", "digest")


@admin.action(description="Restore selected versions", permissions=["view"])
def restore(_admin: Any, request: HttpRequest, versions: Any) -> None:
    for_each(request, versions, lambda version: restore_version(version=version, user=person(request)), "Restored")


@admin.register(ThreadVersion)
class ThreadVersionAdmin(RecordAdmin):
    list_display = ("thread", "number", "filename", "message", "created_by", "created_at")
    list_filter = ("thread__team", "created_at")
    list_select_related = ("thread", "created_by")
    search_fields = ("thread__name", "thread__safe_name", "message")
    inlines = (VersionFileInline,)
    actions = (restore,)


@admin.register(ThreadDraft)
class ThreadDraftAdmin(RecordAdmin):
    list_display = ("thread", "revision", "updated_by", "updated_at")
    list_filter = ("thread__team",)
    list_select_related = ("thread", "updated_by")
    search_fields = ("thread__name", "thread__safe_name")


@admin.register(VersionFile)
class VersionFileAdmin(RecordAdmin):
    list_display = ("path", "role", "version", "size_bytes")
    list_filter = ("role", "version__thread__team")
    list_select_related = ("version__thread",)
    search_fields = ("path", "digest", "version__thread__name")


class VariableForm(VerbForm):
    value = SourceField(help_text="Of a secret it is not shown again: leave it empty to keep the one it has.")

    def carry_out(self, user: Any, row: Variable | None) -> Variable:
        given = self.cleaned_data
        if row is not None:
            value = given["value"] if "value" in self.changed_data else None
            return change_variable(variable=row, user=user, value=value, is_secret=given["is_secret"])
        owner = {"team": given["team"], "thread": given["thread"]}
        if given["thread"] and given["thread"].team != given["team"]:
            raise InvalidInput.of("thread", "That thread belongs to another team.")
        return set_variable(**owner, user=user, name=given["name"], value=given["value"], is_secret=given["is_secret"], is_new=True)


@admin.register(Variable)
class VariableAdmin(VerbAdmin):
    form = VariableForm
    fields = ("team", "thread", "name", "is_secret", "value", "updated_by", "updated_at")
    readonly_fields = ("updated_by", "updated_at")
    list_display = ("name", "is_secret", "team", "thread", "updated_by", "updated_at")
    list_filter = ("is_secret", "team")
    list_select_related = ("team", "thread", "updated_by")
    search_fields = ("name", "thread__name", "thread__safe_name")
    autocomplete_fields = ("team", "thread")
    fixed = ("team", "thread", "name")

    def remove(self, row: Variable, user: Any) -> None:
        remove_variable(variable=row, user=user)
