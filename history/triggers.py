"""Start a thread or a process over the API: by id, or by safe name with a key."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch, team_named
from accounts.authentication import KeyAuthentication, caller
from core.endpoint import WITH_CONFLICT, Endpoint, call
from core.errors import Conflict, NotFound
from history.api import answer_queued, answer_run, as_it_is
from history.services import queue_run, trigger_of
from history.shapes import RunShape, StartBody, ThreadTriggerQuery, TriggerQuery
from history.status import Trigger
from history.waiting import wait_for_end
from processes.models import Process
from threads.models import Thread


class _Start(Endpoint):
    """POST by id."""

    rows: Any

    def start(self, request: Request, pk: int) -> Response:
        user = caller(request)
        # `queue_run` asks for the role; to ask here as well would be a query for nothing.
        target = fetch(self.rows, user, pk=pk)
        return answer_queued(queue_run(target=target, user=user, trigger=trigger_of(user), **self.body(StartBody)))


class RunThread(_Start):
    rows = Thread.objects.select_related("team", "current_version")

    @call("Run a thread", body=StartBody, answer=RunShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Queues one run. 409 when it cannot run: disabled, or without a saved version."""
        return self.start(request, pk)


class RunProcess(_Start):
    rows = Process.objects.select_related("team")

    @call("Run a process", body=StartBody, answer=RunShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Queues one run of all its steps; the parameters go to each of them. 409 when it cannot run."""
        return self.start(request, pk)


class _Trigger(Endpoint):
    """By key alone: a session would let any page that a browser opens start scripts with a link."""

    authentication_classes = [KeyAuthentication]
    rows: Any

    def trigger(self, request: Request, safe_name: str) -> Response:
        user = caller(request)
        rows = self.rows.visible_to(user).filter(safe_name=safe_name)
        if "team" in self.query:
            rows = rows.filter(team=team_named(user, self.query["team"]))
        if "folder" in self.query:
            rows = rows.filter(folder=self.query["folder"] or None)
        target = _only(self.runnable(list(rows[:20])), safe_name)
        given = self.body(StartBody) if request.method == "POST" else {}
        run = queue_run(target=target, user=user, trigger=Trigger.URL, **given)
        if not (seconds := self.query.get("wait", 0)):
            return answer_queued(run, status=202)
        return answer_run(run) if wait_for_end(run, seconds) else answer_queued(as_it_is(run), status=202)

    def runnable(self, found: list[Any]) -> list[Any]:
        """Of several the ones that could run at all."""
        return found


def _only(found: list[Any], safe_name: str) -> Any:
    """The one target of that name; Conflict that says how to tell several apart."""
    if not found:
        raise NotFound
    if len(found) > 1:
        teams = sorted({target.team.slug for target in found})
        if len(teams) > 1:
            raise Conflict(f"Several teams of yours have {safe_name!r}; add ?team= with one of {', '.join(teams)}.")
        folders = ", ".join(str(target.folder_id or 0) for target in found)
        raise Conflict(f"Several folders have {safe_name!r}; add ?folder= with one of {folders} (0 is no folder).")
    return found[0]


WAITING = """202 with the run at once. With `?wait=SECONDS` 200 with the run when it has ended by then; else 202 with the run as it
is. The limit is 300 seconds, for proxies end a silent answer about then. Two callers can wait at a time, for each holds one of the few
places the server answers from: a third is answered 202 at once."""


class TriggerThread(_Trigger):
    rows = Thread.objects.select_related("team", "current_version")

    def runnable(self, found: list[Any]) -> list[Any]:
        """A draft alone makes no name ambiguous; where there are only drafts, the refusal says so."""
        return [thread for thread in found if thread.current_version] or found

    @call(
        "Trigger a thread by URL",
        query=ThreadTriggerQuery,
        answer=RunShape,
        also={202: RunShape},
        refusals=WITH_CONFLICT,
        description=WAITING,
    )
    def get(self, request: Request, safe_name: str) -> Response:
        return self.trigger(request, safe_name)

    @call("Trigger a thread by URL, with parameters", query=ThreadTriggerQuery, body=StartBody, answer=RunShape, also={202: RunShape},
          refusals=WITH_CONFLICT, description=WAITING)  # fmt: skip
    def post(self, request: Request, safe_name: str) -> Response:
        return self.trigger(request, safe_name)


class TriggerProcess(_Trigger):
    rows = Process.objects.select_related("team")

    @call(
        "Trigger a process by URL", query=TriggerQuery, answer=RunShape, also={202: RunShape}, refusals=WITH_CONFLICT, description=WAITING
    )
    def get(self, request: Request, safe_name: str) -> Response:
        return self.trigger(request, safe_name)

    @call("Trigger a process by URL, with parameters", query=TriggerQuery, body=StartBody, answer=RunShape, also={202: RunShape},
          refusals=WITH_CONFLICT, description=WAITING)  # fmt: skip
    def post(self, request: Request, safe_name: str) -> Response:
        return self.trigger(request, safe_name)
