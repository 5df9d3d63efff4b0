"""Tickets: "there is work". The message says no more; what to do is read from the runs themselves.

The queue names the engine's task by its dotted name, so nothing below the engine imports it.
"""

from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

COMMON_KEY = "pyscheduler"
DRAIN = "engine.tasks.drain"


def host_queue(host_key: str) -> str:
    """The queue that only one host's workers serve."""
    return f"host:{host_key}"[:100]


def issue_ticket(key: str = COMMON_KEY) -> None:
    """Make sure a ticket lies in the queue when this transaction commits.

    One that nobody has taken yet serves for this work too: the lock keeps it where it is until our rows are
    visible (on SQLite the write lock of the transaction does), so whoever takes it then sees them.
    """
    waiting = OrmQ.objects.filter(key=key, lock__lte=timezone.now())
    if not waiting.select_for_update(skip_locked=True).order_by("id").values_list("id", flat=True).first():
        async_task(DRAIN, cluster=key)
