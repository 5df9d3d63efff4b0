"""The outbox in Django's admin, to look at."""

from django.contrib import admin

from core.admin import RecordAdmin
from events.models import Event


@admin.register(Event)
class EventAdmin(RecordAdmin):
    list_display = ("id", "topic", "subject_id", "team_id", "created_at")
    list_filter = ("topic",)
    search_fields = ("=subject_id",)
