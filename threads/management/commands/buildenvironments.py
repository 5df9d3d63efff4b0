"""Build the environments that wait, then end. Workers start it; a person may as well."""

from typing import Any

from django.core.management.base import BaseCommand

from threads.building import build_waiting


class Command(BaseCommand):
    help = "Builds the Python environments that threads of this host wait for."

    def handle(self, *args: Any, **options: Any) -> None:
        count = build_waiting()
        self.stdout.write(f"Built: {count}")
