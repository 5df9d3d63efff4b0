"""Where the stream of a page has to begin."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from events.models import Event


class LiveCursorMiddleware:
    """Notes the newest event before a page reads what it shows: what happens in between is replayed, nothing is missed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self._is_page(request):
            request.live_cursor = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0  # type: ignore[attr-defined]
        return self.get_response(request)

    def _is_page(self, request: HttpRequest) -> bool:
        return (
            request.method == "GET"
            and settings.SESSION_COOKIE_NAME in request.COOKIES
            and "HX-Request" not in request.headers
            and not request.path.startswith(("/api/", "/admin/", "/static/"))
        )
