"""What a run or a step can be, with words, icons and the sets that matter, in one place."""

from django.db import models


class Status(models.TextChoices):
    """`queued` waits, `running` and `paused` are alive, all others are ends."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    SUCCESS = "success", "Success"
    FAILED = "failed", "Failed"
    TIMEOUT = "timeout", "Timed out"
    STOPPED = "stopped", "Stopped"
    SKIPPED = "skipped", "Skipped"
    LOST = "lost", "Lost"

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def icon(self) -> str:
        """Name of the symbol in the icon sprite: status is never told by colour alone."""
        return ICONS[self]

    @property
    def tone(self) -> str:
        """Which of the five status colours: idle, live, good, bad, warn."""
        return TONES[self]


ALIVE = frozenset({Status.RUNNING, Status.PAUSED})
ACTIVE = ALIVE | {Status.QUEUED}
FINAL = frozenset(Status) - ACTIVE
BROKEN = frozenset({Status.FAILED, Status.TIMEOUT, Status.LOST})
UNHAPPY = BROKEN | {Status.STOPPED}

ICONS = {
    Status.QUEUED: "clock",
    Status.RUNNING: "loader",
    Status.PAUSED: "pause",
    Status.SUCCESS: "check",
    Status.FAILED: "x",
    Status.TIMEOUT: "hourglass",
    Status.STOPPED: "square",
    Status.SKIPPED: "skip",
    Status.LOST: "unplug",
}
TONES = {
    Status.QUEUED: "idle",
    Status.RUNNING: "live",
    Status.PAUSED: "warn",
    Status.SUCCESS: "good",
    Status.FAILED: "bad",
    Status.TIMEOUT: "bad",
    Status.STOPPED: "warn",
    Status.SKIPPED: "idle",
    Status.LOST: "bad",
}


def success_rate(good: int, broken: int) -> float | None:
    """The share of those that succeeded, from 0 to 1; None when none ended so or so. What was stopped or skipped tells nothing of it."""
    return round(good / (good + broken), 4) if good + broken else None


class Trigger(models.TextChoices):
    """What started a run."""

    MANUAL = "manual", "Manual"
    API = "api", "API"
    URL = "url", "URL"
    SCHEDULE = "schedule", "Schedule"


class Kind(models.TextChoices):
    THREAD = "thread", "Thread"
    PROCESS = "process", "Process"
