"""Giving threads the environments they ask for. What builds them runs beside the web process and beside runs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db.models import F, Q, QuerySet

from accounts.models import User
from core.errors import InvalidInput
from environments import builder, services
from environments.models import BuildStatus, EnvironmentBuild
from environments.upkeep import take_daily_turn
from environments.wishes import wish_of
from events.models import Event
from events.services import publish_all
from threads.models import Thread

_started: list["subprocess.Popen[bytes]"] = []


def settle_environment(thread: Thread, *, user: User | None, again: bool = False) -> EnvironmentBuild | None:
    """Bring what the thread has into line with what its settings and its source ask for; the build that will, if one has to.

    In the caller's transaction, which holds the thread's row; what is to be built begins after the commit. The last good
    environment stays in use until the new one is there, and when it cannot be had.
    """
    source = thread.current_version.source if thread.current_version else ""
    try:
        wish = wish_of(thread.python_version, thread.requirements, source)
    except InvalidInput as error:
        return _put(thread, services.refused_build(next(iter(error.fields.values()))[0], user=user))
    if wish.is_empty:
        if thread.environment_id or thread.environment_build_id:
            thread.environment = thread.environment_build = None
            thread.save(update_fields=["environment", "environment_build"])
        return None
    known = thread.environment_build
    if known and known.wish == wish.digest and (known.is_under_way or (known.status == BuildStatus.READY and not again)):
        return known
    return _put(thread, services.ask_for(wish, user=user, again=again))


def _put(thread: Thread, build: EnvironmentBuild) -> EnvironmentBuild:
    thread.environment_build = build
    thread.save(update_fields=["environment_build"])
    if build.status == BuildStatus.READY:
        _adopt(build, Thread.objects.filter(pk=thread.pk))
        thread.refresh_from_db(fields=["environment", "previous_environment"])
    return build


def missing_environment(thread: Thread) -> str:
    """Why a thread that has no environment yet cannot run."""
    build = thread.environment_build
    if build and build.status == BuildStatus.FAILED:
        return f"{thread.name} has no Python environment, for its build failed: {build.error}"
    return f"The Python environment of {thread.name} is being built for the first time; run it when it is ready."


def _adopt(build: EnvironmentBuild, threads: "QuerySet[Thread]") -> None:
    """These threads run in the build's environment from now on."""
    others = threads.filter(Q(environment=None) | ~Q(environment=build.environment))
    others.update(previous_environment=F("environment"), environment=build.environment)


def tell_threads(build: EnvironmentBuild) -> None:
    """The streams are told how the build is doing: each team that has a thread waiting for it."""
    teams = Thread.objects.filter(environment_build=build).values_list("team_id", flat=True).distinct()
    payload = {"id": build.pk, "status": build.status}
    if events := [Event(topic="environment", subject_id=build.pk, team_id=team, payload=payload) for team in teams]:
        publish_all(events)


def start_builder() -> None:
    """Starts a builder as a process of its own: this one shall be free, and a build outlives it."""
    _start("buildenvironments")


def _start(command: str) -> None:
    _started[:] = [child for child in _started if child.poll() is None]
    words = [sys.executable, str(Path(settings.BASE_DIR, "manage.py")), command]
    _started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, cwd=settings.BASE_DIR))


def build_waiting() -> int:
    """Build what waits on this host and hand it to the threads that wait for it; returns how many builds."""
    return builder.build_waiting(tell_threads, _hand_over)


def look_after_builds(is_gone: Callable[[str], bool]) -> None:
    """Builds whose builder died, or was never started, get another. Either this or the call after the commit would do. Once a day the
    environments of this host are looked after.

    `is_gone` tells of a host by its key whether nothing is heard of it any more.
    """
    if builder.take_up_abandoned(is_gone):
        start_builder()
    if take_daily_turn():
        _start("lookafterenvironments")


def _hand_over(build: EnvironmentBuild) -> None:
    _adopt(build, Thread.objects.filter(environment_build=build))
