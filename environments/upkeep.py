"""Verbs about environments that are there: check one, measure it, collect those that nobody uses."""

import time
from typing import Any

from django.utils import timezone

from accounts.access import require_operator
from accounts.models import User
from environments import ondisk
from environments.models import Environment, EnvironmentState
from environments.services import CARE

UNUSED_DAYS = 30


def check_environment(environment: Environment, *, user: User) -> Environment:
    """Look whether it still works on this host, and record what was found. For operators; takes about half a second.

    Packages that do not fit together are told of, but break nothing: some scripts run with them.
    """
    require_operator(user, CARE)
    fault = ondisk.health_of(environment.key)
    state = EnvironmentState.BROKEN if fault else EnvironmentState.READY
    health = fault or ondisk.misfits_of(environment.key)
    rows = Environment.objects.filter(pk=environment.pk).exclude(state=EnvironmentState.COLLECTED)
    rows.update(health=health, state=state, checked_at=timezone.now(), size_bytes=ondisk.size_of(environment.key))
    environment.refresh_from_db()
    return environment


def note_size(environment: Environment) -> None:
    """Record what it takes on disk now."""
    Environment.objects.filter(pk=environment.pk).update(size_bytes=ondisk.size_of(environment.key))


def collect_unused(*, days: int, user: User | None = None) -> list[Environment]:
    """Take those off the disk that no thread uses and no run used for so many days; their rows stay. For operators, or the platform."""
    if user:
        require_operator(user, CARE)
    unused: dict[str, Any] = {"threads": None}
    collected = []
    for environment in Environment.objects.filter(**unused).exclude(state=EnvironmentState.COLLECTED):
        used = ondisk.last_used(environment.key)
        if used is None or used <= time.time() - days * 86400:
            _take_off(environment)
            collected.append(environment)
    return collected


def _take_off(environment: Environment) -> None:
    with ondisk.held(ondisk.lock_of(environment.key)):
        ondisk.take_off(environment.key)
        Environment.objects.filter(pk=environment.pk).update(state=EnvironmentState.COLLECTED, size_bytes=0)
