"""May this person do that? A stranger is told there is nothing; a member without the role is told so."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.models import Membership, Team, User
from accounts.querysets import TeamQuerySet, teams_of
from accounts.roles import MEANINGS, Role
from core.errors import Forbidden, InvalidInput, NotFound


def person(request: HttpRequest) -> User:
    """Who makes the request. Pages are behind the log-in, so there is always somebody."""
    if not isinstance(request.user, User):
        raise NotFound
    return request.user


def role_in(user: User | AnonymousUser, team: Team) -> Role | None:
    """The user's role in a team, None for a stranger; a key's scopes are its ceiling."""
    if not isinstance(user, User) or not user.is_active:
        return None
    if user.key and user.key.team_id not in (None, team.pk):
        return None
    if user.is_superuser:
        role: Role | None = Role.OWNER
    else:
        held = Membership.objects.filter(user=user, team=team).values_list("role", flat=True).first()
        role = Role(held) if held else None
    if role and user.key:
        return min(role, user.key.ceiling, key=lambda held: held.rank)
    return role


def may(user: User | AnonymousUser, team: Team, needed: Role) -> bool:
    role = role_in(user, team)
    return role is not None and role.covers(needed)


def teams_where(user: User | AnonymousUser, needed: Role) -> list[Team]:
    """The teams in which the user holds the role or a higher one, by name; two queries at most."""
    if not isinstance(user, User) or (user.key and not user.key.ceiling.covers(needed)):
        return []
    teams = list(teams_of(user))
    if user.is_superuser:
        return teams
    enough = [role for role in Role if role.covers(needed)]
    able = set(Membership.objects.filter(user=user, role__in=enough).values_list("team_id", flat=True))
    return [team for team in teams if team.pk in able]


def require(user: User | AnonymousUser, team: Team, needed: Role) -> None:
    """Returns if the user holds the role or a higher one; else NotFound for strangers, Forbidden for members."""
    role = role_in(user, team)
    if role is None:
        raise NotFound
    if not role.covers(needed):
        raise Forbidden(f"That takes the role {needed.label} ({MEANINGS[needed]}); in {team.name} you are {role.label}.")


def fetch[Row: Model](
    rows: "TeamQuerySet[Row] | QuerySet[Row]", user: User | AnonymousUser, needed: Role = Role.VIEWER, **lookup: Any
) -> Row:
    """The one row of `rows` that matches and that the user may see, with the role the act needs."""
    assert isinstance(rows, TeamQuerySet)
    row = rows.visible_to(user).filter(**lookup).first()
    if row is None:
        raise NotFound
    if needed is not Role.VIEWER:
        owned: Any = row
        require(user, owned.team, needed)
    return row


def team_for(user: User | AnonymousUser, slug: str | None, needed: Role) -> Team:
    """The team a new object goes into: the named one, else the only one where the user may do it."""
    teams = teams_of(user)
    if slug:
        team = teams.filter(slug=slug).first()
        if team is None:
            raise InvalidInput.of("team", f"There is no team {slug!r} for you.")
        require(user, team, needed)
        return team
    able = [team for team in teams if may(user, team, needed)]
    if len(able) == 1:
        return able[0]
    if not able:
        raise Forbidden(f"You have the role {needed.label} in no team; ask an owner for it.")
    raise InvalidInput.of("team", "Say for which team: " + ", ".join(team.slug for team in able) + ".")
