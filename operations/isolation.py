"""Isolation as operators see it: what this host can do, and the button that finds it out anew."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.access import require_operator
from accounts.models import User
from accounts.roles import Role
from accounts.services import record
from engine.canary import IsolationUnavailable, Report, find_out, known_report
from engine.isolation import LEVELS
from history.models import Host


def isolation_report(*, user: User) -> Report | None:
    """What is known of this host; None before its first run. For operators."""
    require_operator(user, "Isolation", Role.VIEWER)
    return known_report()


def try_isolation(*, user: User) -> Report:
    """Have the canary try the levels now: runs that start from now on go by what it finds. For operators."""
    require_operator(user, "Isolation")
    report = find_out()
    with transaction.atomic():
        host, _ = Host.objects.get_or_create(key=settings.HOST_KEY)
        record(user=user, verb="tried isolation of", target=host, level=_level(report))
    return report


def _level(report: Report) -> str | None:
    try:
        return report.level.name
    except IsolationUnavailable:
        return None


def summary(report: Report | None) -> dict[str, Any]:
    """As the API tells it: `level` is None when it is not known yet or a demanded one cannot be had."""
    tried = {attempt.level: attempt for attempt in report.attempts} if report else {}
    return {
        "host": settings.HOST_KEY,
        "demanded": settings.ISOLATION,
        "least": settings.MIN_ISOLATION or None,
        "level": _level(report) if report else None,
        "checked_at": datetime.fromtimestamp(report.checked_at, UTC) if report else None,
        "levels": [
            {
                "name": name,
                "tried": name in tried,
                "holds": name in tried and not tried[name].fault,
                "reason": tried[name].fault if name in tried else "",
                "remedy": tried[name].remedy if name in tried else "",
                "gaps": list(tried[name].gaps) if name in tried else [],
            }
            for name in LEVELS
        ],
    }
