"""`manage.py prepare`: what has to be there before the parts can run as services of their own."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from operations.bootstrap import prepare
from operations.demo import ensure_demo


class Command(BaseCommand):
    help = "Brings the database up to date and makes the first administrator and the demo content. Doing it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="Do not make the demo content.")

    def handle(self, *args: Any, **options: Any) -> None:
        credentials = prepare()
        if not options["no_demo"]:
            ensure_demo()
        if credentials:
            self.stdout.write(credentials.sentence)
