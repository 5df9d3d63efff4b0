"""Pages about processes: the list, and the builder that is a process's page too."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Max, Q
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import abilities, fetch, person, require, require_somewhere, teams_where
from accounts.models import Team, User
from accounts.roles import Role
from core.errors import InvalidInput, NotFound
from core.forms import attempt
from core.htmx import is_partial
from core.related import newest_related
from core.text import natural, search_words
from processes.forms import ProcessForm
from processes.models import OnFailure, Process
from processes.querysets import named, trigger_query
from processes.rows import StepRow, mark_faults, new_row, plans_of, rows_of, rows_sent, thread_ids_sent
from processes.services import change_process, create_process, delete_process
from threads.models import Thread

PER_PAGE = 50
LIBRARY_SIZE = 40
RUNS_SHOWN = 8
BUILDER = "processes/builder.html"


@require_safe
def list_processes(request: HttpRequest) -> HttpResponse:
    text = search_words(request.GET.get("q", ""))
    processes = named(Process.objects.visible_to(person(request)), text).select_related("team")
    counted = processes.annotate(step_count=Count("steps"), stage_count=Max("steps__stage")).order_by(Lower("name"), "pk")
    page = Paginator(counted, PER_PAGE).get_page(request.GET.get("page"))
    last_runs = newest_related(list(page), "runs")
    context = {
        "page": page,
        "rows": [(process, last_runs.get(process.pk)) for process in page],
        "text": text,
        "may_edit": bool(teams_where(person(request), Role.EDITOR)),
    }
    return render(request, "processes/list.html#results" if is_partial(request) else "processes/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The builder with nothing in it; `?team=` says for which team, `?thread=` begins with a thread."""
    user = person(request)
    teams = require_somewhere(user, Role.EDITOR)
    slug = request.POST.get("team") or request.GET.get("team")
    team = next((team for team in teams if team.slug == slug), teams[0])
    if request.method == "POST":
        return _saved(request, team, None)
    first = natural(request.GET.get("thread", ""))
    rows = [] if first is None else [new_row(_usable(team, user, first))]
    return render(request, BUILDER, builder_context(request, team, None, ProcessForm(), rows) | {"teams": teams})


@require_http_methods(["GET", "HEAD", "POST"])
def builder(request: HttpRequest, pk: int) -> HttpResponse:
    """A process: what it does, and for editors the means to change it."""
    role = Role.EDITOR if request.method == "POST" else Role.VIEWER
    process = fetch(Process.objects.select_related("team"), person(request), role, pk=pk)
    if request.method == "POST":
        return _saved(request, process.team, process)
    steps = list(process.steps.select_related("thread__current_version", "thread__folder"))
    return render(request, BUILDER, builder_context(request, process.team, process, ProcessForm(process=process), rows_of(steps)))


def _saved(request: HttpRequest, team: Team, process: Process | None) -> HttpResponse:
    """Save the whole form, or show it again exactly as it was sent, with what is wrong beside it."""
    form = ProcessForm(request.POST, process=process)
    rows = rows_sent(request.POST, _threads_by_id(request, team))
    saved = attempt(
        form, lambda: _write(request, team, process, form.cleaned_data, rows), on_refusal=lambda error: mark_faults(rows, error)
    )
    if saved:
        messages.success(request, f"{saved.name} is saved.")
        return redirect("processes:builder", saved.pk)
    if process:
        process.refresh_from_db()
    context = builder_context(request, team, process, form, rows)
    return render(request, BUILDER, context | {"teams": [team]}, status=422)


def _write(request: HttpRequest, team: Team, process: Process | None, given: dict[str, Any], rows: list[StepRow]) -> Process:
    if len(rows) != len(request.POST.getlist("step-thread")):
        raise InvalidInput(
            "One of the threads is gone, or not yours any more. The other steps are kept below: look them over and save again."
        )
    plans = plans_of(rows)
    if process is None:
        return create_process(team=team, user=person(request), steps=plans, **given)
    return change_process(process=process, user=person(request), steps=plans, **given)


def _threads_by_id(request: HttpRequest, team: Team) -> dict[int, Thread]:
    used = _threads_of(team, person(request)).filter(pk__in=thread_ids_sent(request.POST))
    return {thread.pk: thread for thread in used}


def _threads_of(team: Team, user: User) -> Any:
    return Thread.objects.visible_to(user).filter(team=team).select_related("current_version", "folder")


def _usable(team: Team, user: User, pk: int) -> Thread:
    thread: Thread | None = _threads_of(team, user).filter(pk=pk).first()
    if thread is None:
        raise NotFound
    return thread


def builder_context(request: HttpRequest, team: Team, process: Process | None, form: ProcessForm, rows: list[StepRow]) -> dict[str, Any]:
    able = abilities(person(request), team)
    context: dict[str, Any] = {
        "process": process,
        "team": team,
        "form": form,
        "rows": rows,
        "may_edit": able["may_edit"],
        "may_run": process is not None and able["may_run"],
        "on_failure_choices": OnFailure.choices,
    }
    if able["may_edit"]:
        context |= library_context(request, team, "")
    if process:
        context |= _runs_of(process)
        query = trigger_query(process, person(request))
        context["trigger_url"] = request.build_absolute_uri(f"/api/v1/processes/{process.safe_name}/trigger{query}")
    return context


def library_context(request: HttpRequest, team: Team, text: str) -> dict[str, Any]:
    threads = _threads_of(team, person(request)).order_by(Lower("name"), "pk")
    if text:
        threads = threads.filter(Q(name__icontains=text) | Q(safe_name__icontains=text) | Q(folder__name__icontains=text))
    found = list(threads[: LIBRARY_SIZE + 1])
    return {"library": found[:LIBRARY_SIZE], "library_text": text, "library_has_more": len(found) > LIBRARY_SIZE}


@require_safe
def library(request: HttpRequest, team: str) -> HttpResponse:
    """Threads one may add, by name; a part of the builder."""
    found = next((mine for mine in teams_where(person(request), Role.VIEWER) if mine.slug == team), None)
    if found is None:
        raise NotFound
    require(person(request), found, Role.EDITOR)
    return render(request, f"{BUILDER}#library", {"team": found, **library_context(request, found, search_words(request.GET.get("q", "")))})


@require_safe
def step(request: HttpRequest, thread_pk: int) -> HttpResponse:
    """A new row of the builder for a thread."""
    thread = fetch(Thread.objects.select_related("team", "current_version", "folder"), person(request), Role.EDITOR, pk=thread_pk)
    context = {"row": new_row(thread), "may_edit": True, "on_failure_choices": OnFailure.choices}
    return render(request, "processes/step.html", context)


@require_safe
def runs(request: HttpRequest, pk: int) -> HttpResponse:
    process = fetch(Process.objects.all(), person(request), pk=pk)
    return render(request, f"{BUILDER}#runs", {"process": process, **_runs_of(process)})


def _runs_of(process: Process) -> dict[str, Any]:
    # By the relation's name: runs are kept by an app above this one.
    return {"runs": list(process.runs.order_by("-pk")[:RUNS_SHOWN])}


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """GET says what would be lost; POST deletes."""
    process = fetch(Process.objects.select_related("team"), person(request), Role.EDITOR, pk=pk)
    if request.method == "POST":
        delete_process(process=process, user=person(request))
        messages.success(request, f"{process.name} is deleted; its runs stay in the history.")
        return redirect("processes:list")
    context = {
        "process": process,
        "step_count": process.steps.count(),
        "schedule_names": list(process.schedules.values_list("name", flat=True)[:10]),
        "run_count": process.runs.count(),
    }
    return render(request, "processes/delete.html", context)
