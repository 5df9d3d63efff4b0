"""Verbs about people, teams and keys."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils import timezone

from accounts.access import require, require_operator
from accounts.models import ApiKey, AuditEntry, Membership, Team, User
from accounts.roles import BOUND, Role, Scope
from core.checks import runs_fault
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.names import clean_name, first_free, safe_name

KEY_MARK = "psk_"
SLUG_ATTEMPTS = 10


def record(*, user: User | None, verb: str, target: Model, team: Team | None = None, **detail: Any) -> None:
    """One audit line, in the caller's transaction. `user` None: the platform itself did it."""
    AuditEntry.objects.create(
        user=user,
        username=user.username if user else "",
        team=team or getattr(target, "team", None),
        verb=verb,
        target_type=target._meta.model_name or "",
        target_id=str(target.pk),
        target_name=str(target)[:200],
        detail=detail,
    )


@transaction.atomic
def create_team(*, name: str, user: User) -> Team:
    """A new team with the user as its owner."""
    if user.key and (user.key.team_id or not user.key.ceiling.covers(Role.OWNER)):
        raise Forbidden("This key may not make teams; that takes one with the scope manage that is bound to no team.")
    team = _team_of_free_slug(clean_name(name))
    Membership.objects.create(user=user, team=team, role=Role.OWNER)
    record(user=user, verb="created", target=team, team=team)
    return team


def _team_of_free_slug(name: str) -> Team:
    # There is no row above teams to lock: who loses a race for a slug looks again and takes the next.
    for _ in range(SLUG_ATTEMPTS):
        slug = first_free(safe_name(name, "team"), set(Team.objects.values_list("slug", flat=True)))
        try:
            with transaction.atomic():
                return Team.objects.create(name=name, slug=slug)
        except IntegrityError:
            continue
    raise Conflict("Many teams of that name are being made at this moment; try again.")


@transaction.atomic
def rename_team(*, team: Team, user: User, name: str) -> Team:
    """Another name; the slug stays, for keys and scripts name it."""
    require(user, team, Role.OWNER)
    team.name = clean_name(name)
    team.save(update_fields=["name"])
    record(user=user, verb="renamed", target=team, team=team)
    return team


@transaction.atomic
def limit_team(*, team: Team, user: User, max_runs: int | None) -> Team:
    """How many runs of the team may go on at once; None for no limit of its own."""
    require(user, team, Role.OWNER)
    if fault := runs_fault(max_runs):
        raise InvalidInput.of("max_runs", fault)
    team.max_runs = max_runs
    team.save(update_fields=["max_runs"])
    record(user=user, verb="limited", target=team, team=team, max_runs=max_runs)
    return team


@transaction.atomic
def ask_isolation(*, team: Team, user: User, level: str, binds: Role = Role.OWNER) -> Team:
    """For operators: runs of the team that somebody of the role `binds`, or a lower one, starts need this level at least; "" for any."""
    require_operator(user, "The least isolation of a team")
    if level and level not in settings.ISOLATION_LEVELS:
        raise InvalidInput.of("min_isolation", f"Use one of {', '.join(settings.ISOLATION_LEVELS)}, or none.")
    if binds not in BOUND:
        raise InvalidInput.of("isolation_binds", f"Use one of {', '.join(BOUND)}.")
    team.min_isolation, team.isolation_binds = level, binds
    team.save(update_fields=["min_isolation", "isolation_binds"])
    record(user=user, verb="asked isolation of", target=team, team=team, min_isolation=level, isolation_binds=binds)
    return team


@transaction.atomic
def set_member(*, team: Team, member: User, role: Role, user: User) -> Membership:
    """Make a person a member or change the role; Conflict when the team would have no owner left."""
    require(user, team, Role.OWNER)
    if role is not Role.OWNER:
        _keep_an_owner(team, member)
    membership, _ = Membership.objects.update_or_create(user=member, team=team, defaults={"role": role})
    record(user=user, verb="set role of", target=member, team=team, role=role.value)
    return membership


@transaction.atomic
def remove_member(*, team: Team, member: User, user: User) -> None:
    require(user, team, Role.OWNER)
    _keep_an_owner(team, member)
    Membership.objects.filter(user=member, team=team).delete()
    ApiKey.objects.filter(user=member, team=team, revoked_at=None).update(revoked_at=timezone.now())
    record(user=user, verb="removed", target=member, team=team)


@transaction.atomic
def delete_user(*, user: User, by: User) -> None:
    """For operators. Gone with memberships and keys; what the person made and ran stays. Nobody deletes himself.

    Conflict when a team would have no owner left.
    """
    if not by.is_superuser:
        raise Forbidden("Only an administrator can delete people.")
    if by.pk == user.pk:
        raise Conflict("You cannot delete yourself: the last administrator would lock everyone out.")
    for team in Team.objects.filter(memberships__user=user, memberships__role=Role.OWNER).order_by("pk"):
        _keep_an_owner(team, user)
    record(user=by, verb="deleted", target=user)
    user.delete()


def _keep_an_owner(team: Team, leaving: User) -> None:
    # The lock makes two owners who demote each other at the same moment take turns.
    Team.objects.select_for_update().get(pk=team.pk)
    if not Membership.objects.filter(team=team, role=Role.OWNER).exclude(user=leaving).exists():
        raise Conflict(f"{team.name} would be left without an owner; make somebody else owner first.")


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@transaction.atomic
def create_api_key(
    *, user: User, name: str, by: User | None, team: Team | None = None, scopes: list[str] | None = None, days: int | None = None
) -> tuple[ApiKey, str]:
    """A new key and its text, which exists nowhere else and is never shown again.

    Without `team` it acts in all teams of its person; `scopes` default to all that the person may do. `by` makes keys for
    himself, an operator for anybody; None: the platform's own command.
    """
    if by and by.pk != user.pk and not by.is_superuser:
        raise Forbidden("You can make keys for yourself alone.")
    scopes = list(Scope.values) if scopes is None else sorted(set(scopes))
    unknown = [scope for scope in scopes if scope not in Scope.values]
    if unknown or not scopes:
        raise InvalidInput.of("scopes", f"Use one or more of {', '.join(Scope.values)}.")
    if days is not None and not 1 <= days <= 3650:
        raise InvalidInput.of("days", "A key lives from 1 to 3650 days.")
    if by and by.key:
        _check_no_wider(by.key, team)
    if team and not user.is_superuser and not Membership.objects.filter(user=user, team=team).exists():
        raise InvalidInput.of("team", f"{user.username} is not a member of {team.name}.")
    text = KEY_MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        user=user,
        team=team,
        name=clean_name(name),
        prefix=text[:12],
        digest=digest_of(text),
        scopes=scopes,
        expires_at=_earlier(timezone.now() + timedelta(days=days) if days else None, by.key.expires_at if by and by.key else None),
    )
    record(user=by, verb="created", target=key, team=team, scopes=scopes)
    return key, text


def _check_no_wider(maker: ApiKey, team: Team | None) -> None:
    """A key that makes keys makes none that can more, or elsewhere, than itself."""
    if not maker.ceiling.covers(Role.OWNER):
        raise Forbidden("This key may not make keys; that takes one with the scope manage, or a log-in.")
    if maker.team_id and (team is None or team.pk != maker.team_id):
        raise InvalidInput.of("team", "The key you use acts in one team; it makes keys for that team alone.")


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((time for time in (one, other) if time), default=None)


@transaction.atomic
def revoke_api_key(*, key: ApiKey, user: User) -> None:
    """From now on the key opens nothing. Its person may, and the owners of its team; a key itself, or one with manage."""
    if key.user_id != user.pk and not user.is_superuser:
        if key.team is None:
            raise NotFound
        require(user, key.team, Role.OWNER)
    if user.key and user.key.pk != key.pk and not user.key.ceiling.covers(Role.OWNER):
        raise Forbidden("This key may end no other key; that takes one with the scope manage, or a log-in.")
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record(user=user, verb="revoked", target=key, team=key.team)
