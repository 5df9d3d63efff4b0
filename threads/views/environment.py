"""The panel of a thread's environment: Python and packages, the build as it goes, what changed."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import abilities, person
from accounts.roles import Role
from core.errors import Conflict
from core.forms import attempt
from core.htmx import is_partial
from threads.forms import EnvironmentForm
from threads.models import Thread
from threads.requirements import add_requirement, rebuild_environment
from threads.services import change_thread
from threads.views.editing import PAGE, thread_context, thread_of
from threads.views.panels import environment_of

CARD = "threads/environment_card.html"
LIVE = "threads/environment_live.html"


@require_safe
def panel(request: HttpRequest, pk: int) -> HttpResponse:
    """What the thread runs in now, without the form: it is asked for while somebody types."""
    thread = thread_of(request, pk)
    return render(request, LIVE, {"thread": thread, **abilities(person(request), thread.team), **environment_of(thread)})


@require_POST
def change(request: HttpRequest, pk: int) -> HttpResponse:
    thread = thread_of(request, pk, Role.EDITOR)
    form = EnvironmentForm(request.POST, thread=thread)
    if changed := attempt(form, lambda: change_thread(thread=thread, user=person(request), **form.changes())):
        messages.success(request, _said(changed))
        return redirect("threads:detail", pk)
    shown: dict[str, Any] = {"environment_form": form}
    if is_partial(request):
        return render(request, CARD, {"thread": thread, "may_edit": True, **environment_of(thread), **shown}, status=422)
    thread.refresh_from_db()
    return render(request, PAGE, thread_context(request, thread, **shown), status=422)


@require_POST
def rebuild(request: HttpRequest, pk: int) -> HttpResponse:
    """A thread that asks for nothing has nothing to build, which is said and no error of the person's."""
    thread = thread_of(request, pk, Role.EDITOR)
    try:
        rebuild_environment(thread=thread, user=person(request))
        messages.success(request, "The environment is being built anew.")
    except Conflict as refusal:
        messages.warning(request, refusal.message)
    return redirect("threads:detail", pk)


@require_POST
def add(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a package, as a run that failed for want of it offers."""
    thread = thread_of(request, pk, Role.EDITOR)
    package = request.POST.get("package", "").replace("\0", "")
    changed = add_requirement(thread=thread, package=package, user=person(request))
    messages.success(request, _said(changed))
    return redirect("threads:detail", pk)


def _said(thread: Thread) -> str:
    build = thread.environment_build
    if build is None:
        return "Saved: it runs with the platform's own Python."
    return "Saved: its environment is being built." if build.is_under_way else "Saved."
