"""Schedules, and what became of each of their due times."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from accounts.models import Team
from accounts.querysets import TeamQuerySet
from core.names import MAX_NAME
from history.models import Run
from processes.models import Process
from threads.models import Thread

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

MAX_INTERVAL_SECONDS = 366 * 86400
MAX_JITTER_SECONDS = 86400
MAX_REASON = 200


class ScheduleKind(models.TextChoices):
    CRON = "cron", "Cron"
    INTERVAL = "interval", "Interval"
    ONCE = "once", "Once"
    STARTUP = "startup", "At start-up"
    URL = "url", "By URL"
    MANUAL = "manual", "Manual only"


class Overlap(models.TextChoices):
    """What happens at a due time while an earlier run of the schedule has not ended."""

    ALLOW = "allow", "Run beside it"
    SKIP = "skip", "Skip this time"
    QUEUE = "queue", "Wait for it; one at most waits"
    QUEUE_ALL = "queue_all", "Wait for it; any number waits"
    REPLACE = "replace", "Stop it and run"


class Missed(models.TextChoices):
    """What becomes of due times that passed while the platform was not running."""

    SKIP = "skip", "Skip them"
    LATEST = "latest", "Run the latest"
    ALL = "all", "Run all of them"


class Schedule(models.Model):
    """Starts a thread or a process at the right times.

    `next_run_at` is when it starts next, None when there is no such time; the clock moves it by compare-and-set, so that
    several clocks never fire one due time twice. With `jitter_seconds` it lies up to so much behind its due time, which is
    `next_due_at` then. Interval times are `anchor_at` + n x interval: no drift. There are none before `starts_at` and after `ends_at`.
    `retries` and `timeout_seconds`, where set, count instead of those of the threads. `skip_next_by` is who wants the next due
    time left out.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=MAX_NAME)
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="schedules", null=True, blank=True)
    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="schedules", null=True, blank=True)
    kind = models.CharField(max_length=10, choices=ScheduleKind.choices, default=ScheduleKind.CRON)
    cron = models.CharField(max_length=200, blank=True)
    interval_seconds = models.PositiveIntegerField(null=True, blank=True)
    anchor_at = models.DateTimeField(default=now, editable=False)
    run_at = models.DateTimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    jitter_seconds = models.PositiveIntegerField(default=0)
    overlap = models.CharField(max_length=10, choices=Overlap.choices, default=Overlap.ALLOW)
    missed = models.CharField(max_length=10, choices=Missed.choices, default=Missed.LATEST)
    enabled = models.BooleanField(default=True)
    priority = models.IntegerField(default=0)
    parameters = models.JSONField(default=dict, blank=True)
    retries = models.PositiveIntegerField(null=True, blank=True)
    timeout_seconds = models.PositiveIntegerField(null=True, blank=True)
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    skip_next_by = models.CharField(max_length=150, blank=True, editable=False)
    run_count = models.PositiveBigIntegerField(default=0, editable=False)
    fault = models.TextField(blank=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    firings: "RelatedManager[Firing]"
    pauses: "RelatedManager[Pause]"
    objects = TeamQuerySet["Schedule"].as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(thread__isnull=False, process=None) | Q(thread=None, process__isnull=False), name="schedule_has_one_target"
            ),
            models.CheckConstraint(condition=Q(kind__in=ScheduleKind.values), name="schedule_kind_is_known"),
            models.CheckConstraint(condition=~Q(kind="cron") | ~Q(cron=""), name="schedule_cron_has_an_expression"),
            models.CheckConstraint(
                condition=~Q(kind="interval") | Q(interval_seconds__gte=1, interval_seconds__lte=MAX_INTERVAL_SECONDS),
                name="schedule_interval_in_range",
            ),
            models.CheckConstraint(condition=~Q(kind="once") | Q(run_at__isnull=False), name="schedule_once_has_a_time"),
            models.CheckConstraint(condition=Q(overlap__in=Overlap.values), name="schedule_overlap_is_known"),
            models.CheckConstraint(condition=Q(missed__in=Missed.values), name="schedule_missed_is_known"),
            models.CheckConstraint(condition=Q(jitter_seconds__lte=MAX_JITTER_SECONDS), name="schedule_jitter_in_range"),
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(starts_at__lt=F("ends_at")), name="schedule_ends_after_its_start"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_run_at"], name="schedule_due", condition=Q(enabled=True, next_run_at__isnull=False))
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def target(self) -> Thread | Process:
        target = self.thread or self.process
        assert target is not None  # schedule_has_one_target
        return target

    @property
    def is_done(self) -> bool:
        """Its only time has come and gone: there is nothing to switch on or off any more."""
        return self.kind == ScheduleKind.ONCE and self.enabled and self.next_run_at is None


class Outcome(models.TextChoices):
    FIRED = "fired", "Fired"
    SKIPPED = "skipped", "Skipped"


class Firing(models.Model):
    """One due time of one schedule: the run that came of it, or why none did.

    `covers` counts the due times it stands for: after a long downtime of a frequent schedule one row tells of many.
    """

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.TextField(blank=True)
    covers = models.PositiveIntegerField(default=1)
    run = models.OneToOneField(Run, on_delete=models.SET_NULL, related_name="firing", null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        ordering: ClassVar = ["-due_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["schedule", "due_at"], name="firing_once_per_due_time"),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="firing_outcome_is_known"),
            models.CheckConstraint(condition=~Q(outcome="skipped") | ~Q(reason=""), name="firing_skipped_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} at {self.due_at:%Y-%m-%d %H:%M:%S}"


class Pause(models.Model):
    """From `starts_at` to before `ends_at` (None: until somebody ends it) no due time of the schedule starts a run.

    Without a schedule it holds for all: scheduling is stopped as a whole.
    """

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="pauses", null=True, blank=True)
    starts_at = models.DateTimeField(default=now)
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=MAX_REASON, blank=True)
    by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        ordering: ClassVar = ["starts_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at=None) | Q(starts_at__lt=F("ends_at")), name="pause_ends_after_its_start")
        ]

    def __str__(self) -> str:
        return f"Pause of {self.schedule or 'all schedules'}"

    def covers(self, moment: datetime) -> bool:
        return self.starts_at <= moment and (self.ends_at is None or moment < self.ends_at)

    @property
    def is_on(self) -> bool:
        return self.covers(now())


class ClockLease(models.Model):
    """Which clock leads. One row; leadership saves work, correctness does not rest on it."""

    name = models.CharField(max_length=20, primary_key=True, default="clock")
    holder = models.CharField(max_length=150, blank=True)
    expires_at = models.DateTimeField(default=now)
    beat_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder or 'nobody'}"
