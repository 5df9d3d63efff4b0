"""The verb "run it now" of the pages: one door for threads and processes, with parameters as rows."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import fetch, person
from accounts.roles import Role
from core.errors import Conflict, InvalidInput
from core.htmx import is_partial
from core.parameters import from_rows
from history.services import queue_run
from history.status import Trigger
from processes.models import Process
from threads.models import Thread

FORM = "history/start_form.html"


@require_POST
def start_thread(request: HttpRequest, pk: int) -> HttpResponse:
    return _started(request, fetch(Thread.objects.select_related("team", "current_version"), person(request), Role.RUNNER, pk=pk))


@require_POST
def start_process(request: HttpRequest, pk: int) -> HttpResponse:
    return _started(request, fetch(Process.objects.select_related("team"), person(request), Role.RUNNER, pk=pk))


def _started(request: HttpRequest, target: Thread | Process) -> HttpResponse:
    names, values = request.POST.getlist("name"), request.POST.getlist("value")
    try:
        run = queue_run(target=target, user=person(request), trigger=Trigger.MANUAL, parameters=from_rows(names, values))
    except (InvalidInput, Conflict) as error:
        if not is_partial(request):
            raise
        shown = {"target": target, "start_url": request.path, "pairs": list(zip(names, values, strict=False)), "error": error}
        return render(request, FORM, shown, status=422)
    return redirect("history:run", run.pk)
