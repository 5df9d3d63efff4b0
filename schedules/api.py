"""Schedules over the API."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch, team_named
from accounts.authentication import caller
from accounts.models import User
from accounts.roles import Role
from core.endpoint import WITH_CONFLICT, Endpoint, Nothing, PageQuery, call
from core.errors import InvalidInput
from history.api import answer_queued, list_runs
from history.models import Run
from history.services import trigger_of
from history.shapes import RunShape
from history.status import Kind
from processes.models import Process
from schedules import pauses, services
from schedules.checks import TIMING_FIELDS
from schedules.models import Schedule
from schedules.preview import preview
from schedules.querysets import last_runs, named
from schedules.shapes import (
    ClockShape,
    PauseBody,
    PauseShape,
    PreviewBody,
    PreviewShape,
    ScheduleBody,
    ScheduleQuery,
    ScheduleShape,
    SkipBody,
    StopBody,
    TemplatesShape,
    ToggleBody,
)
from schedules.status import clock_status
from schedules.templates import TEMPLATES
from threads.models import Thread

COMING = 10
PREVIEWED = (*TIMING_FIELDS, "after", "count")


def _complete(rows: "QuerySet[Schedule]") -> "QuerySet[Schedule]":
    return rows.select_related("team")


def _shown(schedules: Sequence[Schedule]) -> Any:
    return ScheduleShape(schedules, many=True, context={"last_runs": last_runs(schedules)}).data


def _one(schedule: Schedule, status: int = 200) -> Response:
    fresh = _complete(Schedule.objects.filter(pk=schedule.pk)).get()
    shown = _shown([fresh])[0]
    return Endpoint.made(shown, f"schedules/{schedule.pk}") if status == 201 else Response(shown)


class Schedules(Endpoint):
    @call("List schedules", query=ScheduleQuery, answer=ScheduleShape, many=True)
    def get(self, request: Request) -> Response:
        """Newest first."""
        rows: QuerySet[Schedule] = Schedule.objects.visible_to(request.user)
        wanted = self.query
        if "team" in wanted:
            rows = rows.filter(team=team_named(caller(request), wanted["team"]))
        rows = named(rows, wanted.get("q", ""))
        rows = rows.filter(**{name: wanted[name] for name in ("thread", "process", "kind", "enabled") if name in wanted})
        return self.paged(_complete(rows), _shown)

    @call("Create a schedule", body=ScheduleBody, answer=ScheduleShape, status=201)
    def post(self, request: Request) -> Response:
        """For a thread or a process of a team you may write in."""
        user, given = caller(request), self.body(ScheduleBody)
        slug = given.pop("team", None)
        given["target"] = _target(user, given.pop("target_type"), given["target"], slug)
        return _one(services.create_schedule(team=given["target"].team, user=user, **given), status=201)


def _target(user: User, target_type: str, pk: int, slug: str | None = None) -> Thread | Process:
    """The thread or process, of the team if one is named; InvalidInput by field."""
    rows: Any = Thread.objects if target_type == Kind.THREAD else Process.objects
    found = rows.visible_to(user).select_related("team")
    if slug:
        found = found.filter(team=team_named(user, slug))
    target: Thread | Process | None = found.filter(pk=pk).first()
    if target is None:
        raise InvalidInput.of("target", f"There is no {target_type} {pk}" + (f" in the team {slug}." if slug else "."))
    return target


class OneSchedule(Endpoint):
    @call("Read a schedule", answer=ScheduleShape)
    def get(self, request: Request, pk: int) -> Response:
        return _one(_schedule(request, pk))

    @call("Replace a schedule", body=ScheduleBody, answer=ScheduleShape)
    def put(self, request: Request, pk: int) -> Response:
        """All that can be set; what is left out gets its default."""
        return self._change(request, pk, partial=False)

    @call("Change a schedule", body=ScheduleBody, answer=ScheduleShape)
    def patch(self, request: Request, pk: int) -> Response:
        """What is sent. A new timing counts from now."""
        return self._change(request, pk, partial=True)

    @call("Delete a schedule", status=204)
    def delete(self, request: Request, pk: int) -> Response:
        """Its runs stay in the history."""
        services.delete_schedule(schedule=_schedule(request, pk, Role.EDITOR), user=caller(request))
        return Response(status=204)

    def _change(self, request: Request, pk: int, *, partial: bool) -> Response:
        schedule, user = _schedule(request, pk, Role.EDITOR), caller(request)
        given = self.body(ScheduleBody, partial=partial)
        if given.pop("team", schedule.team.slug) != schedule.team.slug:
            raise InvalidInput.of("team", "A schedule stays in its team.")
        target_type = given.pop("target_type", None)
        if "target" in given:
            kind = target_type or (Kind.THREAD if schedule.thread_id else Kind.PROCESS)
            given["target"] = _target(user, kind, given["target"], schedule.team.slug)
        elif target_type:
            raise InvalidInput.of("target", "Name the target, with its type.")
        return _one(services.change_schedule(schedule=schedule, user=user, **given))


class Toggle(Endpoint):
    @call("Enable or disable a schedule", body=ToggleBody, answer=ScheduleShape, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Sets `enabled`, or toggles it when nothing is sent."""
        schedule = _schedule(request, pk, Role.EDITOR)
        enabled = self.body(ToggleBody).get("enabled", not schedule.enabled)
        return _one(services.set_enabled(schedule=schedule, user=caller(request), enabled=enabled))


class Clone(Endpoint):
    @call("Clone a schedule", body=Nothing, answer=ScheduleShape, status=201)
    def post(self, request: Request, pk: int) -> Response:
        """A copy of it, disabled."""
        schedule = _schedule(request, pk, Role.EDITOR)
        self.body(Nothing)
        return _one(services.clone_schedule(schedule=schedule, user=caller(request)), status=201)


class SkipNext(Endpoint):
    @call("Leave out the next time of a schedule", body=SkipBody, answer=ScheduleShape, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Only that one: what comes due after it starts as ever."""
        schedule = _schedule(request, pk, Role.EDITOR)
        return _one(services.skip_next(schedule=schedule, user=caller(request), **self.body(SkipBody)))


class Pauses(Endpoint):
    @call("List a schedule's pauses", query=PageQuery, answer=PauseShape, many=True)
    def get(self, request: Request, pk: int) -> Response:
        """Those that are not over, the newest first."""
        return self.paged(pauses.pauses_of(_schedule(request, pk)), lambda found: PauseShape(found, many=True).data)

    @call("Pause a schedule", body=PauseBody, answer=PauseShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Due times within the pause start nothing and are recorded as skipped."""
        schedule = _schedule(request, pk, Role.EDITOR)
        pause = pauses.pause_schedule(schedule=schedule, user=caller(request), **self.body(PauseBody))
        return Response(PauseShape(pause).data, status=201)


class OnePause(Endpoint):
    @call("End a pause", status=204)
    def delete(self, request: Request, pk: int, pause: int) -> Response:
        """At once; one that has not begun is taken back."""
        pauses.end_pause(schedule=_schedule(request, pk, Role.EDITOR), pause_id=pause, user=caller(request))
        return Response(status=204)


class Stop(Endpoint):
    @call("Stop scheduling as a whole", body=StopBody, answer=PauseShape, status=201, refusals=(400, 401, 403, 409, 429))
    def post(self, request: Request) -> Response:
        """For operators. No due time starts a run until it goes on again; what runs goes on."""
        return Response(PauseShape(pauses.stop_scheduling(user=caller(request), **self.body(StopBody))).data, status=201)


class Start(Endpoint):
    @call("Let scheduling go on", body=Nothing, status=204, refusals=(400, 401, 403, 409, 429))
    def post(self, request: Request) -> Response:
        """For operators."""
        self.body(Nothing)
        pauses.start_scheduling(user=caller(request))
        return Response(status=204)


class RunNow(Endpoint):
    @call("Run a schedule now", body=Nothing, answer=RunShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """With its parameters and priority, whether it is enabled or not. Its due times stay as they are."""
        schedule = _schedule(request, pk, Role.RUNNER)
        self.body(Nothing)
        user = caller(request)
        return answer_queued(services.run_now(schedule=schedule, user=user, trigger=trigger_of(user)))


class RunsOfSchedule(Endpoint):
    @call("List a schedule's runs", query=PageQuery, answer=RunShape, many=True)
    def get(self, request: Request, pk: int) -> Response:
        """Newest first."""
        schedule = _schedule(request, pk)
        return list_runs(self, Run.objects.visible_to(request.user).filter(team=schedule.team_id, schedule_id=schedule.pk))


def _schedule(request: Request, pk: int, needed: Role = Role.VIEWER) -> Schedule:
    return fetch(Schedule.objects.select_related("team", "thread__team", "process__team"), caller(request), needed, pk=pk)


class Status(Endpoint):
    @call("Read the scheduler's state", answer=ClockShape, refusals=(401, 429))
    def get(self, request: Request) -> Response:
        """Of the whole platform; `next` are those of your teams."""
        coming = Schedule.objects.visible_to(request.user).filter(enabled=True, next_run_at__isnull=False).order_by("next_run_at", "pk")
        return Response(ClockShape(asdict(clock_status()) | {"next": coming[:COMING]}).data)


class Preview(Endpoint):
    @call("Preview a schedule", body=PreviewBody, answer=PreviewShape, refusals=(400, 401, 429))
    def post(self, request: Request) -> Response:
        """The next times of a schedule that is not saved, in its own zone; what it means in words; and what clock changes do to it."""
        given = self.body(PreviewBody)
        return Response(asdict(preview(**{name: given[name] for name in PREVIEWED if name in given})))


class Templates(Endpoint):
    @call("List the templates of schedules", answer=TemplatesShape, refusals=(401, 429))
    def get(self, request: Request) -> Response:
        """Timings that people often want. A schedule made from one keeps the expression alone."""
        return Response(TemplatesShape({"templates": TEMPLATES}).data)
