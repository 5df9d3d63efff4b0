"""Before the fork: load what the first page and the first call load, once for all processes."""

import io
from importlib import import_module
from typing import Any

from django.conf import settings
from django.template import engines
from django.urls import get_resolver, reverse

from core.addresses import is_any
from pyscheduler.web.bridge import Answer
from pyscheduler.web.environ import environ_of
from pyscheduler.web.wsgi import application


def warm_up() -> None:
    """Import the URL conf with all views behind it, and draw the log-in page. Leaves its database connection to the caller."""
    import_module(settings.ROOT_URLCONF)
    assert get_resolver().url_patterns
    engines.all()
    _get(settings.STATIC_URL)
    _get(reverse("login"))


def _get(path: str) -> None:
    host = settings.ALLOWED_HOSTS[0] if is_any(settings.HOST) else settings.HOST
    scope: dict[str, Any] = {
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "raw_path": path.encode(),
        "query_string": b"",
        "server": (host, settings.PORT),
        "client": ("127.0.0.1", 0),
        "headers": [(b"host", host.encode())],
    }
    result = application(environ_of(scope, io.BytesIO(), 0), Answer().set)
    for _ in result:
        pass
    result.close()
