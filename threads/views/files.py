"""The files of a thread: put, replaced, removed, taken away."""

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from accounts.access import may, person
from accounts.roles import Role
from core import layout
from core.downloads import AS_DATA
from core.errors import InvalidInput, NotFound
from core.forms import attempt
from core.htmx import is_partial
from threads.forms import FilesForm
from threads.models import Thread, ThreadVersion
from threads.services import change_thread
from threads.views.editing import PAGE, fetch_version, thread_context, thread_of


@require_POST
def change_files(request: HttpRequest, pk: int) -> HttpResponse:
    thread = thread_of(request, pk, Role.EDITOR)
    form = FilesForm(request.POST, request.FILES)
    version = attempt(form, lambda: _replaced(request, thread, form))
    if version:
        messages.success(request, f"The files are saved as version {version.number}.")
        return redirect("threads:detail", pk)
    context = {"files_form": form, "opened": "files"}
    if is_partial(request):
        files = thread.current_version.files.all() if thread.current_version else []
        shown = {"thread": thread, "files": files, "may_edit": may(person(request), thread.team, Role.EDITOR)}
        return render(request, f"{PAGE}#files", shown | context, status=422)
    return render(request, PAGE, thread_context(request, thread, **context), status=422)


def _replaced(request: HttpRequest, thread: Thread, form: FilesForm) -> ThreadVersion:
    uploads = form.uploads()
    remove = request.POST.getlist("remove")
    if not remove and not any(uploads.values()):
        raise InvalidInput.of("files", "Choose at least one file.")
    changed = change_thread(thread=thread, user=person(request), remove=remove, **uploads)
    assert changed.current_version is not None
    return changed.current_version


@require_safe
def download(request: HttpRequest, pk: int, number: int, name: str) -> HttpResponseBase:
    """A file of a version, its script included, as it was put there."""
    version = fetch_version(thread_of(request, pk), number)
    if name == version.filename:
        return HttpResponse(
            version.source.encode(),
            content_type="text/x-python; charset=utf-8",
            headers={**AS_DATA, "Content-Disposition": content_disposition_header(True, name) or "attachment"},
        )
    file = next((file for file in version.files.all() if file.path == name), None)
    if file is None:
        raise NotFound
    content = layout.blob_path(file.digest).open("rb")
    return FileResponse(content, as_attachment=True, filename=file.name, content_type="application/octet-stream", headers=AS_DATA)
