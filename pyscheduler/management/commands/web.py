"""`manage.py web`: the web server as a service of its own."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from core.addresses import url_of
from core.kernel import hide_memory
from pyscheduler.web.server import CannotListen, bind, serve


class Command(BaseCommand):
    help = "Serve pages, API and event streams until SIGTERM or Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (default: PYSCHED_HOST)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port, 0 for a free one (default: PYSCHED_PORT)")

    def handle(self, *args: Any, **options: Any) -> None:
        hide_memory()
        try:
            listener = bind(options["host"], options["port"])
        except CannotListen as error:
            raise CommandError(str(error)) from None
        address = url_of(*listener.getsockname()[:2])
        try:
            serve(listener, lambda: print(f"Web server: {address}/", file=self.stdout, flush=True))
        except DatabaseError as error:
            fault = str(error).strip().splitlines()[0]
            raise CommandError(f"The database cannot be read ({fault}); is it there, and has `manage.py migrate` been run?") from None
