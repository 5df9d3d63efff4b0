"""When a step that failed is tried again. Pure but for the dice."""

import random
from datetime import datetime, timedelta

from history.ledger import StepEnd
from history.models import StepRun
from history.status import BROKEN

LONGEST_SECONDS = 3600.0
# Steps that failed for the same reason at the same moment do not all come back at the same moment.
JITTER = 0.2


def next_attempt_at(step: StepRun, end: StepEnd, now: datetime) -> datetime | None:
    """When the step that ended so is tried again; None when it is not: it ended well, was stopped, or has no attempt left.

    With `retry_exit_codes` only these codes count. Without them every failure does, a loss to a reboot or a dead supervisor too.
    """
    if end.status not in BROKEN or step.attempt > step.retries or step.run.stop_requested_at is not None:
        return None
    if step.retry_exit_codes and end.exit_code not in step.retry_exit_codes:
        return None
    return now + timedelta(seconds=delay_seconds(step.attempt, step.retry_delay_seconds))


def delay_seconds(attempt: int, first: int) -> float:
    """How long to wait after this attempt: doubled each time, an hour at most, a fifth more or less."""
    return min(first * 2.0 ** min(attempt - 1, 32), LONGEST_SECONDS) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
