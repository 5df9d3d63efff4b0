"""The page of one thread: its editor, versions, settings, and its end."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import abilities, fetch, may, person
from accounts.roles import Role
from core.errors import Conflict, DomainError, InvalidInput, NotFound
from core.forms import attempt
from core.htmx import is_partial
from core.text import natural
from threads.compiling import find_fault
from threads.forms import EnvironmentForm, FilesForm, SettingsForm, folder_nodes
from threads.models import Thread, ThreadDraft, ThreadVersion
from threads.querysets import trigger_query
from threads.services import change_thread, delete_thread, publish, restore_version, save_draft
from threads.views.panels import card_of_thread, environment_of

PAGE = "threads/detail.html"
VERSIONS_SHOWN = 20
RUNS_SHOWN = 8


def thread_of(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Thread:
    rows = Thread.objects.select_related("team", "folder", "current_version", "environment", "previous_environment", "environment_build")
    return fetch(rows, person(request), role, pk=pk)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, PAGE, thread_context(request, thread_of(request, pk)))


def thread_context(request: HttpRequest, thread: Thread, **more: Any) -> dict[str, Any]:
    """All of a thread's page. `more` replaces parts of it: a form that was refused, the source as it was sent."""
    able = abilities(person(request), thread.team)
    current = thread.current_version
    draft = ThreadDraft.objects.filter(thread=thread).first() or ThreadDraft(thread=thread, revision=0)
    source = more.get("source", draft.source if able["may_edit"] or current is None else current.source)
    is_changed = current is None or current.source != source
    context = {
        "thread": thread,
        "draft": draft,
        "source": source,
        # A version was compiled before it became one.
        "fault": find_fault(source) if is_changed else None,
        "is_changed": is_changed,
        **able,
        "files": list(current.files.all()) if current else [],
        "trigger_url": request.build_absolute_uri(f"/api/v1/threads/{thread.safe_name}/trigger{trigger_query(thread, person(request))}"),
        "variables": more.get("variables") or card_of_thread(thread, may_edit=able["may_edit"]),
        **environment_of(thread),
        **versions_of(thread),
        **runs_of(thread),
    }
    if able["may_edit"]:
        context["settings_form"] = SettingsForm(thread=thread, user=person(request), nodes=folder_nodes(person(request)))
        context["files_form"] = FilesForm()
        context["environment_form"] = EnvironmentForm(thread=thread)
    return context | more


def versions_of(thread: Thread) -> dict[str, Any]:
    versions = list(thread.versions.defer("source").select_related("created_by")[: VERSIONS_SHOWN + 1])
    return {"versions": versions[:VERSIONS_SHOWN], "more_versions": len(versions) > VERSIONS_SHOWN}


def runs_of(thread: Thread) -> dict[str, Any]:
    # By the relation's name: runs are kept by an app above this one. Steps, for a thread runs in processes too.
    steps = list(thread.step_runs.select_related("run").order_by("-pk")[:RUNS_SHOWN])
    return {"steps": steps, "has_own_runs": any(step.run.thread_id for step in steps)}


@require_safe
def versions(request: HttpRequest, pk: int) -> HttpResponse:
    """The list of versions alone, for the page that has just saved one; `?all` gives every one."""
    thread = thread_of(request, pk)
    context: dict[str, Any] = versions_of(thread)
    if "all" in request.GET:
        context = {"versions": thread.versions.defer("source").select_related("created_by"), "more_versions": False}
    return render(request, f"{PAGE}#versions", {"thread": thread, "may_edit": may(person(request), thread.team, Role.EDITOR), **context})


@require_safe
def runs(request: HttpRequest, pk: int) -> HttpResponse:
    thread = thread_of(request, pk)
    return render(request, f"{PAGE}#runs", {"thread": thread, **runs_of(thread)})


@require_safe
def version(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    thread = thread_of(request, pk)
    found = fetch_version(thread, number)
    context = {"thread": thread, "version": found, "files": found.files.all(), "may_edit": may(person(request), thread.team, Role.EDITOR)}
    return render(request, "threads/version.html", context)


def fetch_version(thread: Thread, number: int) -> ThreadVersion:
    found = ThreadVersion.objects.filter(thread=thread, number=number).select_related("created_by", "thread__team").first()
    if found is None:
        raise NotFound(f"{thread.name} has no version {number}.")
    return found


@require_POST
def restore(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    thread = thread_of(request, pk, Role.EDITOR)
    made = restore_version(version=fetch_version(thread, number), user=person(request))
    messages.success(request, f"Version {number} is restored as version {made.number}.")
    return redirect("threads:detail", pk)


@require_POST
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep what is being typed. Answers the editor in JSON: the new revision, and what does not compile yet."""
    thread = thread_of(request, pk, Role.EDITOR)
    source = request.POST.get("source", "")
    return _answer(lambda: _saved(save_draft(thread=thread, user=person(request), source=source, revision=_revision(request))))


@require_POST
def save(request: HttpRequest, pk: int) -> HttpResponse:
    """Make what is in the editor a version: in JSON for the editor, as a page for a browser without scripts."""
    thread = thread_of(request, pk, Role.EDITOR)
    if request.headers.get("Accept", "").startswith("application/json"):
        return _answer(lambda: _published(request, thread))
    try:
        answer = _published(request, thread)
        error = answer["fault"]["message"] if answer["fault"] else ""
    except (InvalidInput, Conflict) as refusal:
        error = _first(refusal)
    if error:
        context = thread_context(request, thread, source=request.POST.get("source", ""), save_error=error)
        return render(request, PAGE, context, status=422)
    return redirect("threads:detail", pk)


def _published(request: HttpRequest, thread: Thread) -> dict[str, Any]:
    # Two transactions on purpose: a source that does not compile yet is kept as the draft all the same.
    draft = save_draft(thread=thread, user=person(request), source=request.POST.get("source", ""), revision=_revision(request))
    answer = _saved(draft)
    if answer["fault"] is None:
        answer["version"] = publish(
            thread=thread, user=person(request), message=request.POST.get("message", "").replace("\0", "").strip()
        ).number
    return answer


def _revision(request: HttpRequest) -> int | None:
    """The revision the typing began from; `any` is the person's word that it may replace whatever there is."""
    text = request.POST.get("revision", "")
    if text == "any":
        return None
    revision = natural(text)
    if revision is None:
        raise InvalidInput.of("revision", "Send the revision of the draft you began from.")
    return revision


def _saved(draft: ThreadDraft) -> dict[str, Any]:
    fault = find_fault(draft.source)
    shown = {"line": fault.line, "column": fault.column, "message": fault.message} if fault else None
    return {"revision": draft.revision, "saved_at": draft.updated_at.isoformat(), "fault": shown}


def _answer(verb: Callable[[], dict[str, Any]]) -> JsonResponse:
    try:
        return JsonResponse(verb())
    except DomainError as error:
        return JsonResponse({"error": _first(error), "code": error.code}, status=error.status)


def _first(error: DomainError) -> str:
    return next((messages[0] for messages in error.fields.values() if messages), error.message)


@require_POST
def change(request: HttpRequest, pk: int) -> HttpResponse:
    thread = thread_of(request, pk, Role.EDITOR)
    form = SettingsForm(request.POST, thread=thread, user=person(request), nodes=folder_nodes(person(request)))
    if attempt(form, lambda: change_thread(thread=thread, user=person(request), **form.changes())):
        messages.success(request, "The settings are saved.")
        return redirect("threads:detail", pk)
    if is_partial(request):
        return render(request, f"{PAGE}#settings", {"thread": thread, "settings_form": form, "may_edit": True}, status=422)
    thread.refresh_from_db()
    return render(request, PAGE, thread_context(request, thread, settings_form=form, opened="settings"), status=422)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """GET says what would be lost, or what keeps the thread from being deleted; POST deletes."""
    thread = thread_of(request, pk, Role.EDITOR)
    error = None
    if request.method == "POST":
        try:
            delete_thread(thread=thread, user=person(request))
        except Conflict as conflict:
            error = conflict
        else:
            messages.success(request, f"{thread.name} is deleted; its runs stay in the history.")
            return redirect(reverse("threads:list"))
    context = {"thread": thread, "error": error, **_losses(thread)}
    return render(request, "threads/delete.html", context, status=error.status if error else 200)


def _losses(thread: Thread) -> dict[str, Any]:
    schedules = thread.schedules
    return {
        "version_count": thread.versions.count(),
        "schedule_names": list(schedules.values_list("name", flat=True)[:10]),
        "processes": list(thread.steps.order_by("process__name").values_list("process_id", "process__name").distinct()),
        "run_count": thread.step_runs.values("run").distinct().count(),
    }
