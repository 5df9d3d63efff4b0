"""Processes: threads put in order."""

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
from threads.limits import MAX_TIMEOUT_SECONDS
from threads.models import Thread
from threads.repeats import MAX_RETRIES

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

MAX_STEPS = 100


class OnFailure(models.TextChoices):
    STOP = "stop", "Stop the process"
    CONTINUE = "continue", "Continue"
    # Said of a step that looks after the failure of others: it runs only when one before it failed.
    RESCUE = "rescue", "Run only if an earlier step failed"


class Process(models.Model):
    """An ordered sequence of threads."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="processes")
    name = models.CharField(max_length=MAX_NAME)
    safe_name = models.SlugField(max_length=MAX_SAFE_NAME)
    description = models.TextField(blank=True, max_length=MAX_DESCRIPTION)
    max_runs = models.PositiveIntegerField("runs at once", null=True, blank=True, validators=[MinValueValidator(1)])
    enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    steps: "RelatedManager[Step]"
    objects = TeamQuerySet["Process"].as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        verbose_name_plural = "processes"
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "safe_name"], name="process_safe_name_is_unique")]

    def __str__(self) -> str:
        return self.name


class Step(models.Model):
    """One thread at one place of a process. Steps of one stage run side by side; stages run in order.

    `thread` is protected: a thread that a process uses is not deleted from under it.
    """

    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    stage = models.PositiveIntegerField()
    thread = models.ForeignKey(Thread, on_delete=models.PROTECT, related_name="steps")
    parameters = models.JSONField(default=dict, blank=True)
    on_failure = models.CharField(max_length=10, choices=OnFailure.choices, default=OnFailure.STOP)
    timeout_seconds = models.PositiveIntegerField(null=True, blank=True)
    retries = models.PositiveIntegerField(null=True, blank=True, validators=[MaxValueValidator(MAX_RETRIES)])

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "position"], name="step_position_is_unique"),
            models.CheckConstraint(condition=Q(on_failure__in=OnFailure.values), name="step_on_failure_is_known"),
            models.CheckConstraint(
                condition=Q(timeout_seconds=None) | Q(timeout_seconds__gte=1, timeout_seconds__lte=MAX_TIMEOUT_SECONDS),
                name="step_timeout_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.process} {self.position}: {self.thread}"
