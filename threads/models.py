"""Threads: reusable scripts with their files, versions and draft."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Team
from accounts.querysets import TeamQuerySet
from core.checks import MAX_DESCRIPTION
from core.names import MAX_NAME, MAX_SAFE_NAME
from environments.models import Environment, EnvironmentBuild
from threads.limits import LIMITS, MAX_TIMEOUT_SECONDS
from threads.repeats import MAX_DELAY_SECONDS, MAX_RETRIES

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

MAX_VARIABLE_NAME = 100


def default_timeout() -> int:
    """Seconds; a callable, so that an operator's choice does not look like a changed model."""
    return int(settings.DEFAULT_SCRIPT_TIMEOUT)


def _least(name: str) -> list[MinValueValidator]:
    return [MinValueValidator(LIMITS[name].least)]


class ThreadType(models.TextChoices):
    SCRAPING = "scraping", "Scraping"
    DATA = "data", "Data"
    MAINTENANCE = "maintenance", "Maintenance"
    OTHER = "other", "Other"


class Folder(models.Model):
    """A place for threads; folders nest."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="folders")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, related_name="children", null=True, blank=True)
    name = models.CharField(max_length=MAX_NAME)
    safe_name = models.SlugField(max_length=MAX_SAFE_NAME)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TeamQuerySet["Folder"].as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "parent", "safe_name"], name="folder_safe_name_is_unique"),
            # A null parent equals no other: the top level needs its own rule.
            models.UniqueConstraint(fields=["team", "safe_name"], name="folder_safe_name_is_unique_at_top", condition=Q(parent=None)),
            models.CheckConstraint(condition=~Q(parent=models.F("id")), name="folder_is_not_its_own_parent"),
        ]

    def __str__(self) -> str:
        return self.name


class Thread(models.Model):
    """A script unit. What runs is `current_version`; a thread without one is a draft that cannot run yet.

    It runs in its `environment`, the last good one, or where it asks for none by the platform's own Python; `environment_build` is
    the newest attempt to give it what it asks for. A limit that is None is the platform's. `retry_exit_codes` empty: every failure is
    tried again; the delay doubles each time.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="threads")
    folder = models.ForeignKey(Folder, on_delete=models.SET_NULL, related_name="threads", null=True, blank=True)
    name = models.CharField(max_length=MAX_NAME)
    safe_name = models.SlugField(max_length=MAX_SAFE_NAME)
    type = models.CharField(max_length=20, choices=ThreadType.choices, default=ThreadType.OTHER)
    description = models.TextField(blank=True, max_length=MAX_DESCRIPTION)
    timeout_seconds = models.PositiveIntegerField(
        default=default_timeout,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_TIMEOUT_SECONDS)],
    )
    python_version = models.CharField("Python version", max_length=20, blank=True)
    requirements = models.TextField(blank=True, max_length=20_000)
    # By the key: runs note it, and a thread's row has it without a join.
    environment = models.ForeignKey(
        Environment, to_field="key", on_delete=models.PROTECT, related_name="threads", null=True, blank=True, editable=False
    )
    previous_environment = models.ForeignKey(
        Environment, to_field="key", on_delete=models.SET_NULL, related_name="+", null=True, blank=True, editable=False
    )
    environment_build = models.ForeignKey(
        EnvironmentBuild, on_delete=models.SET_NULL, related_name="threads", null=True, blank=True, editable=False
    )
    memory_limit_mb = models.PositiveIntegerField("memory limit (MiB)", null=True, blank=True, validators=_least("memory_limit_mb"))
    cpu_limit = models.PositiveIntegerField("processor time limit (seconds)", null=True, blank=True, validators=_least("cpu_limit"))
    process_limit = models.PositiveIntegerField("limit of processes", null=True, blank=True, validators=_least("process_limit"))
    output_limit_mb = models.PositiveIntegerField("log limit (MiB)", null=True, blank=True, validators=_least("output_limit_mb"))
    directory_limit_mb = models.PositiveIntegerField(
        "directory limit (MiB)", null=True, blank=True, validators=_least("directory_limit_mb")
    )
    network = models.BooleanField("may use the network", default=True)
    max_runs = models.PositiveIntegerField("runs at once", null=True, blank=True, validators=[MinValueValidator(1)])
    retries = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_RETRIES)])
    retry_delay_seconds = models.PositiveIntegerField(default=10, validators=[MinValueValidator(1), MaxValueValidator(MAX_DELAY_SECONDS)])
    retry_exit_codes = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    current_version = models.ForeignKey("ThreadVersion", on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    versions: "RelatedManager[ThreadVersion]"
    variables: "RelatedManager[Variable]"
    draft: "ThreadDraft"
    objects = TeamQuerySet["Thread"].as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "folder", "safe_name"], name="thread_safe_name_is_unique"),
            # A null folder equals no other: the top level needs its own rule.
            models.UniqueConstraint(fields=["team", "safe_name"], name="thread_safe_name_is_unique_at_top", condition=Q(folder=None)),
            models.CheckConstraint(condition=Q(type__in=ThreadType.values), name="thread_type_is_known"),
            models.CheckConstraint(
                condition=Q(timeout_seconds__gte=1, timeout_seconds__lte=MAX_TIMEOUT_SECONDS), name="thread_timeout_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def lacks_environment(self) -> bool:
        """It asks for an environment and has none yet, not even an earlier one: it cannot run."""
        return self.environment_build_id is not None and not self.environment_id


class ThreadDraft(models.Model):
    """Source as somebody types it. `revision` counts its saves: who saves over a newer one is told."""

    thread = models.OneToOneField(Thread, on_delete=models.CASCADE, related_name="draft")
    source = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=1)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"draft of {self.thread}"


class ThreadVersion(models.Model):
    """One saved state of a thread: source that compiles, and the files beside it. Never changed."""

    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.TextField()
    filename = models.CharField(max_length=100, default="main.py")
    message = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    files: "RelatedManager[VersionFile]"

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["thread", "number"], name="version_number_is_unique")]

    def __str__(self) -> str:
        return f"{self.thread} v{self.number}"


class FileRole(models.TextChoices):
    INPUT = "input", "Input CSV"
    EXTRA = "extra", "Further file"


class VersionFile(models.Model):
    """A file beside a version's script; its content lies under its SHA-256, shared by versions that have the same."""

    version = models.ForeignKey(ThreadVersion, on_delete=models.CASCADE, related_name="files")
    role = models.CharField(max_length=10, choices=FileRole.choices)
    path = models.CharField(max_length=150)
    digest = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()

    class Meta:
        ordering: ClassVar = ["path"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "path"], name="version_file_path_is_unique"),
            models.UniqueConstraint(fields=["version"], condition=Q(role="input"), name="version_has_one_input"),
            models.CheckConstraint(condition=Q(role__in=FileRole.values), name="version_file_role_is_known"),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


class Variable(models.Model):
    """An environment variable of a team's scripts, or of one thread's; the thread's takes the place of the team's.

    A secret has `sealed` (see `threads.sealing`) in place of `value`: no page, call or log ever gives it back.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="variables")
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="variables", null=True, blank=True)
    name = models.CharField(max_length=MAX_VARIABLE_NAME)
    is_secret = models.BooleanField("secret", default=False)
    value = models.TextField(blank=True)
    sealed = models.TextField(blank=True, editable=False)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TeamQuerySet["Variable"].as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["thread", "name"], name="variable_name_is_unique"),
            # A null thread equals no other: those of the whole team need their own rule.
            models.UniqueConstraint(fields=["team", "name"], name="variable_name_is_unique_in_team", condition=Q(thread=None)),
            models.CheckConstraint(
                condition=Q(is_secret=True, value="", sealed__gt="") | Q(is_secret=False, sealed=""), name="variable_secret_is_sealed"
            ),
        ]

    def __str__(self) -> str:
        return self.name
