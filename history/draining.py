"""Maintenance: no waiting run starts, those that run go on to their end. One row says so, and each claim reads it with the runs."""

from django.db import transaction

from accounts.access import require_operator
from accounts.models import User
from accounts.services import record
from events.services import publish
from history.models import Drain
from history.queue import issue_ticket


def current() -> Drain | None:
    return Drain.objects.first()


@transaction.atomic
def begin_drain(*, user: User | None, reason: str = "") -> Drain:
    """Let no more runs start; doing it again changes the reason. `user` None is the operating system's own operator."""
    _check(user)
    drain, _ = Drain.objects.update_or_create(pk=1, defaults={"reason": reason.strip()[:200], "by": user.username if user else ""})
    record(user=user, verb="began", target=drain)
    publish("maintenance", team_id=None, active=True, reason=drain.reason, since=drain.since.isoformat())
    return drain


@transaction.atomic
def end_drain(*, user: User | None) -> bool:
    """Waiting runs start again; False when they did anyway."""
    _check(user)
    drain = Drain.objects.select_for_update().first()
    if drain is None:
        return False
    record(user=user, verb="ended", target=drain)
    drain.delete()
    publish("maintenance", team_id=None, active=False)
    issue_ticket()
    return True


def _check(user: User | None) -> None:
    if user is not None:
        require_operator(user, "Maintenance")
