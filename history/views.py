"""Pages of the record: all runs, one run, what it left."""

from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import abilities, fetch, person
from accounts.models import User
from accounts.querysets import teams_of
from core.htmx import is_partial
from core.paging import Cursor, Part, page_of
from core.parameters import to_rows
from history import logs, retrying, services
from history.changes import alike, since_success
from history.forms import FilterForm
from history.models import Run, StepRun
from history.querysets import Scope, failed_like
from history.remaining import outlook
from history.resources import curves
from history.retrying import RetryFrom
from history.status import ACTIVE, BROKEN, Status
from history.why_waiting import tell_why

MAX_FILES_SHOWN = 200
NARROW = frozenset({"thread", "process", "schedule"})


@require_safe
def list_runs(request: HttpRequest) -> HttpResponse:
    """All runs one may see, newest first, narrowed by the address."""
    form = FilterForm(request.GET, teams=teams_of(person(request)))
    runs = form.narrow(Run.objects.visible_to(person(request))).select_related("team", "user")
    page = page_of(runs, Cursor.parse(request.GET.get("cursor", "")), parts=_parts(person(request), form))
    context = {
        "form": form,
        "page": page,
        "narrowed_to": _narrowed_to(request, form),
        "states": [(state, state in form.chosen.get("status", [])) for state in Status],
    }
    return render(request, "history/list.html#runs" if is_partial(request) else "history/list.html", context)


def _parts(user: User, form: FilterForm) -> list[Part]:
    # A thread's, process's or schedule's runs have an index of their own, in order already.
    if form.chosen.keys() & NARROW and "failure" not in form.chosen:
        return []
    return Scope(user, form.chosen.get("team")).parts(form.chosen.get("status", []), form.chosen.get("failure", ""))


def _narrowed_to(request: HttpRequest, form: FilterForm) -> list[tuple[str, str, str, int | str]]:
    """Of what thread, process, schedule or failure only runs are shown: parameter, kind, name (as the last run knows it) and id."""
    found: list[tuple[str, str, str, int | str]] = []
    for parameter in sorted(NARROW & form.chosen.keys()):
        lookup = "schedule_id" if parameter == "schedule" else parameter
        runs = Run.objects.visible_to(person(request)).filter(**{lookup: form.chosen[parameter]})
        name = runs.order_by("-pk").values_list("schedule_name" if parameter == "schedule" else "name", flat=True).first()
        found.append((parameter, parameter.capitalize(), name or "without runs", form.chosen[parameter]))
    if "failure" in form.chosen:
        found.append(("failure", "Failure", _title_of(request, form.chosen["failure"]), form.chosen["failure"]))
    return found


def _title_of(request: HttpRequest, signature: str) -> str:
    """What the newest failure of this signature is called."""
    runs = failed_like(Scope(person(request)).runs(), signature)
    step = StepRun.objects.filter(run__in=runs.order_by("-pk")[:1], failure__signature=signature).first()
    return step.failure["title"] if step else "without runs"


@require_safe
def show_run(request: HttpRequest, pk: int) -> HttpResponse:
    run = fetch(Run.objects.select_related("team", "user", "thread", "process", "retry_of"), person(request), pk=pk)
    template = "history/run_live.html" if is_partial(request) else "history/run.html"
    context = {**_shown(run), "log_size": logs.size(run), **abilities(person(request), run.team)}
    return render(request, template, context)


def _shown(run: Run) -> dict[str, Any]:
    tell_why([run])
    # The run was read before its steps: what is shown as ended is ended in all its parts.
    steps = list(run.steps.select_related("thread", "version").defer("version__source").order_by("stage", "position"))
    done = sum(step.state.is_final for step in steps)
    ahead = outlook(run)
    files = list(run.artifacts.all()[: MAX_FILES_SHOWN + 1])
    return {
        "run": run,
        "steps": steps,
        "stages": [(stage, list(group)) for stage, group in groupby(steps, key=lambda step: step.stage)],
        "running": [step for step in steps if step.state == Status.RUNNING],
        "done": done,
        # Of a process that tells nothing, the steps that ended are known.
        "progress": ahead.progress if ahead.progress is not None or not done else done / len(steps),
        "ends_at": ahead.ends_at,
        "curves": curves(steps),
        "files": files[:MAX_FILES_SHOWN],
        "more_files": run.artifacts.count() - MAX_FILES_SHOWN if len(files) > MAX_FILES_SHOWN else 0,
        "versions": _versions(steps),
        "parameters": to_rows(run.parameters),
        "is_active": run.state in ACTIVE,
        "can_retry": retrying.can_retry(run, steps),
        "can_resume": retrying.can_resume(run, steps),
        "target": run.thread or run.process,
        **_account(run, steps),
    }


def _account(run: Run, steps: list[StepRun]) -> dict[str, Any]:
    """Of a broken run why, how often like this, and what had changed since the last success."""
    failed = [step for step in steps if step.failure and step.state in BROKEN]
    if run.state not in BROKEN or not failed:
        return {}
    return {"failed": failed, "comparison": since_success(run, steps), "alike": alike(run)}


def _versions(steps: list[StepRun]) -> str:
    """The version of a single step's run; of many steps each says its own."""
    return f"v{steps[0].version_number}" if len(steps) == 1 else ""


@require_POST
def stop_run(request: HttpRequest, pk: int) -> HttpResponse:
    run = services.request_stop(run=fetch(Run.objects.select_related("team"), person(request), pk=pk), user=person(request))
    messages.info(request, f"Run #{run.number} is stopped." if run.is_final else f"Run #{run.number} was told to stop.")
    return redirect("history:run", pk=run.pk)


@require_POST
def pause_run(request: HttpRequest, pk: int) -> HttpResponse:
    run = services.pause_run(run=fetch(Run.objects.select_related("team"), person(request), pk=pk), user=person(request))
    messages.info(request, f"Run #{run.number} was told to pause.")
    return redirect("history:run", pk=run.pk)


@require_POST
def resume_run(request: HttpRequest, pk: int) -> HttpResponse:
    run = services.resume_run(run=fetch(Run.objects.select_related("team"), person(request), pk=pk), user=person(request))
    messages.info(request, f"Run #{run.number} goes on.")
    return redirect("history:run", pk=run.pk)


@require_POST
def retry_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Another attempt at it; `from` says where it begins."""
    run = fetch(Run.objects.select_related("team"), person(request), pk=pk)
    since = RetryFrom.FAILED if request.POST.get("from") == RetryFrom.FAILED else RetryFrom.START
    return redirect("history:run", pk=retrying.retry_run(run=run, user=person(request), since=since).pk)


@require_POST
def run_again(request: HttpRequest, pk: int) -> HttpResponse:
    """The same target with the same parameters, as it is now: its newest versions run."""
    run = fetch(Run.objects.select_related("team", "thread__team", "process__team"), person(request), pk=pk)
    return redirect("history:run", pk=services.run_again(run=run, user=person(request)).pk)
