"""Addresses of the pages about runs."""

from django.urls import path

from history import downloads, starts, views

app_name = "history"

urlpatterns = [
    path("", views.list_runs, name="list"),
    path("start/thread/<int:pk>", starts.start_thread, name="start_thread"),
    path("start/process/<int:pk>", starts.start_process, name="start_process"),
    path("<int:pk>", views.show_run, name="run"),
    path("<int:pk>/stop", views.stop_run, name="stop"),
    path("<int:pk>/pause", views.pause_run, name="pause"),
    path("<int:pk>/resume", views.resume_run, name="resume"),
    path("<int:pk>/again", views.run_again, name="again"),
    path("<int:pk>/retry", views.retry_run, name="retry"),
    path("<int:pk>/log", downloads.download_log, name="log"),
    path("<int:pk>/files.zip", downloads.download_files, name="files"),
    path("<int:pk>/files/<path:path>", downloads.download_file, name="file"),
]
