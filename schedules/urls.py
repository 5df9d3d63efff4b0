"""Addresses of the pages about schedules."""

from django.urls import path

from schedules import pause_views, views

app_name = "schedules"
urlpatterns = [
    path("", views.list_schedules, name="list"),
    path("new", views.new, name="new"),
    path("preview", views.show_preview, name="preview"),
    path("stop", pause_views.stop, name="stop"),
    path("start", pause_views.go_on, name="start"),
    path("<int:pk>", views.detail, name="detail"),
    path("<int:pk>/edit", views.edit, name="edit"),
    path("<int:pk>/toggle", views.toggle, name="toggle"),
    path("<int:pk>/clone", views.clone, name="clone"),
    path("<int:pk>/skip-next", views.leave_out, name="skip_next"),
    path("<int:pk>/pause", pause_views.pause, name="pause"),
    path("<int:pk>/pauses/<int:pause_id>/end", pause_views.end, name="end_pause"),
    path("<int:pk>/run", views.start, name="run"),
    path("<int:pk>/delete", views.delete, name="delete"),
]
