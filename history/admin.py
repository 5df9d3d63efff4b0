"""The record in Django's admin: to look at; runs can be stopped and started again."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.access import person
from core.admin import RecordAdmin, RecordInline, VerbAdmin, VerbForm, for_each
from history import draining
from history.models import Artifact, Drain, Host, Run, StepRun
from history.retrying import RetryFrom, retry_run
from history.services import pause_run, queue_run, request_stop, resume_run, run_again
from history.status import Trigger
from processes.admin import ProcessAdmin
from processes.models import Process
from threads.admin import ThreadAdmin
from threads.models import Thread


@admin.action(description="Run now", permissions=["view"])
def run_now(_admin: Any, request: HttpRequest, targets: Any) -> None:
    for_each(request, targets, lambda target: queue_run(target=target, user=person(request), trigger=Trigger.MANUAL), "Queued")


# Threads and processes live in rooms below and know nothing of runs.
for model, page in ((Thread, ThreadAdmin), (Process, ProcessAdmin)):
    admin.site.get_model_admin(model).actions = (run_now, *page.actions)


@admin.action(description="Stop selected runs", permissions=["view"])
def stop(_admin: Any, request: HttpRequest, runs: Any) -> None:
    for_each(request, runs, lambda run: request_stop(run=run, user=person(request)), "Stopping")


@admin.action(description="Pause selected runs", permissions=["view"])
def pause(_admin: Any, request: HttpRequest, runs: Any) -> None:
    for_each(request, runs, lambda run: pause_run(run=run, user=person(request)), "Pausing")


@admin.action(description="Resume selected runs", permissions=["view"])
def resume(_admin: Any, request: HttpRequest, runs: Any) -> None:
    for_each(request, runs, lambda run: resume_run(run=run, user=person(request)), "Resumed")


@admin.action(description="Run selected again", permissions=["view"])
def again(_admin: Any, request: HttpRequest, runs: Any) -> None:
    rows = runs.select_related("team", "thread__team", "process__team")
    for_each(request, rows, lambda run: run_again(run=run, user=person(request)), "Queued")


@admin.action(description="Retry selected from the failed step", permissions=["view"])
def retry(_admin: Any, request: HttpRequest, runs: Any) -> None:
    rows = runs.select_related("team")
    for_each(request, rows, lambda run: retry_run(run=run, user=person(request), since=RetryFrom.FAILED), "Queued")


class StepRunInline(RecordInline):
    model = StepRun
    fields = ("position", "stage", "name", "version_number", "status", "reason", "exit_code", "started_at", "finished_at")


@admin.register(Run)
class RunAdmin(RecordAdmin):
    list_display = ("number", "name", "team", "status", "kind", "trigger", "user", "queued_at", "started_at", "finished_at", "reason")
    list_display_links = ("number", "name")
    list_filter = ("status", "kind", "trigger", "team", "queued_at")
    list_select_related = ("team", "user")
    search_fields = ("name", "safe_name", "=number")
    readonly_fields = ("files",)
    inlines = (StepRunInline,)
    actions = (stop, pause, resume, again, retry)

    @admin.display(description="files")
    def files(self, run: Run) -> str:
        """A link, for there may be thousands."""
        address = reverse("admin:history_artifact_changelist")
        return format_html('<a href="{}?run__id__exact={}">Files of this run</a>', address, run.pk)


@admin.register(StepRun)
class StepRunAdmin(RecordAdmin):
    list_display = ("run", "position", "stage", "name", "version_number", "status", "exit_code", "started_at", "finished_at", "reason")
    list_filter = ("status", "run__team")
    list_select_related = ("run",)
    search_fields = ("name", "safe_name", "=run__number")


@admin.register(Artifact)
class ArtifactAdmin(RecordAdmin):
    list_display = ("path", "run", "size_bytes", "modified_at")
    list_filter = ("run__team",)
    list_select_related = ("run",)
    search_fields = ("path", "=run__number")


class DrainForm(VerbForm):
    def carry_out(self, user: Any, row: Drain | None) -> Drain:
        return draining.begin_drain(user=user, reason=self.cleaned_data["reason"])


@admin.register(Drain)
class DrainAdmin(VerbAdmin):
    """Maintenance: begun by adding the one row, ended by deleting it."""

    form = DrainForm
    fields = ("reason",)
    list_display = ("__str__", "by", "since")
    loss = "and waiting runs start again"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and draining.current() is None

    def remove(self, row: Drain, user: Any) -> None:
        draining.end_drain(user=user)


@admin.register(Host)
class HostAdmin(RecordAdmin):
    list_display = ("key", "seen_at", "started_at", "boot_id")
    search_fields = ("key",)
