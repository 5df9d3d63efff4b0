"""Addresses of the pages about environments."""

from django.urls import path

from environments import views

app_name = "environments"
urlpatterns = [
    path("", views.list_environments, name="list"),
    path("collect", views.collect, name="collect"),
    path("<int:pk>/check", views.check, name="check"),
    path("<int:pk>/rebuild", views.rebuild, name="rebuild"),
]
