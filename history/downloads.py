"""Logs and files of runs as downloads. They are a script's words, so no browser gets to run them on our address."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.access import fetch
from history import files, logs
from history.models import Run

SANDBOX = "sandbox; default-src 'none'"


@require_safe
def download_log(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The log as far as it goes by now."""
    run = fetch(Run.objects.all(), request.user, pk=pk)
    end = logs.size(run)
    response = _streamed(logs.iterate(run, end=end), "text/plain; charset=utf-8", f"{run.safe_name}-{run.number}.log")
    response["Content-Length"] = str(end)
    return response


@require_safe
def download_files(request: HttpRequest, pk: int) -> HttpResponseBase:
    """All files and the log as one zip, made while it is sent."""
    run = fetch(Run.objects.all(), request.user, pk=pk)
    return _streamed(files.zip_all(run), "application/zip", f"{run.safe_name}-{run.number}.zip")


@require_safe
def download_file(request: HttpRequest, pk: int, path: str) -> HttpResponseBase:
    run = fetch(Run.objects.all(), request.user, pk=pk)
    found = files.open_artifact(run, path)
    response = FileResponse(found.file, as_attachment=True, filename=PurePosixPath(path).name, content_type="application/octet-stream")
    response["Content-Length"] = str(found.size)
    return _locked(response)


def _streamed(blocks: Iterator[bytes], content_type: str, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(blocks, content_type=content_type)
    disposition = content_disposition_header(True, name)
    assert disposition is not None  # There is a name.
    response["Content-Disposition"] = disposition
    return _locked(response)


def _locked[Response: HttpResponseBase](response: Response) -> Response:
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = SANDBOX
    return response
