"""May this person do that? A stranger is told there is nothing; a member without the role is told so."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from accounts.models import ApiKey, AuditEntry, Membership, Team, User
from accounts.querysets import TeamQuerySet, sees_all, teams_of
from accounts.roles import MEANINGS, Role
from core.errors import Forbidden, InvalidInput, NotFound


def person(request: HttpRequest) -> User:
    """Who makes the request. Pages are behind the log-in, so there is always somebody."""
    if not isinstance(request.user, User):
        raise NotFound
    return request.user


def _capped(user: User, role: Role) -> Role:
    """The role, or the ceiling that the scopes of the user's key set."""
    return min(role, user.key.ceiling, key=lambda one: one.rank) if user.key else role


def roles_in(user: User | AnonymousUser, teams: Iterable[Team]) -> dict[int, Role]:
    """The user's role in each of the teams he may act in, by the team's id; one query. A key's team and scopes bind."""
    if not isinstance(user, User) or not user.is_active:
        return {}
    asked = [team.pk for team in teams if not user.key or user.key.team_id in (None, team.pk)]
    if user.is_superuser:
        return dict.fromkeys(asked, _capped(user, Role.OWNER))
    held = Membership.objects.filter(user=user, team__in=asked).values_list("team_id", "role")
    return {team: _capped(user, Role(role)) for team, role in held}


def role_in(user: User | AnonymousUser, team: Team) -> Role | None:
    """The user's role in a team, None for a stranger; a key's scopes are its ceiling."""
    return roles_in(user, [team]).get(team.pk)


def may(user: User | AnonymousUser, team: Team, needed: Role) -> bool:
    role = role_in(user, team)
    return role is not None and role.covers(needed)


def is_bound(user: User, team: Team) -> bool:
    """Is the team's least isolation asked of what this person starts? Of a stranger's it is, who may have been a member."""
    role = role_in(user, team)
    return role is None or Role(team.isolation_binds).covers(role)


def abilities(user: User | AnonymousUser, team: Team) -> dict[str, bool]:
    """What a page about the team's things offers: `may_run`, `may_edit`. One query for both."""
    role = role_in(user, team)
    return {
        "may_run": role is not None and role.covers(Role.RUNNER),
        "may_edit": role is not None and role.covers(Role.EDITOR),
    }


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
        raise Forbidden(f"This needs the {needed.label} role ({MEANINGS[needed]}); in {team.name} you are {role.label}.")


def require_operator(user: User | AnonymousUser, what: str, needed: Role = Role.OWNER) -> None:
    """Returns for an operator whose key, if he comes by one, reaches so far; else Forbidden. `what` begins its message."""
    if not isinstance(user, User) or not sees_all(user) or not _capped(user, Role.OWNER).covers(needed):
        raise Forbidden(f"{what} is for operators alone.")


def require_somewhere(user: User | AnonymousUser, needed: Role) -> list[Team]:
    """The teams in which the user holds the role or a higher one; Forbidden when there is none."""
    teams = teams_where(user, needed)
    if not teams:
        raise Forbidden(f"This needs the {needed.label} role ({MEANINGS[needed]}), which you have in no team; ask an owner for it.")
    return teams


def fetch[Row: Model](
    rows: "TeamQuerySet[Row] | QuerySet[Row]", user: User | AnonymousUser, needed: Role = Role.VIEWER, **lookup: Any
) -> Row:
    """The one row of `rows` that matches and that the user may see, with the role the act needs."""
    assert isinstance(rows, TeamQuerySet)
    # Unordered: to sort one row by its model's order costs a fifth of this look-up.
    row: Row | None = next(iter(rows.visible_to(user).filter(**lookup).order_by()[:1]), None)
    if row is None:
        raise NotFound
    if needed is not Role.VIEWER:
        owned: Any = row
        require(user, owned.team, needed)
    return row


def team_named(user: User | AnonymousUser, slug: str) -> Team:
    """The team of that slug among those the user belongs to; InvalidInput by field else."""
    team = teams_of(user).filter(slug=slug).first()
    if team is None:
        raise InvalidInput.of("team", f"There is no team {slug!r}, or you are not in it.")
    return team


def team_for(user: User | AnonymousUser, slug: str | None, needed: Role) -> Team:
    """The team a new object goes into: the named one, else the only one where the user may do it."""
    if slug:
        team = team_named(user, slug)
        require(user, team, needed)
        return team
    able = require_somewhere(user, needed)
    if len(able) > 1:
        raise InvalidInput.of("team", "Which team? Choose one of: " + ", ".join(team.slug for team in able) + ".")
    return able[0]


def memberships_visible_to(user: User) -> "QuerySet[Membership]":
    """Who belongs to the teams that the user sees, and as what."""
    return Membership.objects.filter(team__in=teams_of(user)).select_related("team", "user")


def keys_visible_to(user: User | AnonymousUser) -> "QuerySet[ApiKey]":
    """One's own keys and those of the teams one owns; by a team's key only that team's."""
    if not isinstance(user, User):
        return ApiKey.objects.none()
    keys = ApiKey.objects.select_related("user", "team")
    if sees_all(user):
        return keys
    if user.key and user.key.team_id:
        keys = keys.filter(team=user.key.team_id)
    return keys.filter(Q(user=user) | Q(team__in=teams_where(user, Role.OWNER)))


def audit_visible_to(user: User) -> "QuerySet[AuditEntry]":
    """Forbidden for who owns no team: an empty list would say that nothing ever happened."""
    if sees_all(user) and _capped(user, Role.OWNER) is Role.OWNER:
        return AuditEntry.objects.all()
    owned = teams_where(user, Role.OWNER)
    if not owned:
        raise Forbidden("The audit log is for the owners of teams.")
    return AuditEntry.objects.filter(team__in=owned)
