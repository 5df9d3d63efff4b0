"""Answers for pages: domain errors become messages a person can act on, redirects reach htmx as redirects."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from core.errors import DomainError

Handler = Callable[[HttpRequest], HttpResponse]


class HtmxRedirectMiddleware:
    """fetch() follows a redirect and would put the log-in page into a corner of this one: tell htmx to go there instead."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.headers.get("HX-Request") == "true" and response.status_code in (301, 302, 303):
            location = response["Location"]
            response = HttpResponse(status=200)
            response["HX-Redirect"] = location
        return response


class DomainErrorMiddleware:
    """A domain error that a page's view did not handle: its status, its words, in the product's own error page."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DomainError):
            return None
        template = "error_fragment.html" if request.headers.get("HX-Request") == "true" else "error.html"
        return render(request, template, {"error": exception}, status=exception.status)
