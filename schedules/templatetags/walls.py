"""Due times as the wall clock of the schedule's zone shows them."""

from datetime import UTC, datetime

from django import template
from django.utils import timezone

from core.errors import InvalidInput
from schedules.zones import zone_of

register = template.Library()


@register.filter
def wall_in(moment: datetime, zone_name: str) -> str:
    """The same for a moment in a zone of this name; in UTC when there is no such zone any more."""
    try:
        return wall(moment.astimezone(zone_of(zone_name)))
    except InvalidInput:
        return wall(moment.astimezone(UTC))


@register.filter
def wall(moment: datetime) -> str:
    """`Thu 26 Nov, 07:00 CET`, in the zone that the moment carries; with the year when it is not this one."""
    year = "" if moment.year == timezone.now().year else f" {moment.year}"
    seconds = f":{moment:%S}" if moment.second else ""
    return f"{moment:%a} {moment.day} {moment:%b}{year}, {moment:%H:%M}{seconds} {moment.tzname()}"
