"""Steps that run in an environment which another host built: this host builds it too, and meanwhile they wait."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from core.errors import DomainError
from environments.services import being_made_here, bring_here
from history import ledger
from history.models import StepRun

# Looked at again by the next periodic look: a place that is kept no longer than that is not missed.
AGAIN = timedelta(seconds=2)


def await_environment(step: StepRun) -> str:
    """Have it built here, and the step wait; returns why it cannot be had, empty when it can."""
    try:
        bring_here(step.environment_key, since=_asked_at(step))
    except DomainError as error:
        return error.message
    ledger.wait(step, timezone.now() + AGAIN, f"Its Python environment is being built on host {settings.HOST_KEY}.")
    return ""


def _asked_at(step: StepRun) -> datetime:
    """When the attempt began to wait: builds that failed before say nothing of it."""
    earlier = [datetime.fromisoformat(attempt["finished_at"]) for attempt in step.earlier_attempts if attempt.get("finished_at")]
    return max([moment for moment in (step.run.started_at, *earlier) if moment])


def put_off_what_waits() -> None:
    """As long as environments are being made here, what waits for them is not due."""
    if keys := being_made_here():
        ledger.put_off(settings.HOST_KEY, keys, timezone.now() + AGAIN)
