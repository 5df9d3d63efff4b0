"""Who there is and what belongs to whom."""

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.roles import BOUND, Role, ceiling

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


LEVELS = [(level, level) for level in settings.ISOLATION_LEVELS]


class User(AbstractUser):
    """A person. `key` is set while a request acts by an API key: then the key's team and scopes bind as well."""

    key: "ApiKey | None" = None
    memberships: "RelatedManager[Membership]"

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(username=""), name="user_has_a_name"),
        ]


class Team(models.Model):
    """Owner of threads, processes, schedules and their runs. `run_counter` numbers its runs.

    `min_isolation` is the least level, "" for any, of runs that somebody started whose role is `isolation_binds` or a lower one.
    """

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    run_counter = models.PositiveBigIntegerField(default=0, editable=False)
    max_runs = models.PositiveIntegerField("runs at once", null=True, blank=True, validators=[MinValueValidator(1)])
    min_isolation = models.CharField(
        "least isolation", max_length=20, blank=True, choices=[(level, level) for level in settings.ISOLATION_LEVELS]
    )
    isolation_binds = models.CharField("of runs started by", max_length=10, choices=BOUND.items(), default=Role.OWNER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(name=""), name="team_has_a_name"),
            models.CheckConstraint(condition=Q(min_isolation__in=["", *settings.ISOLATION_LEVELS]), name="team_isolation_is_known"),
            models.CheckConstraint(condition=Q(isolation_binds__in=list(BOUND)), name="team_isolation_binds_is_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def bound(self) -> str:
        """Of whose runs the least isolation is asked, in words."""
        return BOUND[Role(self.isolation_binds)]


class Membership(models.Model):
    """A person's role in a team."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "team"], name="membership_once_per_team"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.team}"


class ApiKey(models.Model):
    """A key for the API. The key itself is shown once; kept are its first characters and its SHA-256.

    A fast hash suffices: the secret has 256 random bits, there is nothing to guess.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="api_keys", null=True, blank=True)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def ceiling(self) -> Role:
        return ceiling(self.scopes)


class AuditEntry(models.Model):
    """Who did what to which object. Names are copied: the line stays true when person and object are gone."""

    at = models.DateTimeField(default=timezone.now, editable=False)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    username = models.CharField(max_length=150, blank=True)
    team = models.ForeignKey(Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    verb = models.CharField(max_length=40)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=40, blank=True)
    target_name = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [models.Index(fields=["team", "-id"], name="audit_by_team")]

    def __str__(self) -> str:
        return f"{self.username or 'the platform'} {self.verb} {self.target_type} {self.target_name}"
