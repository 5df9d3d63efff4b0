"""Who may open a stream, and to what. Reads the database: for the pool's threads."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts.authentication import key_in
from accounts.keys import user_for_key
from accounts.models import User
from accounts.querysets import sees_all, teams_of
from core.errors import CODES, LOG_IN, DomainError, Forbidden, InvalidInput, NotFound
from events.outbox import Heard, heard
from events.stream import Teams
from history.models import Run
from history.services import run_event


class NotAuthenticated(DomainError):
    """There is no valid log-in."""

    status = 401
    code = CODES[401]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows: a key, or a session's cookie. A key that is sent must be good."""

    key: str | None
    session: str

    @classmethod
    def of(cls, headers: Mapping[str, str], *, with_key: bool) -> "Credentials":
        key = key_in(headers.get("authorization", ""), headers.get("x-api-key", "")) if with_key else None
        return cls(key, parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, ""))


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who came, of which teams' things it may hear (None: all), and the runs it asked for as they are now."""

    user_id: int
    teams: Teams
    runs: Mapping[int, Heard]


def check_origin(headers: Mapping[str, str], scheme: str) -> None:
    """Refuses hosts that are not ours (DNS rebinding) and pages of other sites."""
    host = headers.get("host", "")
    domain, _ = split_domain_port(host)
    allowed = settings.ALLOWED_HOSTS or ([".localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    if not domain or not validate_host(domain, allowed):
        raise InvalidInput("This host name is not one of PYSCHED_ALLOWED_HOSTS.")
    origin = headers.get("origin")
    schemes = {scheme, "https"} if settings.BEHIND_TLS else {scheme}
    if origin is not None and origin.lower() not in {f"{name}://{host.lower()}" for name in schemes}:
        raise Forbidden("Pages of other sites may not listen here.")


def admit(credentials: Credentials, runs: frozenset[int]) -> Visitor:
    """The visitor; NotAuthenticated without a valid log-in, NotFound when one of `runs` is not theirs to see."""
    close_old_connections()
    try:
        user = user_for_key(credentials.key) if credentials.key is not None else _session_user(credentials.session)
        if user is None:
            raise NotAuthenticated(LOG_IN)
        found = {run.pk: _state(run) for run in Run.objects.visible_to(user).filter(pk__in=runs)} if runs else {}
        if len(found) < len(runs):
            raise NotFound
        return Visitor(user.pk, _teams(user), found)
    finally:
        close_old_connections()


def _session_user(session_key: str) -> User | None:
    """By Django's own rules: the session lives, its user is active, the password is still the one it began with."""
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else None


def _teams(user: User) -> Teams:
    if sees_all(user):
        return None
    return frozenset(teams_of(user).values_list("pk", flat=True))


def _state(run: Run) -> Heard:
    event = run_event(run)
    return heard((0, event.topic, event.subject_id, event.team_id, event.payload))
