"""A page with nothing but the stream and a log, under the product's own policy for scripts and styles."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import path

from events.models import Event


@login_not_required
def page(request: HttpRequest, run: int) -> HttpResponse:
    cursor = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return HttpResponse(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Run</title>
        <link rel="stylesheet" href="{static("css/tokens.css")}"><link rel="stylesheet" href="{static("css/base.css")}">
        <link rel="stylesheet" href="{static("css/log.css")}"><link rel="stylesheet" href="/static/css/run.css">
        <script type="module" src="{static("js/live.js")}"></script><script type="module" src="{static("js/log.js")}"></script></head>
        <body data-live-topics="run:{run},log:{run}" data-live-cursor="{cursor}">
        <section class="run-log"><ps-log run="{run}" offset="0" download="/log"></ps-log></section></body></html>"""
    )


urlpatterns = [path("page/<int:run>", page)]
