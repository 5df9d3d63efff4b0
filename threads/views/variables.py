"""Variables and secrets: the panel on a thread's page, and the page of those that all scripts of a team get."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import fetch, person, require, roles_in
from accounts.models import Team
from accounts.querysets import teams_of
from accounts.roles import Role
from core.errors import NotFound
from core.forms import attempt
from core.htmx import is_partial
from threads.forms import VariableForm
from threads.models import Variable
from threads.variables import remove_variable, set_variable
from threads.views.editing import PAGE, thread_context, thread_of
from threads.views.panels import OF_THREAD, card_of_team, card_of_thread

CARD = "threads/variables_card.html"
TEAMS_PAGE = "threads/variables.html"


@require_POST
def set_of_thread(request: HttpRequest, pk: int) -> HttpResponse:
    thread = thread_of(request, pk, Role.EDITOR)
    form = VariableForm(request.POST, auto_id=OF_THREAD)
    if attempt(form, lambda: set_variable(team=thread.team, thread=thread, user=person(request), **form.cleaned_data)):
        messages.success(request, _said(form))
        return redirect("threads:detail", pk)
    card = card_of_thread(thread, may_edit=True, form=form)
    if is_partial(request):
        return render(request, CARD, {"card": card}, status=422)
    return render(request, PAGE, thread_context(request, thread, variables=card), status=422)


@require_http_methods(["GET", "HEAD", "POST"])
def of_teams(request: HttpRequest) -> HttpResponse:
    """What all scripts of a team get, of each team one is in; POST sets one."""
    if request.method != "POST":
        return render(request, TEAMS_PAGE, _teams_context(request))
    team = _team(request)
    form = VariableForm(request.POST, auto_id=f"{team.slug}-%s")
    if attempt(form, lambda: set_variable(team=team, user=person(request), **form.cleaned_data)):
        messages.success(request, _said(form))
        return redirect("threads:variables")
    return render(request, TEAMS_PAGE, _teams_context(request, team, form), status=422)


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    variable = fetch(Variable.objects.select_related("team", "thread"), person(request), Role.EDITOR, pk=pk)
    remove_variable(variable=variable, user=person(request))
    messages.success(request, f"{variable.name} is deleted; runs that start from now on do not have it.")
    return redirect("threads:detail", variable.thread_id) if variable.thread_id else redirect("threads:variables")


def _team(request: HttpRequest) -> Team:
    team = teams_of(person(request)).filter(slug=request.POST.get("team", "").replace("\0", "")).first()
    if team is None:
        raise NotFound
    require(person(request), team, Role.EDITOR)
    return team


def _teams_context(request: HttpRequest, refused: Team | None = None, form: VariableForm | None = None) -> dict[str, Any]:
    """A card for each team; that of `refused` with the form as it was sent."""
    teams = list(teams_of(person(request)))
    roles = roles_in(person(request), teams)
    there = list(Variable.objects.filter(team__in=teams, thread=None).select_related("updated_by").defer("sealed"))
    cards = [
        card_of_team(
            team,
            there,
            may_edit=team.pk in roles and roles[team.pk].covers(Role.EDITOR),
            form=form if refused and team.pk == refused.pk else None,
        )
        for team in teams
    ]
    return {"cards": cards}


def _said(form: VariableForm) -> str:
    given = form.cleaned_data
    return f"The secret {given['name']} is set; it is not shown again." if given["is_secret"] else f"{given['name']} is set."
