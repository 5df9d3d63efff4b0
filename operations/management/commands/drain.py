"""`manage.py drain`: let no more runs start, for an upgrade or other work on the machine."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from history import draining
from history.models import Run
from history.status import ALIVE


class Command(BaseCommand):
    help = "Maintenance: waiting runs do not start, those that run go on to their end. With --end runs start again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", default="", help="what people are told who wait")
        parser.add_argument("--end", action="store_true", help="let runs start again")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["end"]:
            ended = draining.end_drain(user=None)
            self.stdout.write("Runs start again." if ended else "There was no maintenance.")
            return
        draining.begin_drain(user=None, reason=options["reason"])
        alive = Run.objects.filter(status__in=ALIVE).count()
        self.stdout.write(f"No more runs start; {alive} still run{'s' if alive == 1 else ''}.")
