"""What the check of a live installation works with: the API from outside, and a team of its own that leaves nothing behind."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings
from django.db import transaction

from accounts.models import ApiKey, Team, User
from accounts.services import create_api_key, create_team, record
from core import layout
from core.errors import DomainError
from history.models import Run
from history.services import request_stop
from history.status import ACTIVE
from processes.models import Process
from processes.services import delete_process
from schedules.models import Schedule
from schedules.services import delete_schedule
from threads.models import Thread, ThreadVersion
from threads.services import delete_thread

STOP_SECONDS = 15.0


class Missing(Exception):
    """The installation does not do what it should."""


class Api:
    """The REST API of an installation at `url`, with a key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise Missing(f"{url!r} is not an address; use http://host:port")
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if settings.BEHIND_TLS and self.url.startswith("http:"):
            # We stand where the proxy stands, behind TLS.
            self.headers["X-Forwarded-Proto"] = "https"
        # An installation is spoken to directly, whatever proxy this machine uses for the world outside.
        self.opener = build_opener(ProxyHandler({}))

    def content(self, call: str, body: Any = None) -> bytes:
        """What a GET gives, or with a body a POST; Missing with the platform's own words when it refuses or is not there."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/api/v1/{call}", data=data, headers=self.headers)  # noqa: S310
        try:
            with self.opener.open(request, timeout=30) as answer:
                found: bytes = answer.read()
                return found
        except HTTPError as error:
            raise Missing(f"{request.get_method()} {call} was answered by {error.code}: {_words(error)}") from None
        except (URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Missing(
                f"nothing answers at {self.url} ({reason}); is the platform running there? Name another address by --url"
            ) from None

    def read(self, call: str, body: Any = None) -> Any:
        try:
            return json.loads(self.content(call, body))
        except ValueError:
            raise Missing(f"{call} was not answered by JSON; is {self.url} this platform?") from None


def _words(error: HTTPError) -> str:
    try:
        found = json.loads(error.read())
        return str(found["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


@dataclass(frozen=True, slots=True)
class Guest:
    """The team that is there for the check alone, and the text of its key."""

    user: User
    team: Team
    key: str


@contextlib.contextmanager
def guest(say: Callable[[str], None]) -> Iterator[Guest]:
    """A team, its operator and its key; afterwards all of the team is gone, runs and files included, whatever happened."""
    user = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if user is None:
        raise Missing("there is no administrator yet; start the platform once with `manage.py up`")
    with transaction.atomic():
        team = create_team(name="Verification", user=user)
        _, text = create_api_key(user=user, name="verify", by=user, team=team, days=1)
    try:
        yield Guest(user=user, team=team, key=text)
    finally:
        _remove_all(team, user)
        say("Removed what was made for this check.")


def _remove_all(team: Team, user: User) -> None:
    for schedule in Schedule.objects.filter(team=team):
        delete_schedule(schedule=schedule, user=user)
    _end_runs(team, user)
    for process in Process.objects.filter(team=team):
        delete_process(process=process, user=user)
    for run in Run.objects.filter(team=team):
        _remove_files(run)
    for version in ThreadVersion.objects.filter(thread__team=team):
        _remove_tree(layout.code_folder(version.pk))
    for thread in Thread.objects.filter(team=team):
        delete_thread(thread=thread, user=user)
    with transaction.atomic():
        ApiKey.objects.filter(team=team).delete()
        record(user=user, verb="deleted", target=team)
        team.delete()


def _end_runs(team: Team, user: User) -> None:
    active = Run.objects.filter(team=team, status__in=ACTIVE)
    for run in active:
        with contextlib.suppress(DomainError):  # It has just ended.
            request_stop(run=run, user=user)
    until = time.monotonic() + STOP_SECONDS
    while active.exists() and time.monotonic() < until:
        time.sleep(0.1)


def _remove_files(run: Run) -> None:
    _remove_tree(layout.control_folder(run.pk))
    if run.output_dir:
        directory = layout.run_directory(run.output_dir)
        _remove_tree(directory)
        with contextlib.suppress(OSError):  # Other runs of that name are left alone.
            directory.parent.rmdir()


def _remove_tree(folder: Path) -> None:
    for inner, _, _ in folder.walk():
        inner.chmod(0o700)  # Code lies there read-only.
    shutil.rmtree(folder, ignore_errors=True)
