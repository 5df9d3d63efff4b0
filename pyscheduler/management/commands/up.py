"""`manage.py up`: the platform in one command."""

import fcntl
import gc
import os
import signal
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import timezone
from django_q.conf import Conf

import engine.tasks  # noqa: F401 - loaded before the fork, once for all workers
from core import layout
from core.addresses import is_any, url_of
from core.kernel import hide_memory, limit_arenas
from engine.canary import ensure_demanded
from engine.cluster import is_stuck, run_cluster
from engine.findings import IsolationUnavailable
from engine.keeper import KeeperUnavailable, quit_keeper, renew_keeper
from engine.parts import Part, Parts, succeeds_in_child
from engine.shutdown import stop_scripts
from history.ledger import alive_ids
from operations.bootstrap import prepare
from operations.demo import ensure_demo
from pyscheduler.web.server import CannotListen, bind, serve
from pyscheduler.web.warm import warm_up
from schedules.clock import run_clock

# Together under the ten seconds that an end may take.
PARTS_SECONDS, SCRIPTS_SECONDS = 3.5, 6.0
LOCK_SECONDS = 3.0


class Command(BaseCommand):
    help = "Starts web server, scheduler and workers, and keeps them running."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--workers", type=int, default=settings.WORKERS)
        parser.add_argument("--no-demo", action="store_true", help="Do not make the demo content.")
        parser.add_argument(
            "--scripts",
            choices=["auto", "stop", "keep"],
            default=settings.ON_SHUTDOWN,
            help="What happens to running scripts at the end: auto stops them on Ctrl-C and keeps them on SIGTERM.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        self._configure(host, port, options["workers"])
        hide_memory()
        self._be_alone()
        try:
            ensure_demanded()
        except IsolationUnavailable as error:
            raise CommandError(error.message) from None
        # Bound here and inherited: a port in use is told before anything starts, and while the web server is restarted
        # browsers wait in the socket's queue instead of being refused.
        try:
            listener = bind(host, port)
        except CannotListen as error:
            raise CommandError(str(error)) from None
        # In a child: what migrations and the demo load is of no use to the parts, which are copies of this process.
        if not succeeds_in_child(lambda: self._prepare(demo=not options["no_demo"])):
            raise CommandError("The database could not be prepared; the lines above say why.")
        try:
            renew_keeper()
        except KeeperUnavailable as error:
            raise CommandError(error.message) from None
        limit_arenas()
        warm_up()
        connections.close_all()
        gc.collect()
        gc.freeze()
        started_at = timezone.now()
        parts = Parts(
            [
                Part("web server", lambda: serve(listener)),
                Part("clock", lambda: run_clock(platform_started_at=started_at)),
                Part("cluster", run_cluster, is_stuck),
            ]
        )
        self.stdout.write(f"PyScheduler is running at {settings.PUBLIC_URL}/ (Ctrl-C to stop)")
        self.stdout.flush()
        self._end(parts, parts.run(), options["scripts"])

    def _be_alone(self) -> None:
        """One platform per data path: a second is more likely a mistyped port than a wish."""
        layout.data_path().mkdir(parents=True, exist_ok=True, mode=0o700)
        # Held by this process and its parts until the last of them ends.
        self.lock = os.open(layout.data_path("up.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # The parts of one that was killed are just ending.
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    place = layout.data_path()
                    raise CommandError(f"PyScheduler already runs on {place}; stop it first, or set PYSCHED_DATA_PATH.") from None
                time.sleep(0.05)

    def _configure(self, host: str, port: int, workers: int) -> None:
        if not 1 <= workers <= 64:
            raise CommandError(f"--workers: {workers} is out of range; use 1 to 64.")
        Conf.WORKERS = workers
        settings.HOST, settings.PORT = host, port
        if "PYSCHED_URL" not in os.environ:
            settings.PUBLIC_URL = url_of(host, port)
        if not is_any(host) and host not in settings.ALLOWED_HOSTS:
            settings.ALLOWED_HOSTS.append(host)

    def _prepare(self, *, demo: bool) -> None:
        credentials = prepare()
        if demo:
            ensure_demo()
        if credentials:
            self.stdout.write(credentials.sentence)
            self.stdout.flush()

    def _end(self, parts: Parts, why: signal.Signals, scripts: str) -> None:
        self.stdout.write("Stopping …")
        parts.stop(PARTS_SECONDS)
        if scripts == "stop" or (scripts == "auto" and why is signal.SIGINT):
            left = stop_scripts(SCRIPTS_SECONDS)
            if left:
                self.stdout.write(f"{left} runs did not stop in time; the next start records what became of them.")
        elif alive := alive_ids(settings.HOST_KEY):
            self.stdout.write(f"{len(alive)} runs keep running; the next start takes them over.")
        else:
            quit_keeper()
