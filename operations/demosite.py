"""The demo site: a few bundled pages for the demo threads to fetch. Open to all, the scripts have no log-in."""

from pathlib import Path

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

FOLDER = Path(__file__).with_name("democontent") / "site"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8"}


@require_safe
@login_not_required
@cache_control(max_age=300, public=True)
def page(_request: HttpRequest, name: str = "index.html") -> HttpResponse:
    """One bundled file by its plain name."""
    pages = {file.name: file for file in FOLDER.iterdir() if file.suffix in TYPES}
    if name not in pages:
        raise Http404(f"The demo site has no page {name!r}.")
    return HttpResponse(pages[name].read_bytes(), content_type=TYPES[pages[name].suffix])


app_name = "demo"
urlpatterns = [path("", page, name="index"), path("<str:name>", page, name="page")]
