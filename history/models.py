"""The record: runs, their steps and what they left. Names are copied, so that history outlives what it names."""

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Team
from accounts.querysets import TeamQuerySet
from core.names import MAX_NAME, MAX_SAFE_NAME
from environments.packages import package_for
from history.status import ACTIVE, ALIVE, FINAL, Kind, Status, Trigger
from processes.models import OnFailure, Process
from threads.models import Thread, ThreadVersion

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

_FINISHED = Q(finished_at=None, status__in=sorted(ACTIVE)) | Q(finished_at__isnull=False, status__in=sorted(FINAL))


class Host(models.Model):
    """A machine that executes runs; its workers renew `seen_at`."""

    key = models.CharField(max_length=100, primary_key=True)
    boot_id = models.CharField(max_length=40, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.key


class Drain(models.Model):
    """At most one row: as long as it is there, no waiting run starts; those that run go on to their end."""

    reason = models.CharField(max_length=200, blank=True)
    by = models.CharField(max_length=150, blank=True)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="drain_is_one")]

    def __str__(self) -> str:
        return self.reason or "maintenance"


class Run(models.Model):
    """One execution of a thread or a process.

    `claim_token` says which claim started it and `lease_expires_at` until when its host vouches for it. `not_before`: some of its
    steps will be tried again then, and if none runs meanwhile it takes up no place. A retry is a run of its own: `retry_of` is the
    earlier one, `attempt` one more than that one's. `pause_requested_at` is set as long as it shall stand still, and `paused_ms` is what
    earlier pauses took. One that is `in_turn` starts when all earlier runs of its schedule have ended. Runs that failed alike have
    one `failure_signature`.
    `output_dir` is relative to `media/process_runs`. `progress` is a share from 0 to 1, None when not known.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="runs")
    number = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=MAX_NAME)
    safe_name = models.CharField(max_length=MAX_SAFE_NAME)
    thread = models.ForeignKey(Thread, on_delete=models.SET_NULL, related_name="runs", null=True, blank=True)
    process = models.ForeignKey(Process, on_delete=models.SET_NULL, related_name="runs", null=True, blank=True)
    # Schedules live in a room above: a bare number and a copied name.
    schedule_id = models.BigIntegerField(null=True, blank=True)
    schedule_name = models.CharField(max_length=MAX_NAME, blank=True)
    in_turn = models.BooleanField(default=False)
    trigger = models.CharField(max_length=10, choices=Trigger.choices, default=Trigger.MANUAL)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    priority = models.IntegerField(default=0)
    attempt = models.PositiveIntegerField(default=1)
    retry_of = models.ForeignKey("self", on_delete=models.SET_NULL, related_name="retried_by", null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    reason = models.TextField(blank=True)
    failure_signature = models.CharField(max_length=64, blank=True)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    progress = models.FloatField(null=True, blank=True)
    peak_memory_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    cpu_seconds = models.FloatField(null=True, blank=True)
    output_dir = models.CharField(max_length=200, blank=True)
    log_bytes = models.PositiveBigIntegerField(default=0)

    host_key = models.CharField(max_length=100, blank=True)
    claim_token = models.CharField(max_length=32, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_requested_by = models.CharField(max_length=150, blank=True)
    pause_requested_at = models.DateTimeField(null=True, blank=True)
    pause_requested_by = models.CharField(max_length=150, blank=True)
    paused_ms = models.PositiveBigIntegerField(default=0)

    steps: "RelatedManager[StepRun]"
    artifacts: "RelatedManager[Artifact]"
    objects = TeamQuerySet["Run"].as_manager()

    # What `history.why_waiting` tells; empty until it is asked, and of runs that do not wait.
    waiting_reason = ""

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "number"], name="run_number_is_unique"),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="run_status_is_known"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="run_kind_is_known"),
            models.CheckConstraint(condition=Q(trigger__in=Trigger.values), name="run_trigger_is_known"),
            models.CheckConstraint(condition=_FINISHED, name="run_is_finished_when_final"),
            models.CheckConstraint(
                condition=~Q(status__in=sorted(ALIVE)) | Q(started_at__isnull=False, claim_token__gt=""), name="run_is_claimed_when_alive"
            ),
            models.CheckConstraint(condition=Q(progress=None) | Q(progress__gte=0, progress__lte=1), name="run_progress_in_range"),
        ]
        indexes: ClassVar = [
            # The claim: best waiting run first. Small, whatever the size of the history.
            models.Index(F("priority").desc(), F("id").asc(), name="run_waiting", condition=Q(status=Status.QUEUED)),
            models.Index(fields=["host_key"], name="run_alive", condition=Q(status__in=sorted(ALIVE))),
            models.Index(fields=["team", "-id"], name="run_by_team"),
            models.Index(fields=["team", "status", "-id"], name="run_by_team_status"),
            models.Index(fields=["thread", "-id"], name="run_by_thread"),
            models.Index(fields=["process", "-id"], name="run_by_process"),
            models.Index(fields=["schedule_id", "-id"], name="run_by_schedule"),
            models.Index(fields=["team", "failure_signature", "-id"], name="run_by_failure", condition=~Q(failure_signature="")),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.name}"

    @property
    def state(self) -> Status:
        return Status(self.status)

    @property
    def is_final(self) -> bool:
        return self.state.is_final

    @property
    def duration_ms(self) -> int | None:
        """From the start to the end, or to now while it runs; None before the start."""
        if self.started_at is None:
            return None
        return round(((self.finished_at or timezone.now()) - self.started_at).total_seconds() * 1000)


class StepRun(models.Model):
    """One thread's part of a run, with the exact version it ran. Statuses are those of runs.

    `limits` are the thread's own by their names there, as they were when the run was queued. `failure` is what is known of why it
    failed (`history.failures`), `outputs` what the script declared, `earlier_attempts` how those before `attempt` ended. `isolation` is
    the level it ran at, `isolation_reason` why no higher one; `environment_key` is empty for the platform's own Python.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    stage = models.PositiveIntegerField()
    name = models.CharField(max_length=MAX_NAME)
    safe_name = models.CharField(max_length=MAX_SAFE_NAME)
    thread = models.ForeignKey(Thread, on_delete=models.SET_NULL, related_name="step_runs", null=True, blank=True)
    version = models.ForeignKey(ThreadVersion, on_delete=models.SET_NULL, related_name="step_runs", null=True, blank=True)
    version_number = models.PositiveIntegerField()
    parameters = models.JSONField(default=dict, blank=True)
    on_failure = models.CharField(max_length=10, choices=OnFailure.choices, default=OnFailure.STOP)
    timeout_seconds = models.PositiveIntegerField()
    limits = models.JSONField(default=dict, blank=True)
    network = models.BooleanField(default=True)
    retries = models.PositiveIntegerField(default=0)
    retry_delay_seconds = models.PositiveIntegerField(default=10)
    retry_exit_codes = models.JSONField(default=list, blank=True)
    environment_key = models.CharField(max_length=64, blank=True)
    attempt = models.PositiveIntegerField(default=1)
    earlier_attempts = models.JSONField(default=list, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    reason = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    isolation = models.CharField(max_length=20, blank=True)
    isolation_reason = models.TextField(blank=True)
    failure = models.JSONField(default=dict, blank=True)
    outputs = models.JSONField(default=dict, blank=True)
    peak_memory_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    cpu_seconds = models.FloatField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["run", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "position"], name="step_run_position_is_unique"),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="step_run_status_is_known"),
            models.CheckConstraint(condition=_FINISHED, name="step_run_is_finished_when_final"),
            models.CheckConstraint(condition=Q(on_failure__in=OnFailure.values), name="step_run_on_failure_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["run"], name="step_run_alive", condition=Q(status__in=sorted(ALIVE)))]

    def __str__(self) -> str:
        return f"{self.position} {self.name}"

    @property
    def state(self) -> Status:
        return Status(self.status)

    @property
    def missing_package(self) -> str:
        """What to install, as far as it is known, when it failed for a module that was not there."""
        module = self.failure.get("module", "")
        return package_for(module) if module else ""

    @property
    def outcome(self) -> Status:
        """How the thread fared: of one that ran by itself, as its run did."""
        return self.run.state if self.run.kind == Kind.THREAD else self.state

    @property
    def duration_ms(self) -> int | None:
        if self.started_at is None:
            return None
        return round(((self.finished_at or timezone.now()) - self.started_at).total_seconds() * 1000)


class Artifact(models.Model):
    """A file that a run left in its directory; `path` is relative to it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    step = models.ForeignKey(StepRun, on_delete=models.CASCADE, related_name="artifacts", null=True, blank=True)
    path = models.CharField(max_length=1000)
    size_bytes = models.PositiveBigIntegerField()
    modified_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["path"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "path"], name="artifact_path_is_unique")]

    def __str__(self) -> str:
        return self.path
