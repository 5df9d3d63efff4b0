"""Log-in, teams, members, keys and the audit log over the API."""

from typing import Any

from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.middleware.csrf import get_token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.access import audit_visible_to, keys_visible_to, memberships_visible_to, require, roles_in, team_named
from accounts.authentication import BrowserSession, caller
from accounts.limits import log_ins
from accounts.models import Membership, Team, User
from accounts.querysets import teams_of
from accounts.roles import Role
from accounts.shapes import (
    AuditQuery,
    AuditShape,
    KeyBody,
    KeyShape,
    LoginBody,
    MemberBody,
    MemberShape,
    NewKeyShape,
    RoleBody,
    SessionShape,
    TeamBody,
    TeamQuery,
    TeamShape,
)
from core.endpoint import WITH_CONFLICT, Endpoint, SmallJSON, call
from core.errors import InvalidInput, NotFound


class Login(Endpoint):
    # JSON alone: no form of a foreign page can send it, so nobody is logged in as somebody else unawares.
    parser_classes = [SmallJSON]
    authentication_classes = []
    permission_classes = []

    @call("Log in", body=LoginBody, answer=SessionShape, refusals=(400, 401, 429), auth=[])
    def post(self, request: Request) -> Response:
        """Starts a browser's session. Scripts without a browser use a key instead."""
        given = self.body(LoginBody)
        with log_ins.attempt(request.META.get("REMOTE_ADDR", ""), given["username"]):
            user = authenticate(request._request, username=given["username"], password=given["password"])
            if not isinstance(user, User):
                raise AuthenticationFailed("User name or password is wrong.")
        login(request._request, user)
        return Response(SessionShape(user, context={"csrf_token": get_token(request._request)}).data)

    def get_authenticate_header(self, request: Request) -> str:
        return 'Session realm="PyScheduler"'  # Without a challenge DRF would answer 403.


class Logout(Endpoint):
    authentication_classes = [BrowserSession]

    @call("Log out", status=204, refusals=(401, 403, 429))
    def post(self, request: Request) -> Response:
        """Ends the browser's session."""
        logout(request._request)
        return Response(status=204)


class Teams(Endpoint):
    @call("List teams", answer=TeamShape, many=True)
    def get(self, request: Request) -> Response:
        """The teams you belong to."""
        user = caller(request)
        return self.paged(teams_of(user), lambda teams: TeamShape(teams, many=True, context={"roles": roles_in(user, teams)}).data)

    @call("Create a team", body=TeamBody, answer=TeamShape, status=201)
    def post(self, request: Request) -> Response:
        """You become its owner."""
        user = caller(request)
        given = self.body(TeamBody)
        with transaction.atomic():
            team = _limited(user, services.create_team(user=user, name=given["name"]), given)
        return Response(_shown(user, team), status=201)


class OneTeam(Endpoint):
    @call("Read a team", answer=TeamShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(_shown(caller(request), _team(request, pk)))

    @call("Change a team", body=TeamBody, answer=TeamShape)
    def patch(self, request: Request, pk: int) -> Response:
        """The slug stays as it is."""
        user, team, given = caller(request), _team(request, pk), self.body(TeamBody, partial=True)
        with transaction.atomic():
            if "name" in given:
                team = services.rename_team(team=team, user=user, name=given["name"])
            team = _limited(user, team, given)
        return Response(_shown(user, team))


def _limited(user: User, team: Team, given: dict[str, Any]) -> Team:
    if "max_runs" in given:
        team = services.limit_team(team=team, user=user, max_runs=given["max_runs"])
    level, binds = given.get("min_isolation", team.min_isolation) or "", Role(given.get("isolation_binds", team.isolation_binds))
    # An owner may send back what he was given.
    if (level, binds) != (team.min_isolation, team.isolation_binds):
        team = services.ask_isolation(team=team, user=user, level=level, binds=binds)
    return team


def _shown(user: User, team: Team) -> Any:
    return TeamShape(team, context={"roles": roles_in(user, [team])}).data


def _team(request: Request, pk: int) -> Team:
    team = teams_of(caller(request)).filter(pk=pk).first()
    if team is None:
        raise NotFound
    return team


class Members(Endpoint):
    @call("List members", query=TeamQuery, answer=MemberShape, many=True)
    def get(self, request: Request) -> Response:
        """Of all your teams, or of the one that `team` names."""
        rows = memberships_visible_to(caller(request))
        if team := self.query.get("team"):
            rows = rows.filter(team=team_named(caller(request), team))
        return self.paged(rows, lambda found: MemberShape(found, many=True).data)

    @call("Add a member", body=MemberBody, answer=MemberShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request) -> Response:
        """For owners. An existing member gets the new role."""
        given = self.body(MemberBody)
        team = team_named(caller(request), given["team"])
        require(caller(request), team, Role.OWNER)
        member = User.objects.filter(username=given["user"]).first()
        if member is None:
            raise InvalidInput.of("user", f"There is no user {given['user']!r}.")
        made = services.set_member(team=team, member=member, role=Role(given["role"]), user=caller(request))
        return Response(MemberShape(made).data, status=201)


class OneMember(Endpoint):
    @call("Read a member", answer=MemberShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(MemberShape(_membership(request, pk)).data)

    @call("Change a role", body=RoleBody, answer=MemberShape, refusals=WITH_CONFLICT)
    def patch(self, request: Request, pk: int) -> Response:
        """For owners. A team keeps one owner at least."""
        row = _membership(request, pk)
        role = Role(self.body(RoleBody)["role"])
        return Response(MemberShape(services.set_member(team=row.team, member=row.user, role=role, user=caller(request))).data)

    @call("Remove a member", status=204, refusals=WITH_CONFLICT)
    def delete(self, request: Request, pk: int) -> Response:
        """For owners. The person's keys of this team end."""
        row = _membership(request, pk)
        services.remove_member(team=row.team, member=row.user, user=caller(request))
        return Response(status=204)


def _membership(request: Request, pk: int) -> Membership:
    row = memberships_visible_to(caller(request)).filter(pk=pk).first()
    if row is None:
        raise NotFound
    return row


class Keys(Endpoint):
    @call("List keys", query=TeamQuery, answer=KeyShape, many=True)
    def get(self, request: Request) -> Response:
        """Your own, and those of the teams you own. The keys themselves are not shown."""
        rows = keys_visible_to(caller(request))
        if team := self.query.get("team"):
            rows = rows.filter(team=team_named(caller(request), team))
        return self.paged(rows, lambda found: KeyShape(found, many=True).data)

    @call("Make a key", body=KeyBody, answer=NewKeyShape, status=201)
    def post(self, request: Request) -> Response:
        """For yourself. It can do what you can, within its scopes and its team. A key makes none that can more than itself."""
        user, given = caller(request), self.body(KeyBody)
        team = team_named(user, given["team"]) if given.get("team") else None
        made, text = services.create_api_key(
            user=user, by=user, name=given["name"], team=team, scopes=given.get("scopes"), days=given.get("days")
        )
        made.key = text  # type: ignore[attr-defined]
        return Response(NewKeyShape(made).data, status=201)


class OneKey(Endpoint):
    @call("Read a key", answer=KeyShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(KeyShape(_key(request, pk)).data)

    @call("Revoke a key", status=204)
    def delete(self, request: Request, pk: int) -> Response:
        """From now on it opens nothing. It stays in the list, for the record."""
        services.revoke_api_key(key=_key(request, pk), user=caller(request))
        return Response(status=204)


def _key(request: Request, pk: int) -> Any:
    key = keys_visible_to(caller(request)).filter(pk=pk).first()
    if key is None:
        raise NotFound
    return key


class Audit(Endpoint):
    @call("Read the audit log", query=AuditQuery, answer=AuditShape, many=True)
    def get(self, request: Request) -> Response:
        """Who did what, newest first. For owners: of their teams; for administrators: of all."""
        user, wanted = caller(request), self.query
        rows = audit_visible_to(user).select_related("team")
        if team := wanted.get("team"):
            found = team_named(user, team)
            require(user, found, Role.OWNER)
            rows = rows.filter(team=found)
        if "user" in wanted:
            rows = rows.filter(username=wanted["user"])
        rows = rows.filter(**{name: str(wanted[name]) for name in ("verb", "target_type", "target_id") if name in wanted})
        return self.paged(rows, lambda found: AuditShape(found, many=True).data)
