"""What the frame around every page needs."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.querysets import teams_of
from history import draining
from history.models import Drain


@dataclass(frozen=True, slots=True)
class NavLink:
    name: str
    url: str
    icon: str
    current: bool


NAV = (
    ("Home", "dashboard", "home"),
    ("Threads", "threads:list", "file-code"),
    ("Processes", "processes:list", "workflow"),
    ("Schedules", "schedules:list", "calendar"),
    ("History", "history:list", "history"),
)


class Shell:
    """Navigation, teams and maintenance; asked only by pages that have the frame, each at most once."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self._teams: list[Any] | None = None

    @property
    def nav(self) -> list[NavLink]:
        match = self.request.resolver_match
        here = (match.namespace or match.url_name or "") if match else ""
        return [NavLink(name, reverse(view), icon, view.split(":")[0] == here) for name, view, icon in NAV]

    @property
    def teams(self) -> list[Any]:
        if self._teams is None:
            self._teams = list(teams_of(self.request.user))
        return self._teams

    @property
    def maintenance(self) -> Drain | None:
        return draining.current() if self.request.user.is_authenticated else None

    @property
    def many_teams(self) -> bool:
        """Whether a list must say whose things it shows."""
        return len(self.teams) > 1


def shell(request: HttpRequest) -> dict[str, Any]:
    return {"shell": Shell(request), "live_cursor": getattr(request, "live_cursor", 0)}
