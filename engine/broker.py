"""django-q2's ORM broker, served in order and woken by the bell instead of by polling.

The pusher process calls `dequeue` for ever. A ticket in the database comes from somebody who queued something; a bell
from a supervisor ("a step has ended") needs no row at all: it becomes a ticket here. Every few seconds there is a look
at everything, which makes good whatever bell was lost, and whose acknowledgement proves that the chain
pusher, worker, monitor works.
"""

import logging
import os
import time
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from core import layout
from core.doorbell import Listener, ring
from core.rows import select_column
from engine.host.records import DRAIN_BELL, QUEUE_BELL
from history.queue import host_queue

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
# The pusher must notice within this time that it shall stop.
PATIENCE_SECONDS = 0.5
BEAT = "beat"


class BellBroker(ORM):  # type: ignore[misc]
    """Serves this host's own queue first, then the common one, oldest ticket first."""

    _listener: Listener | None = None
    _next_look = 0.0

    def enqueue(self, task: str) -> Any:
        identity = super().enqueue(task)
        transaction.on_commit(_ring)
        return identity

    def dequeue(self) -> list[tuple[Any, str]] | None:
        """The next tickets, or None after a short while without any."""
        if self._listener is None:
            self._listener = Listener(layout.bells(), QUEUE_BELL)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            return [(BEAT, _ticket("engine.tasks.look"))]
        try:
            if found := self._take():
                return found
        except (OperationalError, InterfaceError):
            # django-q2 would throw this pusher away and wait ten seconds.
            logger.warning("The queue's database does not answer; trying again.")
            connection.close()
            time.sleep(PATIENCE_SECONDS)
            return None
        bells = self._listener.wait(min(PATIENCE_SECONDS, self._next_look - time.monotonic()))
        return [(None, _ticket("engine.tasks.drain"))] if bells - {b"1"} else None

    def acknowledge(self, task_id: Any) -> Any:
        if task_id == BEAT:
            beat_file().touch()
            return None
        return super().acknowledge(task_id)

    def fail(self, task_id: Any) -> Any:
        return None if task_id in (None, BEAT) else super().fail(task_id)

    def _take(self) -> list[tuple[Any, str]]:
        if not select_column("SELECT 1 FROM django_q_ormq LIMIT 1"):
            return []
        now = timezone.now()
        for key in (host_queue(settings.HOST_KEY), self.list_key):
            ticket = OrmQ.objects.filter(key=key, lock__lte=now).order_by("id").first()
            # Another cluster may be faster: then it is his.
            if ticket and OrmQ.objects.filter(pk=ticket.pk, lock=ticket.lock).update(lock=self.timeout(ticket)):
                return [(ticket.pk, ticket.payload)]
        return []


def _ring() -> None:
    """A worker that is at work already hears it without the pusher in between."""
    ring(layout.bells(), DRAIN_BELL)
    ring(layout.bells(), QUEUE_BELL)


def _ticket(function: str) -> str:
    task = {
        "id": os.urandom(16).hex(),
        "name": function,
        "func": function,
        "args": (),
        "kwargs": {},
        "started": timezone.now(),
        "ack_failure": True,
    }
    return str(SignedPackage.dumps(task))


def beat_file() -> Any:
    """Touched whenever a look has gone all the way through the cluster; its age is what the watchdog watches."""
    return layout.data_path("cluster.beat")
