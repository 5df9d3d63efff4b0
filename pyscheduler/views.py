"""The start page, and what is said when an address leads nowhere."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import person, teams_where
from accounts.models import User
from accounts.roles import Role
from core.errors import DomainError, Forbidden, InvalidInput, NotFound, error_body
from core.htmx import is_partial
from history import overview
from history.querysets import Scope
from history.status import FINAL
from operations.health import recent_health
from pyscheduler import home
from threads.models import Thread


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """What runs, what ran, what comes next; for a new team, how to begin."""
    user = person(request)
    context = _overview(user)
    if not is_partial(request):
        context |= {"has_threads": Thread.objects.visible_to(user).exists(), "may_write": bool(teams_where(user, Role.EDITOR))}
    return render(request, "dashboard.html#overview" if is_partial(request) else "dashboard.html", context)


def _overview(user: User) -> dict[str, Any]:
    scope, now = Scope(user), recent_health()
    active, active_count = overview.active_runs(scope, most=8)
    day = overview.last_day(scope)
    return {
        "active": active,
        "active_count": active_count,
        "recent": scope.newest(10, FINAL),
        "failures": overview.failures(scope, most=5),
        "upcoming": home.next_schedules(user, most=6),
        "day": day,
        "bars": home.bars_of(day),
        "troubles": now.troubles,
        "scheduler": now.checks["scheduler"],
        "hosts": overview.hosts_alive(),
    }


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _refusal(request, NotFound(), "Nothing here")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _refusal(request, Forbidden(), "Not allowed")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _refusal(request, InvalidInput("The request could not be read; go back and try again."), "That did not work")


def _refusal(request: HttpRequest, error: DomainError, title: str) -> HttpResponse:
    """The refusal in the form its reader understands: the API's, a piece of a page, a page."""
    if request.path.startswith("/api/"):
        return JsonResponse(error_body(error.code, error.message), status=error.status)
    template = "error_fragment.html" if request.headers.get("HX-Request") == "true" else "error.html"
    return render(request, template, {"error": error, "title": title}, status=error.status)
