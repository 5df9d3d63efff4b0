"""Processes and their steps in Django's admin."""

from typing import Any

from django.contrib import admin

from core.admin import RecordAdmin, VerbAdmin, VerbForm, VerbFormSet, VerbInline, switch_actions
from processes.models import Process, Step
from processes.services import SETTINGS, StepPlan, change_process, create_process, delete_process


class StepFormSet(VerbFormSet):
    """The steps as a whole: those of one stage run side by side, in the order in which they stand here."""

    def carry_out(self, user: Any) -> None:
        plans = [
            StepPlan(
                thread=row["thread"],
                stage=row["stage"],
                parameters=row["parameters"] or {},
                on_failure=row["on_failure"],
                timeout_seconds=row["timeout_seconds"],
                retries=row["retries"],
            )
            for row in self.filled()
        ]
        change_process(process=self.instance, user=user, steps=plans)


class StepInline(VerbInline):
    model = Step
    formset = StepFormSet
    fields = ("stage", "thread", "on_failure", "timeout_seconds", "retries", "parameters")
    autocomplete_fields = ("thread",)


class ProcessForm(VerbForm):
    def carry_out(self, user: Any, row: Process | None) -> Process:
        if row is not None:
            return change_process(process=row, user=user, **self.changes("name", *SETTINGS))
        values = {name: self.cleaned_data[name] for name in ("team", "name", *SETTINGS)}
        return create_process(user=user, **values)


@admin.register(Process)
class ProcessAdmin(VerbAdmin):
    """`history.admin` adds the action that runs them."""

    form = ProcessForm
    fields = ("team", "name", "safe_name", *SETTINGS, "created_by", "created_at", "updated_at")
    readonly_fields = ("safe_name", "created_by", "created_at", "updated_at")
    list_display = ("name", "safe_name", "team", "enabled", "created_by", "updated_at")
    list_filter = ("enabled", "team")
    list_select_related = ("team", "created_by")
    search_fields = ("name", "safe_name", "description")
    autocomplete_fields = ("team",)
    inlines = (StepInline,)
    actions = switch_actions(lambda process, user, enabled: change_process(process=process, user=user, enabled=enabled), "processes")
    fixed = ("team",)
    loss = "its steps and its schedules; its runs stay in the history"

    def remove(self, row: Process, user: Any) -> None:
        delete_process(process=row, user=user)


@admin.register(Step)
class StepAdmin(RecordAdmin):
    """Steps of all processes at a glance; they are changed on the page of their process."""

    list_display = ("process", "position", "stage", "thread", "on_failure", "timeout_seconds", "retries")
    list_filter = ("on_failure", "process__team")
    list_select_related = ("process", "thread")
    search_fields = ("process__name", "thread__name")
