"""The list of threads: find one, make one, upload one, keep them in folders."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import fetch, person, require_somewhere, teams_where
from accounts.models import User
from accounts.roles import Role
from core.errors import InvalidInput
from core.forms import attempt
from core.htmx import is_partial
from core.related import newest_related
from core.text import natural, search_words
from threads.folders import Node, within
from threads.forms import NewFolderForm, NewThreadForm, UploadForm, folder_nodes
from threads.models import Folder, Thread, ThreadType
from threads.querysets import named
from threads.services import create_folder, create_thread, delete_folder

PER_PAGE = 50
LIST = "threads/list.html"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is narrowed to; what cannot be read narrows nothing."""

    text: str
    type: str
    folder: str

    @classmethod
    def of(cls, request: HttpRequest) -> "Filters":
        given = request.GET
        folder, kind = given.get("folder", ""), given.get("type", "")
        known = folder == "none" or natural(folder) is not None
        return cls(search_words(given.get("q", "")), kind if kind in ThreadType.values else "", folder if known else "")

    @property
    def are_set(self) -> bool:
        return bool(self.text or self.type or self.folder)

    def narrow(self, threads: "QuerySet[Thread]", nodes: list[Node]) -> "QuerySet[Thread]":
        threads = named(threads, self.text)
        if self.type:
            threads = threads.filter(type=self.type)
        if self.folder == "none":
            return threads.filter(folder=None)
        return threads.filter(folder__in=within(nodes, int(self.folder))) if self.folder else threads


@require_safe
def list_threads(request: HttpRequest) -> HttpResponse:
    return render(request, f"{LIST}#results" if is_partial(request) else LIST, list_context(request))


def list_context(request: HttpRequest, **more: Any) -> dict[str, Any]:
    user = person(request)
    filters, nodes = Filters.of(request), folder_nodes(user)
    threads = filters.narrow(Thread.objects.visible_to(user), nodes).select_related("team", "folder", "current_version")
    page = Paginator(threads.order_by(Lower("name"), "pk"), PER_PAGE).get_page(request.GET.get("page"))
    # Its part of a run: by itself, or as a step of a process. By the relation's name: runs are kept by an app above this one.
    last_steps = newest_related(list(page), "step_runs", "run")
    paths = {node.folder.pk: node.path for node in nodes}
    context = {
        "page": page,
        "rows": [(thread, last_steps.get(thread.pk), paths.get(thread.folder_id or 0, "")) for thread in page],
        "filters": filters,
        "types": ThreadType.choices,
        "may_edit": bool(teams_where(user, Role.EDITOR)),
        "query": _query_without_page(request),
    }
    if not is_partial(request):
        context["folders"] = folder_choices(user, nodes, filters)
        if context["may_edit"]:
            context |= blank_forms(user, nodes, filters)
    return context | more


def folder_choices(user: User, nodes: list[Node], filters: Filters) -> list[dict[str, Any]]:
    """The tree beside the list: each folder with the number of threads in it."""
    filled = Thread.objects.visible_to(user).exclude(folder=None).order_by().values_list("folder").annotate(count=Count("pk"))
    counts: dict[int, int] = dict(filled)
    parents = {node.folder.parent_id for node in nodes}
    return [
        {
            "node": node,
            "count": counts.get(node.folder.pk, 0),
            "chosen": filters.folder == str(node.folder.pk),
            "indent": min(node.depth, 5),
            "is_empty": node.folder.pk not in counts and node.folder.pk not in parents,
        }
        for node in nodes
    ]


def blank_forms(user: User, nodes: list[Node], filters: Filters) -> dict[str, Any]:
    """The dialogs; who looks at a folder makes things in it."""
    initial = {"folder": filters.folder}
    return {
        "new_form": NewThreadForm(user=user, nodes=nodes, initial=initial, prefix="new"),
        "upload_form": UploadForm(user=user, nodes=nodes, initial=initial, prefix="upload"),
        "folder_form": NewFolderForm(user=user, nodes=nodes, initial=initial, prefix="folder"),
    }


def _query_without_page(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("page", None)
    return query.urlencode()


def _refused(request: HttpRequest, name: str, form: Any) -> HttpResponse:
    """The form with what was typed and what is wrong with it: alone for htmx, else on its page, opened."""
    if is_partial(request):
        return render(request, f"{LIST}#{name}", {name: form}, status=422)
    return render(request, LIST, list_context(request, **{name: form, "opened": name}), status=422)


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require_somewhere(user, Role.EDITOR)
    form = NewThreadForm(request.POST, user=user, nodes=folder_nodes(user), prefix="new")
    thread = attempt(
        form, lambda: create_thread(team=form.team_chosen, user=user, name=form.cleaned_data["name"], folder=form.folder_chosen)
    )
    return redirect("threads:detail", thread.pk) if thread else _refused(request, "new_form", form)


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require_somewhere(user, Role.EDITOR)
    form = UploadForm(request.POST, request.FILES, user=user, nodes=folder_nodes(user), prefix="upload")
    thread = attempt(form, lambda: _create_from(form, user))
    return redirect("threads:detail", thread.pk) if thread else _refused(request, "upload_form", form)


def _create_from(form: UploadForm, user: User) -> Thread:
    uploads = form.uploads()
    return create_thread(team=form.team_chosen, user=user, name=form.cleaned_data["name"], folder=form.folder_chosen, **uploads)


@require_POST
def new_folder(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require_somewhere(user, Role.EDITOR)
    form = NewFolderForm(request.POST, user=user, nodes=folder_nodes(user), prefix="folder")
    folder = attempt(
        form,
        lambda: create_folder(team=form.team_chosen, user=user, name=form.cleaned_data["name"], parent=form.folder_chosen),
        on_refusal=lambda error: InvalidInput(
            error.message, fields={"folder" if name == "parent" else name: said for name, said in error.fields.items()}
        ),
    )
    if folder is None:
        return _refused(request, "folder_form", form)
    return redirect(reverse("threads:list", query={"folder": folder.pk}))


@require_POST
def remove_folder(request: HttpRequest, pk: int) -> HttpResponse:
    folder = fetch(Folder.objects.all(), person(request), Role.EDITOR, pk=pk)
    delete_folder(folder=folder, user=person(request))
    messages.success(request, f"The folder {folder.name} is deleted.")
    return redirect("threads:list")
