"""Processes over the API."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch, team_for, team_named
from accounts.authentication import caller
from accounts.models import Team, User
from accounts.roles import Role
from core.endpoint import Endpoint, call
from core.errors import InvalidInput
from processes import services
from processes.models import OnFailure, Process
from processes.querysets import named
from processes.services import StepPlan
from processes.shapes import ProcessBody, ProcessQuery, ProcessShape
from threads.models import Thread
from threads.summaries import Summaries, no_summaries


class ProcessEndpoint(Endpoint):
    """`summaries` tells of the processes' runs, which are kept in a room above."""

    summaries: Summaries = staticmethod(no_summaries)

    def shown(self, processes: Sequence[Process]) -> Any:
        return ProcessShape(processes, many=True, context={"summaries": self.summaries(processes)}).data

    def one(self, process: Process, status: int = 200) -> Response:
        [shown] = self.shown([_complete(Process.objects.filter(pk=process.pk)).get()])
        return self.made(shown, f"processes/{process.pk}") if status == 201 else Response(shown)


def _complete(rows: "QuerySet[Process]") -> "QuerySet[Process]":
    return rows.select_related("team").prefetch_related("steps")


class Processes(ProcessEndpoint):
    @call("List processes", query=ProcessQuery, answer=ProcessShape, many=True)
    def get(self, request: Request) -> Response:
        """Newest first."""
        wanted = self.query
        rows = named(Process.objects.visible_to(request.user), wanted.get("q", ""))
        if "team" in wanted:
            rows = rows.filter(team=team_named(caller(request), wanted["team"]))
        rows = rows.filter(**{name: wanted[name] for name in ("enabled", "safe_name") if name in wanted})
        return self.paged(_complete(rows), self.shown)

    @call("Create a process", body=ProcessBody, answer=ProcessShape, status=201)
    def post(self, request: Request) -> Response:
        """`name` suffices; it can run once it has steps."""
        user, given = caller(request), self.body(ProcessBody)
        team = team_for(user, given.pop("team", None), Role.EDITOR)
        given["steps"] = _plans(user, team, given["steps"])
        return self.one(services.create_process(team=team, user=user, **given), status=201)


def _plans(user: User, team: Team, steps: Sequence[dict[str, Any]]) -> list[StepPlan]:
    """The steps with their threads; a stage that is left out comes after the one before it."""
    wanted = {step["thread"] for step in steps}
    threads = {thread.pk: thread for thread in Thread.objects.visible_to(user).filter(team=team, pk__in=wanted)}
    missing = {
        f"steps.{position}.thread": [f"There is no thread {step['thread']} in {team.name}."]
        for position, step in enumerate(steps)
        if step["thread"] not in threads
    }
    if missing:
        raise InvalidInput("Some steps cannot be used.", fields=missing)
    plans: list[StepPlan] = []
    for step in steps:
        stage = step.get("stage", plans[-1].stage + 1 if plans else 1)
        details = {name: step[name] for name in ("parameters", "timeout_seconds", "retries") if name in step}
        plans.append(StepPlan(thread=threads[step["thread"]], stage=stage, on_failure=step.get("on_failure", OnFailure.STOP), **details))
    return plans


class OneProcess(ProcessEndpoint):
    @call("Read a process", answer=ProcessShape)
    def get(self, request: Request, pk: int) -> Response:
        return self.one(_process(request, pk))

    @call("Replace a process", body=ProcessBody, answer=ProcessShape)
    def put(self, request: Request, pk: int) -> Response:
        """All that can be set; what is left out gets its default."""
        return self._change(request, pk, partial=False)

    @call("Change a process", body=ProcessBody, answer=ProcessShape)
    def patch(self, request: Request, pk: int) -> Response:
        """What is sent. `steps` replace all there were."""
        return self._change(request, pk, partial=True)

    @call("Delete a process", status=204)
    def delete(self, request: Request, pk: int) -> Response:
        """With its steps and schedules; its threads stay, and its runs in the history."""
        services.delete_process(process=_process(request, pk, Role.EDITOR), user=caller(request))
        return Response(status=204)

    def _change(self, request: Request, pk: int, *, partial: bool) -> Response:
        process, user = _process(request, pk, Role.EDITOR), caller(request)
        given = self.body(ProcessBody, partial=partial)
        if given.pop("team", process.team.slug) != process.team.slug:
            raise InvalidInput.of("team", "A process stays in its team.")
        steps = _plans(user, process.team, given.pop("steps")) if "steps" in given else None
        return self.one(services.change_process(process=process, user=user, steps=steps, **given))


def _process(request: Request, pk: int, needed: Role = Role.VIEWER) -> Process:
    return fetch(Process.objects.select_related("team"), caller(request), needed, pk=pk)
