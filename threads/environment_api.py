"""The environment of a thread over the API."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch
from accounts.authentication import caller
from accounts.roles import Role
from core.endpoint import WITH_CONFLICT, Endpoint, Nothing, call
from environments.services import changes_between
from environments.shapes import ThreadEnvironmentShape, brief
from threads.models import Thread
from threads.requirements import rebuild_environment

_ROWS = Thread.objects.select_related("team", "environment", "previous_environment", "environment_build")


def _shown(thread: Thread) -> dict[str, Any]:
    environment, before = thread.environment, thread.previous_environment
    changes = changes_between(before, environment) if before and environment else []
    return {
        **brief(environment, thread.environment_build),
        "environment": environment,
        "build": thread.environment_build,
        "changes": [{"package": name, "before": old, "after": new} for name, old, new in changes],
    }


class ThreadEnvironment(Endpoint):
    @call("Read a thread's environment", answer=ThreadEnvironmentShape)
    def get(self, request: Request, pk: int) -> Response:
        """What it runs in, and the newest build with its log."""
        return Response(ThreadEnvironmentShape(_shown(fetch(_ROWS, caller(request), pk=pk))).data)


class RebuildEnvironment(Endpoint):
    @call("Rebuild a thread's environment", answer=ThreadEnvironmentShape, status=202, refusals=WITH_CONFLICT)
    def post(self, request: Request, pk: int) -> Response:
        """Resolves the requirements again and builds in the background; the environment in use stays until the new one is ready.
        409 when the thread asks for no packages and no Python of its own."""
        thread = fetch(_ROWS, caller(request), Role.EDITOR, pk=pk)
        self.body(Nothing)
        rebuild_environment(thread=thread, user=caller(request))
        return Response(ThreadEnvironmentShape(_shown(_ROWS.get(pk=pk))).data, status=202)
