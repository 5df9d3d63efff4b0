"""The page about the platform's health: a line on each part for everybody, what is behind it for operators."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person
from accounts.models import User
from accounts.querysets import sees_all
from core.forms import attempt
from core.htmx import is_partial, toast
from history import draining
from operations import isolation
from operations.forms import MaintenanceForm
from operations.health import recent_health
from operations.parts import OVERALL, parts_of


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    return _page(request, MaintenanceForm())


def _page(request: HttpRequest, form: MaintenanceForm, status: int = 200) -> HttpResponse:
    now, is_operator = recent_health(), sees_all(person(request))
    context = {"parts": parts_of(now), "overall": OVERALL[now.status], "is_operator": is_operator, "form": form}
    if is_operator:
        context |= {"drain": draining.current()} | _isolation(person(request))
    return render(request, "operations/health.html#state" if is_partial(request) else "operations/health.html", context, status=status)


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


@require_safe
def banner(request: HttpRequest) -> HttpResponse:
    """What all pages say during maintenance; they ask when they hear that it has begun or ended."""
    return render(request, "operations/banner.html", {"drain": draining.current()})


@require_POST
def begin_maintenance(request: HttpRequest) -> HttpResponse:
    form = MaintenanceForm(request.POST)
    drain = attempt(form, lambda: draining.begin_drain(user=person(request), reason=form.cleaned_data["reason"]))
    if drain is None:
        return _page(request, form, status=422)
    messages.success(request, "Maintenance: no run starts until you end it.")
    return redirect("operations:health")


@require_POST
def end_maintenance(request: HttpRequest) -> HttpResponse:
    if draining.end_drain(user=person(request)):
        messages.success(request, "Maintenance is over: runs start again.")
    return redirect("operations:health")
