"""Pages about pauses: of one schedule, and of scheduling as a whole."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import person, require_operator
from accounts.roles import Role
from core.errors import Conflict, NotFound
from core.forms import attempt
from schedules.forms import PauseForm, StopForm
from schedules.pauses import end_pause, pause_schedule, start_scheduling, stop_scheduling
from schedules.views import schedule_of


@require_http_methods(["GET", "HEAD", "POST"])
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = schedule_of(request, pk, Role.EDITOR)
    form = PauseForm(request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return render(request, "schedules/pause.html", {"schedule": schedule, "form": form})
    if attempt(form, lambda: pause_schedule(schedule=schedule, user=person(request), **form.cleaned_data)) is None:
        return render(request, "schedules/pause.html", {"schedule": schedule, "form": form}, status=422)
    messages.success(request, "The pause is noted: due times within it start nothing.")
    return redirect("schedules:detail", pk)


@require_POST
def end(request: HttpRequest, pk: int, pause_id: int) -> HttpResponse:
    schedule = schedule_of(request, pk, Role.EDITOR)
    try:
        end_pause(schedule=schedule, pause_id=pause_id, user=person(request))
        messages.success(request, "The pause is ended.")
    except NotFound:
        # Somebody else was faster, or its time is over: what was wanted is so.
        messages.info(request, "That pause was over already.")
    return redirect("schedules:detail", pk)


@require_http_methods(["GET", "HEAD", "POST"])
def stop(request: HttpRequest) -> HttpResponse:
    """GET says what it means; POST stops all schedules of the platform."""
    require_operator(person(request), "Stopping all schedules")
    form = StopForm(request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return render(request, "schedules/stop.html", {"form": form})
    if attempt(form, lambda: stop_scheduling(user=person(request), **form.cleaned_data)) is None:
        return render(request, "schedules/stop.html", {"form": form}, status=422)
    messages.success(request, "Scheduling is stopped: no due time starts a run until you let it go on.")
    return redirect("schedules:list")


@require_POST
def go_on(request: HttpRequest) -> HttpResponse:
    try:
        start_scheduling(user=person(request))
        messages.success(request, "Scheduling goes on.")
    except Conflict as error:
        messages.info(request, error.message)
    return redirect("schedules:list")
