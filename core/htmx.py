"""Requests of htmx: what kind they are, and what an answer may tell the page."""

import json

from django.http import HttpRequest, HttpResponse


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx wants a piece of the page, not all of it (as it does when it restores the history)."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Request-Type") != "full"


def toast(response: HttpResponse, text: str, tone: str = "good") -> HttpResponse:
    """The page that made the request shows `text`; tones are those of badges."""
    response["HX-Trigger"] = json.dumps({"ps:toast": {"text": text, "tone": tone}})
    return response
