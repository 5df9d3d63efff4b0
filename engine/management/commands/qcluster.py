"""`manage.py qcluster`: django-q2's cluster as a service of its own, with a watchdog around it."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.kernel import hide_memory
from engine.canary import ensure_demanded
from engine.cluster import is_stuck, run_cluster
from engine.findings import IsolationUnavailable
from engine.keeper import renew_keeper
from engine.parts import Part, Parts

STOP_SECONDS = 8.0


class Command(BaseCommand):
    help = "Runs the workers that execute runs. SIGTERM ends them in order; scripts run on and are adopted at the next start."
    # They read the address list, and with it pages and API: memory that this part never needs.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        hide_memory()
        try:
            ensure_demanded()
        except IsolationUnavailable as error:
            raise CommandError(error.message) from None
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        renew_keeper()
        parts = Parts([Part("cluster", run_cluster, is_stuck)])
        self.stdout.write(f"Workers are running as host {settings.HOST_KEY}.")
        self.stdout.flush()
        parts.run()
        parts.stop(STOP_SECONDS)
