"""Who calls the API: a key in a header, or a browser's session; and how often."""

import time
from typing import TYPE_CHECKING, cast

from django.conf import settings
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.keys import user_for_key
from accounts.limits import Counter, seconds_left
from accounts.models import ApiKey, User

if TYPE_CHECKING:
    # rest_framework.views itself asks for this module, by the settings: imported here it would come in a circle.
    from rest_framework.views import APIView

CHALLENGE = 'Bearer realm="PyScheduler"'


def key_in(authorization: str, api_key: str) -> str | None:
    """The key that two headers (`Authorization`, `X-API-Key`) bring, None when they bring none. A Bearer wins."""
    scheme, _, credentials = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return api_key.strip() or None


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY` or `X-API-Key: KEY`. A key that is sent must be good: no falling back to a session."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey | None] | None:
        text = key_in(request.headers.get("Authorization", ""), request.headers.get("X-API-Key", ""))
        if text is None:
            return None
        user = user_for_key(text)
        if user is None:
            raise AuthenticationFailed("This key is not known, or it has expired or was revoked.")
        return user, user.key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class BrowserSession(SessionAuthentication):
    """The browser's log-in. Calls that change something need the CSRF token as well."""

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class MayUseApi(BasePermission):
    """Whoever is logged in; what they may do is asked object by object."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return isinstance(request.user, User) and request.user.is_active


def caller(request: Request) -> User:
    """The person who calls; for views behind `MayUseApi`."""
    return cast(User, request.user)


class KeyThrottle(BaseThrottle):
    """So many calls a minute for each key, person or address."""

    counter = Counter(settings.CALLS_PER_MINUTE)

    def allow_request(self, request: Request, view: "APIView") -> bool:
        return self.counter.admits(self.ident(request), time.time())

    def ident(self, request: Request) -> str:
        if isinstance(request.auth, ApiKey):
            return f"key {request.auth.pk}"
        if isinstance(request.user, User):
            return f"user {request.user.pk}"
        return f"address {request.META.get('REMOTE_ADDR', '')}"

    def wait(self) -> float:
        return seconds_left(time.time())
