"""Views that show what the web server makes of a request, and what it does with unusual answers."""

import hashlib
import io
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from accounts.models import User

closed: list[str] = []
gate = threading.Event()


def echo(request: HttpRequest) -> HttpResponse:
    body = hashlib.sha256()
    length = 0
    while block := request.read(65536):
        body.update(block)
        length += len(block)
    kept = {name: value for name, value in request.META.items() if isinstance(value, (str, bool)) and name.isupper()}
    return JsonResponse({"meta": kept, "length": length, "sha256": body.hexdigest(), "path": request.path, "query": dict(request.GET)})


def stream(request: HttpRequest) -> HttpResponseBase:
    """`size` MB in pieces; each looks into the database, as a large export does."""

    def pieces() -> Iterator[bytes]:
        try:
            for _ in range(int(request.GET["size"]) * 16):
                User.objects.exists()
                yield b"x" * 65536
        finally:
            closed.append(request.GET.get("name", ""))

    return StreamingHttpResponse(pieces(), content_type="application/octet-stream")


def big(request: HttpRequest) -> HttpResponse:
    """An ordinary answer of `size` MB."""
    return HttpResponse(b"0123456789abcdef" * 65536 * int(request.GET["size"]))


def file(request: HttpRequest) -> HttpResponseBase:
    content = tempfile.TemporaryFile()  # noqa: SIM115 - Django closes it
    content.write(b"0123456789abcdef" * 65536 * int(request.GET["size"]))
    content.seek(0)
    return FileResponse(content)


class Changed(io.RawIOBase):
    """A file that has another length by now than the answer's header says."""

    def __init__(self, length: int) -> None:
        self.left = length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = b"z" * min(self.left, 65536)
        self.left -= len(block)
        return block


def grown(request: HttpRequest) -> HttpResponseBase:
    return FileResponse(Changed(1_000_000), headers={"Content-Length": "100000"})


def shrunk(request: HttpRequest) -> HttpResponseBase:
    return FileResponse(Changed(100_000), headers={"Content-Length": "200000"})


def broken(request: HttpRequest) -> HttpResponseBase:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise RuntimeError("the export failed half way")

    return StreamingHttpResponse(pieces())


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse("done")


def wait(request: HttpRequest) -> HttpResponse:
    """Until `open` is asked for: `open` itself must not need a thread of the pool."""
    gate.wait(20)
    return HttpResponse("through")


def tell(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"closed": closed, "threads": threading.active_count()})


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


_VIEWS: list[Any] = [echo, stream, big, file, grown, shrunk, broken, slow, wait, tell, nothing]
urlpatterns = [path(view.__name__, csrf_exempt(login_not_required(view))) for view in _VIEWS]
urlpatterns.append(path("echo/<path:rest>", csrf_exempt(login_not_required(lambda request, rest: echo(request)))))
