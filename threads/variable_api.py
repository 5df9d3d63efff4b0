"""Variables and secrets over the API."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch, team_for, team_named
from accounts.authentication import caller
from accounts.models import User
from accounts.roles import Role
from core.endpoint import WITH_CONFLICT, Endpoint, call
from core.errors import InvalidInput
from threads import variables
from threads.models import Thread, Variable
from threads.variable_shapes import VariableBody, VariableChange, VariableQuery, VariableShape


class Variables(Endpoint):
    @call("List variables", query=VariableQuery, answer=VariableShape, many=True)
    def get(self, request: Request) -> Response:
        """Those of teams and of threads. A secret has no value here."""
        user, rows = caller(request), Variable.objects.visible_to(request.user).select_related("team", "updated_by").defer("sealed")
        if "team" in self.query:
            rows = rows.filter(team=team_named(user, self.query["team"]))
        if "thread" in self.query:
            rows = rows.filter(thread=_thread(user, self.query["thread"]))
        return self.paged(rows, lambda found: VariableShape(found, many=True).data)

    @call("Create a variable", body=VariableBody, answer=VariableShape, status=201, refusals=WITH_CONFLICT)
    def post(self, request: Request) -> Response:
        """In the environment of every script of the team, or of one thread's, from its next run on. 409 when there is one of that name."""
        user, given = caller(request), self.body(VariableBody)
        thread = _thread(user, given["thread"]) if given["thread"] else None
        team = team_for(user, given.get("team") or (thread.team.slug if thread else None), Role.EDITOR)
        if thread and thread.team != team:
            raise InvalidInput.of("thread", f"There is no thread {thread.pk} in {team.name}.")
        made = variables.set_variable(
            team=team, thread=thread, user=user, name=given["name"], value=given["value"], is_secret=given["secret"], is_new=True
        )
        return self.made(VariableShape(made).data, f"variables/{made.pk}")


def _thread(user: User, pk: int) -> Thread:
    thread = Thread.objects.visible_to(user).filter(pk=pk).select_related("team").first()
    if thread is None:
        raise InvalidInput.of("thread", f"There is no thread {pk}, or you are not in its team.")
    return thread


class OneVariable(Endpoint):
    @call("Read a variable", answer=VariableShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(VariableShape(_variable(request, pk)).data)

    @call("Change a variable", body=VariableChange, answer=VariableShape)
    def patch(self, request: Request, pk: int) -> Response:
        """A secret becomes plain together with a new value alone."""
        given = self.body(VariableChange, partial=True)
        changed = variables.change_variable(
            variable=_variable(request, pk, Role.EDITOR), user=caller(request), value=given.get("value"), is_secret=given.get("secret")
        )
        return Response(VariableShape(changed).data)

    @call("Delete a variable", status=204)
    def delete(self, request: Request, pk: int) -> Response:
        """No run that starts from now on has it."""
        variables.remove_variable(variable=_variable(request, pk, Role.EDITOR), user=caller(request))
        return Response(status=204)


def _variable(request: Request, pk: int, needed: Role = Role.VIEWER) -> Variable:
    return fetch(Variable.objects.select_related("team", "thread", "updated_by"), caller(request), needed, pk=pk)
