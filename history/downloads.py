"""Logs and files of runs as downloads. They are a script's words, so no browser gets to run them on our address."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.access import fetch, person
from core.downloads import AS_DATA
from history import files, logs
from history.models import Run


@require_safe
def download_log(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The log as far as it goes by now."""
    run = fetch(Run.objects.all(), person(request), pk=pk)
    end = logs.size(run)
    response = _streamed(logs.iterate(run, end=end), "text/plain; charset=utf-8", f"{run.safe_name}-{run.number}.log")
    response["Content-Length"] = str(end)
    return response


@require_safe
def download_files(request: HttpRequest, pk: int) -> HttpResponseBase:
    """All files and the log as one zip, made while it is sent."""
    run = fetch(Run.objects.all(), person(request), pk=pk)
    return _streamed(files.zip_all(run), "application/zip", f"{run.safe_name}-{run.number}.zip")


@require_safe
def download_file(request: HttpRequest, pk: int, path: str) -> HttpResponseBase:
    run = fetch(Run.objects.all(), person(request), pk=pk)
    found = files.open_artifact(run, path)
    name = PurePosixPath(path).name
    return FileResponse(
        found.file,
        as_attachment=True,
        filename=name,
        content_type="application/octet-stream",
        headers={**AS_DATA, "Content-Length": str(found.size)},
    )


def _streamed(blocks: Iterator[bytes], content_type: str, name: str) -> StreamingHttpResponse:
    headers = {**AS_DATA, "Content-Disposition": content_disposition_header(True, name) or "attachment"}
    return StreamingHttpResponse(blocks, content_type=content_type, headers=headers)
