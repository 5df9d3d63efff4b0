"""Logs and files of runs as downloads. They are a script's words, so no browser gets to run them on our address."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.access import fetch, person
from core import marks
from core.downloads import AS_DATA
from history import files, logs
from history.models import Run
from history.stamps import STREAMS, stamped

BY_NAME = {name: stream for stream, name in STREAMS.items()}


class Personal(StreamingHttpResponse):
    """Made while it is sent, which holds a thread of the web server for so long: it lends each person a few."""

    def __init__(self, person: int, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.person = person


@require_safe
def download_log(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The log as far as it goes by now; with `?stamps=1` time and stream are before each line."""
    user = person(request)
    run = fetch(Run.objects.all(), user, pk=pk)
    headers = {**AS_DATA, "Content-Disposition": _attachment(f"{run.safe_name}-{run.number}.log")}
    if request.GET.get("stamps") == "1":
        return stamped_of(run, None, 0, logs.size(run), user.pk, headers)
    return log_of(run, 0, logs.size(run), headers)


def log_of(run: Run, start: int, end: int, headers: Mapping[str, str]) -> FileResponse:
    """The bytes of a log from `start` to `end`, though it may go on growing."""
    response = FileResponse(logs.opened(run, start), content_type="text/plain; charset=utf-8")
    for name, value in {**headers, "Content-Length": str(end - start)}.items():
        response[name] = value
    return response


def stream_of(run: Run, stream: str, start: int, end: int, person: int, headers: Mapping[str, str]) -> Personal:
    """Of the same bytes, those that came by `stdout` or `stderr`."""
    pieces = marks.of_stream(logs.log_path(run), BY_NAME[stream], start, end)
    return Personal(person, pieces, content_type="text/plain; charset=utf-8", headers=headers)


def stamped_of(run: Run, stream: str | None, start: int, end: int, person: int, headers: Mapping[str, str]) -> Personal:
    """The same with time and stream before each line; with `stream` only what came by it."""
    pieces = stamped(logs.log_path(run), start, end, BY_NAME[stream] if stream else None)
    return Personal(person, pieces, content_type="text/plain; charset=utf-8", headers=headers)


@require_safe
def download_files(request: HttpRequest, pk: int) -> HttpResponseBase:
    """All files and the log as one zip, made while it is sent."""
    user = person(request)
    run = fetch(Run.objects.all(), user, pk=pk)
    headers = {**AS_DATA, "Content-Disposition": _attachment(f"{run.safe_name}-{run.number}.zip")}
    return Personal(user.pk, files.zip_all(run), content_type="application/zip", headers=headers)


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


def _attachment(name: str) -> str:
    return content_disposition_header(True, name) or "attachment"
