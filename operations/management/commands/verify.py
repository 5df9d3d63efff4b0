"""`manage.py verify`: checks a live installation from end to end and says what it saw."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from operations.probe import Missing
from operations.verify import local_url, verify


class Command(BaseCommand):
    help = "Lets a live installation carry out one scheduled run and checks what it left, on disk and over the API."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=local_url(), help="Where the platform answers (%(default)s).")
        parser.add_argument("--timeout", type=float, default=60, help="Seconds to wait for the run's end (%(default)s).")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verify(url=options["url"], timeout=options["timeout"], say=self._say)
        except Missing as missing:
            raise CommandError(f"The check failed: {missing}.") from None
        self._say("All is as it should be.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
