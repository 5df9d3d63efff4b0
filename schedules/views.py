"""Pages about schedules: the list, the form with its preview, one schedule with what became of its due times."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import abilities, fetch, person, require_somewhere, teams_where
from accounts.roles import Role
from core.errors import Conflict, InvalidInput
from core.forms import attempt
from core.htmx import is_partial, toast
from core.paging import Cursor, page_of
from core.related import newest_related
from core.text import search_words
from history.models import Run
from schedules.forms import ScheduleForm, notes_of_once, shown_at_fields, timing_of
from schedules.models import Firing, Schedule, ScheduleKind
from schedules.pauses import paused_now, pauses_of
from schedules.policies import due_of
from schedules.preview import description_of, preview, rules_of
from schedules.querysets import last_runs, named
from schedules.services import change_schedule, clone_schedule, create_schedule, delete_schedule, run_now, set_enabled, skip_next
from schedules.status import clock_status
from schedules.templates import TEMPLATES
from schedules.timing import Timing

PER_PAGE = 50
FIRINGS_SHOWN = 30
RUNS_SHOWN = 8
TIMES_SHOWN = 5
LIST, FORM, PAGE = "schedules/list.html", "schedules/form.html", "schedules/detail.html"


@require_safe
def list_schedules(request: HttpRequest) -> HttpResponse:
    return render(request, f"{LIST}#results" if is_partial(request) else LIST, list_context(request))


def list_context(request: HttpRequest) -> dict[str, Any]:
    text = search_words(request.GET.get("q", ""))
    kind = request.GET.get("kind", "")
    schedules = named(Schedule.objects.visible_to(person(request)), text).select_related("team", "thread", "process")
    if kind in ScheduleKind.values:
        schedules = schedules.filter(kind=kind)
    page = Paginator(schedules.order_by(Lower("name"), "pk"), PER_PAGE).get_page(request.GET.get("page"))
    able = _abilities(request)
    return {
        "page": page,
        "rows": _rows(list(page), able),
        "text": text,
        "kind": kind,
        "kinds": ScheduleKind.choices,
        "templates": TEMPLATES,
        "may_edit": bool(able[Role.EDITOR]),
        "clock": clock_status(),
    }


def _abilities(request: HttpRequest) -> dict[Role, set[int]]:
    return {role: {team.pk for team in teams_where(person(request), role)} for role in (Role.RUNNER, Role.EDITOR)}


def _rows(schedules: list[Schedule], able: dict[Role, set[int]]) -> list[dict[str, Any]]:
    runs, firings, paused = last_runs(schedules), newest_related(schedules, "firings"), paused_now(schedules)
    return [
        {
            "schedule": schedule,
            "words": words_of(schedule),
            "run": runs.get(schedule.pk),
            "firing": firings.get(schedule.pk),
            "is_paused": schedule.pk in paused,
            "may_run": schedule.team_id in able[Role.RUNNER],
            "may_edit": schedule.team_id in able[Role.EDITOR],
        }
        for schedule in schedules
    ]


def words_of(schedule: Schedule) -> str:
    """When it runs, in words; for one that cannot be understood any more (a zone was abolished), what is wrong."""
    try:
        return description_of(schedule)
    except InvalidInput as error:
        return next(iter(error.fields.values()))[0] if error.fields else error.message


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    user = person(request)
    require_somewhere(user, Role.EDITOR)
    if request.method != "POST":
        target, template = (request.GET.get(name, "") for name in ("target", "template"))
        return render(request, FORM, form_context(ScheduleForm(user=user, target=target, template=template)))
    form = ScheduleForm(request.POST, user=user)
    schedule = attempt(form, lambda: _created(form), shown_at_fields)
    if schedule is None:
        return render(request, FORM, form_context(form), status=422)
    messages.success(request, f"{schedule.name} is scheduled.")
    return redirect("schedules:list")


def _created(form: ScheduleForm) -> Schedule:
    values = form.values()
    return create_schedule(team=values["target"].team, user=form.user, **values)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = schedule_of(request, pk, Role.EDITOR)
    if request.method != "POST":
        template = request.GET.get("template", "")
        return render(request, FORM, form_context(ScheduleForm(user=person(request), schedule=schedule, template=template)))
    form = ScheduleForm(request.POST, user=person(request), schedule=schedule)
    if attempt(form, lambda: change_schedule(schedule=schedule, user=form.user, **form.values()), shown_at_fields) is None:
        return render(request, FORM, form_context(form), status=422)
    messages.success(request, "The schedule is saved.")
    return redirect("schedules:detail", pk)


def form_context(form: ScheduleForm) -> dict[str, Any]:
    return {"form": form, "schedule": form.schedule, "pairs": form.pairs, **preview_context(form)}


@require_POST
def show_preview(request: HttpRequest) -> HttpResponse:
    """The next times of the form as it stands, or what is wrong with it; nothing is saved."""
    form = ScheduleForm(request.POST, user=person(request))
    return render(request, f"{FORM}#preview", preview_context(form))


def preview_context(form: ScheduleForm) -> dict[str, Any]:
    given = form.as_it_stands()
    try:
        found = preview(**timing_of(given))
    except InvalidInput as error:
        return {"preview": None, "preview_faults": [said for messages in error.fields.values() for said in messages] or [error.message]}
    return {"preview": found, "preview_notes": [*notes_of_once(given), *found.notes]}


def schedule_of(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Schedule:
    return fetch(Schedule.objects.select_related("team", "thread", "process"), person(request), role, pk=pk)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One schedule with its due times: for each its run, or why there was none."""
    schedule = schedule_of(request, pk)
    pauses = list(pauses_of(schedule))
    page = page_of(schedule.firings.select_related("run"), Cursor.parse(request.GET.get("cursor", "")), FIRINGS_SHOWN)
    context = {
        "schedule": schedule,
        "words": words_of(schedule),
        "rules": rules_of(schedule),
        "trigger_url": f"{settings.PUBLIC_URL}/api/v1/schedules/{schedule.pk}/run",
        "next_times": _next_times(schedule),
        "pauses": pauses,
        "is_paused": any(pause.is_on for pause in pauses),
        "page": page,
        "runs": list(Run.objects.filter(schedule_id=schedule.pk).order_by("-pk")[:RUNS_SHOWN]),
        **abilities(person(request), schedule.team),
    }
    return render(request, f"{PAGE}#record" if is_partial(request) else PAGE, context)


def _next_times(schedule: Schedule) -> list[Any]:
    """When it starts next, in the schedule's own zone."""
    times: list[Any] = []
    try:
        timing = Timing.of(schedule, seed=schedule.pk)
        following = due_of(schedule, schedule.next_run_at) if schedule.enabled and schedule.next_run_at else None
        while following and len(times) < TIMES_SHOWN:
            times.append(timing.start_of(following).astimezone(timing.zone))
            following = timing.next_after(following)
    except InvalidInput:
        return []
    return times


@require_POST
def toggle(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = schedule_of(request, pk, Role.EDITOR)
    try:
        schedule = set_enabled(schedule=schedule, user=person(request), enabled=request.POST.get("enabled") == "on")
        words, tone = f"{schedule.name} is {'enabled' if schedule.enabled else 'disabled'}.", "good"
    except Conflict as error:
        words, tone = error.message, "bad"
    return _answered(request, pk, words, tone)


@require_POST
def clone(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = schedule_of(request, pk, Role.EDITOR)
    try:
        copy = clone_schedule(schedule=schedule, user=person(request))
    except InvalidInput as error:
        messages.error(request, error.message)
        return redirect("schedules:detail", pk)
    messages.success(request, "This is the copy. It is disabled until you enable it.")
    return redirect("schedules:edit", copy.pk)


@require_POST
def leave_out(request: HttpRequest, pk: int) -> HttpResponse:
    """The next due time, or not after all."""
    schedule = schedule_of(request, pk, Role.EDITOR)
    try:
        schedule = skip_next(schedule=schedule, user=person(request), skip=request.POST.get("skip") == "on")
        messages.success(request, "The next time is left out." if schedule.skip_next_by else "The next time is not left out.")
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("schedules:detail", pk)


@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = schedule_of(request, pk, Role.RUNNER)
    try:
        run = run_now(schedule=schedule, user=person(request))
    except (Conflict, InvalidInput) as error:
        return _answered(request, pk, error.message, "bad")
    if is_partial(request):
        return _answered(request, pk, f"Run #{run.number} of {run.name} is queued.", "good")
    return redirect("history:run", run.pk)


def _answered(request: HttpRequest, pk: int, words: str, tone: str) -> HttpResponse:
    """The schedule's row as it is now, with a word about what was done; the page of the schedule without htmx."""
    if not is_partial(request):
        (messages.success if tone == "good" else messages.error)(request, words)
        return redirect("schedules:detail", pk)
    [row] = _rows([schedule_of(request, pk)], _abilities(request))
    return toast(render(request, "schedules/row.html", {"row": row}), words, tone)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """GET says what would be lost; POST deletes."""
    schedule = schedule_of(request, pk, Role.EDITOR)
    if request.method == "POST":
        delete_schedule(schedule=schedule, user=person(request))
        messages.success(request, f"{schedule.name} is deleted; its runs stay in the history.")
        return redirect("schedules:list")
    context = {"schedule": schedule, "words": words_of(schedule), "firing_count": Firing.objects.filter(schedule=schedule).count()}
    return render(request, "schedules/delete.html", context)
