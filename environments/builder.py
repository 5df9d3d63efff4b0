"""The process that builds what waits. A few per host; what one of them left when it died, the next takes up."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from core import layout
from environments import ondisk, services
from environments.models import BuildStatus, EnvironmentBuild
from environments.services import Tell
from environments.upkeep import note_size

# Builders of a host at once: one large build does not keep the small ones waiting.
BUILDERS = 2
MOST_ATTEMPTS = 3


def build_waiting(tell: Tell, hand_over: Tell) -> int:
    """Build what waits, until nothing does or enough others are at it; returns how many were built.

    `tell` is called whenever there is something to see, `hand_over` when a build's environment is ready.
    """
    built = 0
    compiling = []
    # Whoever asks while all places are taken may be too late for those builders' last look: so one looks again without a place.
    while services.waiting_builds():
        with _place() as has_place:
            if not has_place:
                break
            for pk in services.waiting_builds():
                with _mark(pk) as is_free:
                    if not is_free or (build := services.claim_build(pk)) is None:
                        continue
                    if services.carry_out(build, tell, hand_over) and build.environment:
                        compiling.append((build.environment, ondisk.compile_bytecode(build.environment.key)))
                    built += 1
    for environment, child in compiling:
        if child:
            child.wait()
        note_size(environment)
    return built


def take_up_abandoned(is_gone: Callable[[str], bool]) -> int:
    """Builds of this host whose builder died wait again, or have failed when that happened too often; how many wait in all.

    Those too of hosts that are gone: nobody there will ever look.
    """
    for build in EnvironmentBuild.objects.filter(status=BuildStatus.RUNNING).only("pk", "status", "attempt", "host_key"):
        if build.host_key != settings.HOST_KEY:
            if is_gone(build.host_key):
                services.release_build(build, is_last=build.attempt >= MOST_ATTEMPTS)
            continue
        with _mark(build.pk) as is_free:
            if is_free:
                services.release_build(build, is_last=build.attempt >= MOST_ATTEMPTS)
    return len(services.waiting_builds())


@contextlib.contextmanager
def _place() -> Iterator[bool]:
    """One of the builders' places on this host, as long as it lasts; False when all are taken."""
    with contextlib.ExitStack() as stack:
        yield any(stack.enter_context(ondisk.held_at_once(_folder() / f"builder-{number}.lock")) for number in range(BUILDERS))


@contextlib.contextmanager
def _mark(build_id: int) -> Iterator[bool]:
    """Held by who carries the build out: the kernel frees it when he dies. False when another holds it."""
    path = _folder() / f"build-{build_id}.lock"
    with ondisk.held_at_once(path) as is_free:
        yield is_free
        if is_free:
            path.unlink(missing_ok=True)


def _folder() -> Path:
    folder = layout.environments_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
