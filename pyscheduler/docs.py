"""The API's description: as OpenAPI, and as a page of our own made of it (no script runs there, so no Swagger UI)."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from core.endpoint import Endpoint, call
from core.errors import NotFound
from pyscheduler.reference import Section, sections_of


@cache
def schema() -> dict[str, Any]:
    """The whole API as OpenAPI 3; made once, for it takes half a second and never changes while we run."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


@cache
def sections() -> list[Section]:
    return sections_of(schema())


class Schema(Endpoint):
    @call("The schema", answer=OpenApiTypes.OBJECT, refusals=(401, 429))
    def get(self, request: Request) -> Response:
        """OpenAPI 3, as JSON."""
        return Response(schema())


class Docs(Endpoint):
    @call("This page", answer=(OpenApiTypes.STR, "text/html"), refusals=(401, 429))
    def get(self, request: Request) -> HttpResponse:
        """For people."""
        return render(request._request, "api/docs.html", {"sections": sections(), "base": request.build_absolute_uri("/api/v1/")})

    def handle_exception(self, exc: Exception) -> Any:
        """A person in a browser is sent to the log-in, as from any page."""
        if isinstance(exc, NotAuthenticated) and "text/html" in self.request.headers.get("Accept", ""):
            return redirect(f"{reverse('login')}?next={self.request.path}")
        return super().handle_exception(exc)


class NoSuchCall(Endpoint):
    """Whatever else is asked for below `/api/v1/`, in the API's own form."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(exclude=True)
    def _refuse(self, request: HttpRequest) -> Response:
        raise NotFound("There is no such call; see /api/v1/docs. Addresses have no slash at their end.")

    get = post = put = patch = delete = options = _refuse
