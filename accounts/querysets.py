"""Who may see what, said once: pages, API, downloads and logs all ask `visible_to`."""

from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import models

from accounts.models import Team, User

if TYPE_CHECKING:
    from django.db.models.manager import Manager  # noqa: F401

Row = TypeVar("Row", bound=models.Model, covariant=True)


def teams_of(user: User | AnonymousUser) -> "models.QuerySet[Team]":
    """Teams whose things the user may see: an operator's are all, a team key's is its own."""
    if not isinstance(user, User) or not user.is_active:
        return Team.objects.none()
    teams = Team.objects.all() if user.is_superuser else Team.objects.filter(memberships__user=user)
    return teams.filter(pk=user.key.team_id) if user.key and user.key.team_id else teams


def sees_all(user: User | AnonymousUser) -> bool:
    """An operator, unless he comes by the key of one team."""
    return isinstance(user, User) and user.is_active and user.is_superuser and not (user.key and user.key.team_id)


class TeamQuerySet(models.QuerySet[Row]):
    """Rows that belong to a team, directly or by the path `team_path`."""

    team_path = "team"

    def visible_to(self, user: User | AnonymousUser) -> Self:
        if sees_all(user):
            return self.all()
        condition: dict[str, Any] = {f"{self.team_path}__in": teams_of(user)}
        return self.filter(**condition)
