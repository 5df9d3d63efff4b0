"""Schedules and what became of their due times in Django's admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.access import person
from core.admin import RecordAdmin, VerbAdmin, VerbForm, for_each, switch_actions
from core.errors import InvalidInput
from schedules.checks import TIMING_FIELDS
from schedules.models import ClockLease, Firing, Pause, Schedule
from schedules.services import POLICIES, change_schedule, clone_schedule, create_schedule, delete_schedule, run_now, set_enabled


class ScheduleForm(VerbForm):
    FIELDS = ("name", *TIMING_FIELDS, *POLICIES)

    def carry_out(self, user: Any, row: Schedule | None) -> Schedule:
        targets = [target for target in (self.cleaned_data["thread"], self.cleaned_data["process"]) if target]
        if len(targets) != 1:
            raise InvalidInput.of("thread", "Choose a thread or a process, one of them.")
        values = {name: self.cleaned_data[name] for name in self.FIELDS}
        values["parameters"] = values["parameters"] or {}
        if row is None:
            return create_schedule(team=self.cleaned_data["team"], user=user, target=targets[0], **values)
        changes = {name: values[name] for name in self.FIELDS if name in self.changed_data}
        if not {"thread", "process"}.isdisjoint(self.changed_data):
            changes["target"] = targets[0]
        return change_schedule(schedule=row, user=user, **changes)


@admin.action(description="Run now", permissions=["view"])
def run(_admin: Any, request: HttpRequest, schedules: Any) -> None:
    for_each(request, schedules, lambda schedule: run_now(schedule=schedule, user=person(request)), "Queued")


@admin.action(description="Clone, disabled", permissions=["add"])
def clone(_admin: Any, request: HttpRequest, schedules: Any) -> None:
    for_each(request, schedules, lambda schedule: clone_schedule(schedule=schedule, user=person(request)), "Cloned")


@admin.register(Schedule)
class ScheduleAdmin(VerbAdmin):
    form = ScheduleForm
    fields = (
        "team",
        "thread",
        "process",
        *ScheduleForm.FIELDS,
        "next_run_at",
        "skip_next_by",
        "run_count",
        "fault",
        "created_by",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("next_run_at", "skip_next_by", "run_count", "fault", "created_by", "created_at", "updated_at")
    list_display = ("name", "team", "thread", "process", "kind", "cron", "enabled", "next_run_at", "run_count", "fault")
    list_filter = ("enabled", "kind", "team", ("fault", admin.EmptyFieldListFilter))
    list_select_related = ("team", "thread", "process")
    search_fields = ("name", "thread__name", "process__name")
    autocomplete_fields = ("team", "thread", "process")
    actions = (
        run,
        clone,
        *switch_actions(lambda schedule, user, enabled: set_enabled(schedule=schedule, user=user, enabled=enabled), "schedules"),
    )
    fixed = ("team",)
    loss = "the record of its due times; its runs stay in the history"

    def remove(self, row: Schedule, user: Any) -> None:
        delete_schedule(schedule=row, user=user)


@admin.register(Firing)
class FiringAdmin(RecordAdmin):
    list_display = ("schedule", "due_at", "outcome", "run", "covers", "reason", "created_at")
    list_filter = ("outcome", "schedule__team", "due_at")
    list_select_related = ("schedule", "run")
    search_fields = ("schedule__name", "reason")


@admin.register(Pause)
class PauseAdmin(RecordAdmin):
    list_display = ("__str__", "starts_at", "ends_at", "by", "reason")
    list_filter = ("schedule__team", "starts_at")
    list_select_related = ("schedule",)
    search_fields = ("schedule__name", "reason", "by")


@admin.register(ClockLease)
class ClockLeaseAdmin(RecordAdmin):
    list_display = ("name", "holder", "expires_at", "beat_at")
