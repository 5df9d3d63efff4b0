"""The list of environments, and what an operator does with them."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person
from accounts.querysets import sees_all, teams_of
from core.errors import NotFound
from environments.models import Environment
from environments.ondisk import last_used
from environments.pythons import found_pythons
from environments.services import remake_environment
from environments.upkeep import check_environment, collect_unused

PER_PAGE = 50


@require_safe
def list_environments(request: HttpRequest) -> HttpResponse:
    """Those that threads of the person's teams run in; an operator sees all."""
    rows = Environment.objects.visible_to(person(request)).defer("lock").order_by("-pk")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    counts = _threads_of(request, list(page))
    for environment in page:
        used = last_used(environment.key)
        environment.used_at = None if used is None else datetime.fromtimestamp(used, UTC)  # type: ignore[attr-defined]
        environment.thread_count = counts.get(environment.pk, 0)  # type: ignore[attr-defined]
    is_operator = sees_all(person(request))
    context: dict[str, Any] = {
        "page": page,
        "is_operator": is_operator,
        "unused_days": settings.UNUSED_ENVIRONMENT_DAYS,
        "pythons": found_pythons(),
    }
    return render(request, "environments/list.html", context)


def _threads_of(request: HttpRequest, environments: list[Environment]) -> dict[int, int]:
    """How many of the threads that the person sees run in each: how many others have is not his concern."""
    mine: dict[str, Any] = {"pk__in": [environment.pk for environment in environments], "threads__team__in": teams_of(person(request))}
    return dict(Environment.objects.filter(**mine).values_list("pk").annotate(count=Count("threads")).order_by())


def _environment(request: HttpRequest, pk: int) -> Environment:
    found = Environment.objects.visible_to(person(request)).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    checked = check_environment(_environment(request, pk), user=person(request))
    if checked.health:
        messages.warning(request, f"Something is wrong with {checked}: {checked.health}")
    else:
        messages.success(request, f"{checked} works.")
    return redirect("environments:list")


@require_POST
def rebuild(request: HttpRequest, pk: int) -> HttpResponse:
    environment = _environment(request, pk)
    remake_environment(environment, user=person(request))
    messages.success(request, f"{environment} is made again if it does not work.")
    return redirect("environments:list")


@require_POST
def collect(request: HttpRequest) -> HttpResponse:
    collected = collect_unused(days=settings.UNUSED_ENVIRONMENT_DAYS, user=person(request))
    messages.success(request, f"{len(collected)} taken off the disk.")
    return redirect("environments:list")
