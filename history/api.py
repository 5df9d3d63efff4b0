"""Runs over the API: list, read, stop, log, files."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch, team_named
from accounts.authentication import caller
from accounts.roles import Role
from core.downloads import AS_DATA
from core.endpoint import WITH_CONFLICT, Endpoint, Nothing, call
from core.paging import Part
from history import files, logs
from history.changes import alike, since_success
from history.downloads import log_of, stamped_of, stream_of
from history.failure_shapes import ChangesShape, show_changes
from history.models import Run
from history.querysets import Scope, failed_like, named
from history.remaining import outlook
from history.resource_shapes import ResourcesShape
from history.resources import curves
from history.retrying import RetryFrom, retry_run
from history.services import pause_run, request_stop, resume_run
from history.shapes import ArtifactShape, LogQuery, RetryBody, RunQuery, RunShape, show_run, show_runs
from history.why_waiting import tell_why


def complete(rows: "QuerySet[Run]") -> "QuerySet[Run]":
    """With all that `RunShape` shows, in two queries."""
    return rows.select_related("team", "user").prefetch_related("steps")


def as_it_is(run: Run) -> Run:
    """The run as it is now."""
    return complete(Run.objects.filter(pk=run.pk)).get()


def answer_run(run: Run) -> Response:
    return Response(show_run(as_it_is(run)))


def answer_queued(run: Run, status: int = 201) -> Response:
    """A run that was just queued, as it was written: no second look at it."""
    return Endpoint.made(show_run(run), f"runs/{run.pk}", status)


def list_runs(endpoint: Endpoint, rows: "QuerySet[Run]", parts: Sequence[Part] = ()) -> Response:
    return endpoint.paged(complete(rows), show_runs, parts)


class Runs(Endpoint):
    @call("List runs", query=RunQuery, answer=RunShape, many=True)
    def get(self, request: Request) -> Response:
        """Newest first."""
        team = team_named(caller(request), self.query["team"]) if "team" in self.query else None
        scope = Scope(caller(request), team)
        return list_runs(
            self, _filtered(scope.runs(), self.query), scope.parts(self.query.get("status", []), self.query.get("failure", ""))
        )


def _filtered(rows: "QuerySet[Run]", wanted: dict[str, Any]) -> "QuerySet[Run]":
    lookups = {"number": "number", "thread": "thread", "process": "process", "schedule": "schedule_id", "trigger": "trigger",
               "user": "user__username", "started_after": "started_at__gte", "started_before": "started_at__lt"}  # fmt: skip
    rows = rows.filter(**{lookup: wanted[name] for name, lookup in lookups.items() if name in wanted})
    if wanted.get("status"):
        rows = rows.filter(status__in=wanted["status"])
    if wanted.get("failure"):
        rows = failed_like(rows, wanted["failure"])
    return named(rows, wanted.get("q", ""))


def fetch_run(request: Request, pk: int, needed: Role = Role.VIEWER) -> Run:
    return fetch(Run.objects.select_related("team"), caller(request), needed, pk=pk)


class OneRun(Endpoint):
    @call("Read a run", answer=RunShape)
    def get(self, request: Request, pk: int) -> Response:
        run = fetch(complete(Run.objects.all()), caller(request), pk=pk)
        tell_why([run])
        ahead = outlook(run)
        return Response(show_run(run) | {"progress": ahead.progress, "eta_seconds": ahead.seconds})


class Changes(Endpoint):
    @call("Read what changed", answer=ChangesShape)
    def get(self, request: Request, pk: int) -> Response:
        """What differs from the last run of the same thread or process that succeeded before this one, and how often it failed so."""
        run = fetch_run(request, pk)
        return Response(show_changes(since_success(run, list(run.steps.all())), alike(run)))


class Stop(Endpoint):
    @call("Stop a run", body=Nothing, answer=RunShape, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """One that waits ends at once. Of one that runs the whole tree of processes is ended: politely, then by force.
        409 when it has already ended."""
        run = fetch_run(request, pk, Role.RUNNER)
        self.body(Nothing)
        return answer_run(request_stop(run=run, user=caller(request)))


class Pause(Endpoint):
    @call("Pause a run", body=Nothing, answer=RunShape, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """All its processes stand still, and its time-out with them; steps that wait do not start. 409 when it does not run."""
        run = fetch_run(request, pk, Role.RUNNER)
        self.body(Nothing)
        return answer_run(pause_run(run=run, user=caller(request)))


class Resume(Endpoint):
    @call("Resume a run", body=Nothing, answer=RunShape, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """A paused run goes on where it stood. 409 when it is not paused."""
        run = fetch_run(request, pk, Role.RUNNER)
        self.body(Nothing)
        return answer_run(resume_run(run=run, user=caller(request)))


class Retry(Endpoint):
    @call("Retry a run", body=RetryBody, answer=RunShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Another attempt at a run that failed, timed out, was stopped or lost, as a run of its own; the earlier one stays as it is.
        Scripts are in their newest versions, limits as they are set now.
        From `failed`, steps that succeeded are not run again: their outputs and files are taken over. 409 when it has not failed."""
        run = fetch_run(request, pk, Role.RUNNER)
        since = RetryFrom(self.body(RetryBody).get("from", RetryFrom.START))
        return answer_queued(retry_run(run=run, user=caller(request), since=since))


class Log(Endpoint):
    @call("Read a log", query=LogQuery, answer=(OpenApiTypes.STR, "text/plain"))
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """Bytes as the scripts printed them. `X-Run-Status` was read before the log: when it is an end, this is all of it;
        `X-Next-Offset` is where to go on else."""
        run = fetch_run(request, pk)
        end = logs.size(run)
        start = max(0, logs.tail_offset(run, self.query["tail"])) if "tail" in self.query else self.query.get("offset", 0)
        # Only up to the size that the headers tell: what is printed meanwhile is for the next call.
        start = min(start, end)
        headers = {"X-Next-Offset": str(end), "X-Run-Status": run.status}
        if self.query["stamps"]:
            return stamped_of(run, self.query.get("stream"), start, end, caller(request).pk, headers)
        if "stream" in self.query:
            return stream_of(run, self.query["stream"], start, end, caller(request).pk, headers)
        return log_of(run, start, end, headers)


class Resources(Endpoint):
    @call("Read what a run used over time", answer=ResourcesShape)
    def get(self, request: Request, pk: int) -> Response:
        """Of each step that ran for a second or more, about a point a second, at most 600: of long ones fewer."""
        found = curves(fetch_run(request, pk).steps.all())
        return Response(ResourcesShape({"steps": found}).data)


class Files(Endpoint):
    @call("List a run's files", answer=ArtifactShape, many=True)
    def get(self, request: Request, pk: int) -> Response:
        """What it left in its directory."""
        return self.paged(fetch_run(request, pk).artifacts.all(), lambda found: ArtifactShape(found, many=True).data)


class OneFile(Endpoint):
    @call("Download a file", answer=(OpenApiTypes.BINARY, "application/octet-stream"))
    def get(self, request: Request, pk: int, path: str) -> HttpResponseBase:
        """As it is, and always as a download: a script's page must not act as ours in a browser."""
        opened = files.open_artifact(fetch_run(request, pk), path)
        return FileResponse(
            opened.file,
            as_attachment=True,
            filename=PurePosixPath(path).name,
            content_type="application/octet-stream",
            headers={**AS_DATA, "Content-Length": str(opened.size)},
        )
