"""The page about the platform's health: a line on each part for everybody, what is behind it for operators."""

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person, require_operator
from accounts.models import Team, User
from accounts.querysets import sees_all, teams_of
from accounts.roles import Role
from accounts.services import ask_isolation
from core.forms import attempt
from core.htmx import is_partial, toast
from history import draining
from operations import isolation
from operations.forms import LeastForm, MaintenanceForm
from operations.health import recent_health
from operations.parts import OVERALL, parts_of


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    return _page(request)


def _page(request: HttpRequest, status: int = 200, **forms: Form) -> HttpResponse:
    now, user = recent_health(), person(request)
    context: dict[str, Any] = {"parts": parts_of(now), "overall": OVERALL[now.status], "is_operator": sees_all(user)}
    if is_partial(request):
        return render(request, "operations/health.html#state", context)
    context["asking"] = isolation.demands_of(teams_of(user))
    if sees_all(user):
        context |= {"form": MaintenanceForm(), "least_form": LeastForm(), "drain": draining.current()} | _isolation(user) | forms
    return render(request, "operations/health.html", context, status=status)


def _isolation(user: User) -> dict[str, Any]:
    report = isolation.isolation_report(user=user)
    return {
        "summary": isolation.summary(report),
        "table": isolation.attempts_table(report) if report else None,
        "hosts": list(isolation.levels_of_hosts(report)),
    }


@require_POST
def try_levels(request: HttpRequest) -> HttpResponse:
    """Takes a second or so: each level that this host might do is really tried."""
    isolation.try_isolation(user=person(request))
    words = "The levels were tried."
    if is_partial(request):
        context = {"is_operator": True} | _isolation(person(request))
        return toast(render(request, "operations/health.html#isolation", context), words)
    messages.success(request, words)
    return redirect("operations:health")


@require_POST
def ask_least(request: HttpRequest) -> HttpResponse:
    # Before the form says which teams there are.
    require_operator(person(request), "The least isolation of a team")
    form = LeastForm(request.POST)
    team = attempt(form, lambda: _ask(form.cleaned_data, person(request)))
    if team is None:
        return _page(request, status=422, least_form=form)
    messages.success(request, f"{team} asks for {team.min_isolation or 'any level'}.")
    return redirect("operations:health")


def _ask(values: dict[str, Any], user: User) -> Team:
    return ask_isolation(team=values["team"], user=user, level=values["min_isolation"], binds=Role(values["isolation_binds"]))


@require_safe
def banner(request: HttpRequest) -> HttpResponse:
    """What all pages say during maintenance; they ask when they hear that it has begun or ended."""
    return render(request, "operations/banner.html", {"drain": draining.current()})


@require_POST
def begin_maintenance(request: HttpRequest) -> HttpResponse:
    form = MaintenanceForm(request.POST)
    drain = attempt(form, lambda: draining.begin_drain(user=person(request), reason=form.cleaned_data["reason"]))
    if drain is None:
        return _page(request, status=422, form=form)
    messages.success(request, "Maintenance: no run starts until you end it.")
    return redirect("operations:health")


@require_POST
def end_maintenance(request: HttpRequest) -> HttpResponse:
    if draining.end_drain(user=person(request)):
        messages.success(request, "Maintenance is over: runs start again.")
    return redirect("operations:health")
