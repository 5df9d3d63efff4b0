"""Python environments as visible objects, and their builds."""

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from environments.sharing import SharedQuerySet

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class EnvironmentState(models.TextChoices):
    READY = "ready", "Ready"
    BROKEN = "broken", "Broken"
    # Taken off the disk; the lock stays, for the record and to make it again.
    COLLECTED = "collected", "Collected"

    @property
    def icon(self) -> str:
        return {"ready": "check", "broken": "alert", "collected": "file-archive"}[self.value]

    @property
    def tone(self) -> str:
        return {"ready": "good", "broken": "bad", "collected": "idle"}[self.value]


class BuildStatus(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Building"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"

    @property
    def icon(self) -> str:
        return {"queued": "clock", "running": "loader", "ready": "check", "failed": "alert"}[self.value]

    @property
    def tone(self) -> str:
        return {"queued": "idle", "running": "live", "ready": "good", "failed": "bad"}[self.value]


UNDER_WAY = (BuildStatus.QUEUED, BuildStatus.RUNNING)


class Environment(models.Model):
    """One Python with exact packages, on disk under its key; shared by all threads that come to the same, never changed.

    The key is a SHA-256 over the full version, implementation, platform, lock and index. `health` is what is wrong with it.
    """

    key = models.CharField(max_length=64, unique=True)
    python_version = models.CharField(max_length=20)
    implementation = models.CharField(max_length=20)
    platform = models.CharField(max_length=100)
    interpreter = models.CharField(max_length=500)
    lock = models.TextField(blank=True)
    packages = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=EnvironmentState.choices, default=EnvironmentState.READY)
    health = models.TextField(blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    checked_at = models.DateTimeField(null=True, blank=True)

    builds: "RelatedManager[EnvironmentBuild]"
    objects = SharedQuerySet["Environment"].as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=EnvironmentState.values), name="environment_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"Python {self.python_version}, {len(self.packages)} packages ({self.key[:8]})"

    @property
    def status(self) -> EnvironmentState:
        return EnvironmentState(self.state)


class EnvironmentBuild(models.Model):
    """One attempt to come from a wish to an environment. `wish` is the wish's digest: equal wishes share a build.

    `error` are the resolver's words. One that has an `environment` from the beginning resolves nothing: it makes that one, on the
    host that lacks it if it names one in `only_host`. `host_key` is who builds, or did.
    """

    wish = models.CharField(max_length=64)
    python_version = models.CharField(max_length=20, blank=True)
    requires_python = models.CharField(max_length=200, blank=True)
    requirements = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=BuildStatus.choices, default=BuildStatus.QUEUED)
    log = models.TextField(blank=True)
    error = models.TextField(blank=True)
    environment = models.ForeignKey(Environment, on_delete=models.SET_NULL, related_name="builds", null=True, blank=True)
    only_host = models.CharField(max_length=100, blank=True)
    host_key = models.CharField(max_length=100, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = SharedQuerySet["EnvironmentBuild"].as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=BuildStatus.values), name="environment_build_status_is_known"),
            models.UniqueConstraint(fields=["wish"], condition=Q(status__in=UNDER_WAY), name="environment_build_is_under_way_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["status"], name="environment_build_under_way", condition=Q(status__in=UNDER_WAY))]

    def __str__(self) -> str:
        return f"build {self.pk}"

    @property
    def state(self) -> BuildStatus:
        return BuildStatus(self.status)

    @property
    def is_under_way(self) -> bool:
        return self.status in UNDER_WAY
