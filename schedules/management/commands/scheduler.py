"""`manage.py scheduler`: the clock as a service of its own."""

from typing import Any

from django.core.management.base import BaseCommand
from setproctitle import setproctitle

from core.kernel import hide_memory
from schedules.clock import run_clock


class Command(BaseCommand):
    help = "Starts the runs of schedules when they are due. Several may run: one leads, the others stand by. SIGTERM ends it in order."
    # They read the address list, and with it pages and API: memory that this part never needs.
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        hide_memory()
        setproctitle("pyscheduler clock")
        run_clock()
