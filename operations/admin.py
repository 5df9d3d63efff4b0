"""The platform's own matters in Django's admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

# Imported first, for it registers pages that this module takes away again.
from django_q import admin as queue_pages  # noqa: F401
from django_q.models import Failure, OrmQ, Success
from django_q.models import Schedule as QueueSchedule

from core.admin import PlatformAdmin, RecordAdmin
from operations.models import Milestone

# The queue carries tickets and keeps no results, and its own schedules never run here: their pages would mislead.
admin.site.unregister([Failure, OrmQ, QueueSchedule, Success])


@admin.register(OrmQ)
class TicketAdmin(RecordAdmin):
    """Tickets that wait for a worker."""

    fields = ("key", "lock")
    list_display = ("id", "key", "lock")
    list_filter = ("key",)


@admin.register(Milestone)
class MilestoneAdmin(RecordAdmin):
    """A milestone that is deleted can be reached again: without "demo content" the next start makes it anew."""

    list_display = ("name", "reached_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return PlatformAdmin.has_delete_permission(self, request, obj)
