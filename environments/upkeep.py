"""Verbs about environments that are there: check them, measure them, collect those that nobody uses. Each host looks after its own."""

import time

from django.conf import settings
from django.utils import timezone

from accounts.access import require_operator
from accounts.models import User
from core import layout
from environments import ondisk
from environments.models import Environment, EnvironmentState
from environments.services import CARE, make_on

DAY_SECONDS = 86_400


def check_environment(environment: Environment, *, user: User) -> Environment:
    """Look whether it still works on this host, and record what was found. For operators; takes about half a second.

    Of one that is not on this host nothing is recorded: another may have it. What is returned says so.
    """
    require_operator(user, CARE)
    if ondisk.last_used(environment.key) is None:
        environment.health = f"It is not on host {settings.HOST_KEY}; it is built there when a run needs it."
        return environment
    _look_at(environment)
    environment.refresh_from_db()
    return environment


def _look_at(environment: Environment) -> bool:
    """True when it works. Packages that do not fit together are told of, but break nothing: some scripts run with them."""
    fault = ondisk.health_of(environment.key)
    Environment.objects.filter(pk=environment.pk).update(
        health=f"On host {settings.HOST_KEY}: {fault}" if fault else ondisk.misfits_of(environment.key),
        state=EnvironmentState.BROKEN if fault else EnvironmentState.READY,
        checked_at=timezone.now(),
        size_bytes=ondisk.size_of(environment.key),
    )
    return not fault


def note_size(environment: Environment) -> None:
    """Record what it takes on disk now."""
    Environment.objects.filter(pk=environment.pk).update(size_bytes=ondisk.size_of(environment.key))


def collect_unused(*, days: int, user: User | None = None) -> dict[str, int]:
    """Take those off this host's disk that no thread uses and no run used for so many days, and what half builds left; their rows stay.

    Keys and how many bytes each took. For operators, or the platform.
    """
    if user:
        require_operator(user, CARE)
    here = ondisk.keys_here()
    in_use = set(Environment.objects.filter(key__in=here, threads__isnull=False).values_list("key", flat=True))
    return {
        key: size for key in here if key not in in_use and (size := _take_off_unused(key, time.time() - days * DAY_SECONDS)) is not None
    }


def _take_off_unused(key: str, since: float) -> int | None:
    """Its size; None when it stays, for it was used since then or is just being made."""
    with ondisk.held_at_once(ondisk.lock_of(key)) as is_free:
        if not is_free or (ondisk.last_used(key) or 0) > since:
            return None
        size = ondisk.size_of(key)
        ondisk.take_off(key)
        Environment.objects.filter(key=key).update(state=EnvironmentState.COLLECTED, size_bytes=0)
        return size


def take_daily_turn() -> bool:
    """True once a day on each host: its environments are to be looked after. A host's first day ends with the first time."""
    path = layout.environments_folder() / "looked-after"
    try:
        if time.time() - path.stat().st_mtime < DAY_SECONDS:
            return False
        path.touch()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch()
        return False
    return True


def look_after_environments() -> tuple[int, int]:
    """Collect the unused of this host and check the others; one that is damaged is made again. How many were collected, and damaged."""
    collected = collect_unused(days=settings.UNUSED_ENVIRONMENT_DAYS)
    here = [key for key in ondisk.keys_here() if ondisk.last_used(key) is not None]
    damaged = [found for found in Environment.objects.filter(key__in=here) if not _look_at(found)]
    for environment in damaged:
        make_on(environment, settings.HOST_KEY, None)
    return len(collected), len(damaged)
