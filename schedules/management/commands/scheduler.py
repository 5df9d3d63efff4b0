"""`manage.py scheduler`: the clock as a service of its own."""

from typing import Any

from django.core.management.base import BaseCommand
from setproctitle import setproctitle

from core.kernel import hide_memory
from schedules.clock import run_clock


class Command(BaseCommand):
    help = "Starts the runs of schedules when they are due. Several may run: one leads, the others stand by. SIGTERM ends it in order."

    def handle(self, *_args: Any, **_options: Any) -> None:
        hide_memory()
        setproctitle("pyscheduler clock")
        run_clock()
