"""Addresses of the pages about processes."""

from django.urls import path

from processes import views

app_name = "processes"
urlpatterns = [
    path("", views.list_processes, name="list"),
    path("new", views.new, name="builder"),
    path("<int:pk>", views.builder, name="builder"),
    path("<int:pk>/runs", views.runs, name="runs"),
    path("<int:pk>/delete", views.delete, name="delete"),
    path("library/<slug:team>", views.library, name="library"),
    path("step/<int:thread_pk>", views.step, name="step"),
]
