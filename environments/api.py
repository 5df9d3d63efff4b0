"""Environments over the API."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from core.endpoint import Endpoint, call
from core.errors import NotFound
from environments.models import Environment
from environments.shapes import EnvironmentQuery, EnvironmentShape, FullEnvironmentShape


class Environments(Endpoint):
    @call("List environments", query=EnvironmentQuery, answer=EnvironmentShape, many=True)
    def get(self, request: Request) -> Response:
        """Those that threads of your teams run in; an operator sees all. Equal packages and an equal Python are one environment."""
        rows = Environment.objects.visible_to(caller(request)).defer("lock")
        if "state" in self.query:
            rows = rows.filter(state=self.query["state"])
        return self.paged(rows, lambda found: EnvironmentShape(found, many=True).data)


class OneEnvironment(Endpoint):
    @call("Read an environment", answer=FullEnvironmentShape)
    def get(self, request: Request, pk: int) -> Response:
        """With its lock: exact versions and the digests of their files."""
        found = Environment.objects.visible_to(caller(request)).filter(pk=pk).first()
        if found is None:
            raise NotFound
        return Response(FullEnvironmentShape(found).data)
