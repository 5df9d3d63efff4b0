"""Environments and their builds in Django's admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.access import person
from core.admin import RecordAdmin, for_each
from environments.models import Environment, EnvironmentBuild
from environments.services import remake_environment
from environments.upkeep import check_environment


@admin.action(description="Check selected environments", permissions=["view"])
def check(_admin: Any, request: HttpRequest, environments: Any) -> None:
    for_each(request, environments, lambda environment: check_environment(environment, user=person(request)), "Checked")


@admin.action(description="Make selected environments again", permissions=["view"])
def remake(_admin: Any, request: HttpRequest, environments: Any) -> None:
    for_each(request, environments, lambda environment: remake_environment(environment, user=person(request)), "Being made")


@admin.register(Environment)
class EnvironmentAdmin(RecordAdmin):
    list_display = ("key", "python_version", "state", "size_bytes", "created_at", "checked_at", "health")
    list_filter = ("state", "python_version")
    search_fields = ("key", "lock")
    actions = (check, remake)


@admin.register(EnvironmentBuild)
class EnvironmentBuildAdmin(RecordAdmin):
    list_display = ("id", "status", "python_version", "environment", "requested_by", "created_at", "started_at", "finished_at")
    list_filter = ("status", "created_at")
    list_select_related = ("environment", "requested_by")
    search_fields = ("requirements", "error")
