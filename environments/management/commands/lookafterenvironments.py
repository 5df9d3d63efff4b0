"""Look after the environments of this host. The platform starts it once a day; a person may as well."""

from typing import Any

from django.core.management.base import BaseCommand

from environments.upkeep import look_after_environments


class Command(BaseCommand):
    help = "Checks the Python environments of this host, has damaged ones made again, and takes unused ones off the disk."

    def handle(self, *args: Any, **options: Any) -> None:
        collected, damaged = look_after_environments()
        self.stdout.write(f"Collected: {collected}, damaged: {damaged}")
