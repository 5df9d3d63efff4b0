"""Addresses of the page about the platform's health."""

from django.urls import path

from operations import views

app_name = "operations"
urlpatterns = [
    path("", views.health, name="health"),
    path("banner", views.banner, name="banner"),
    path("isolation", views.try_levels, name="try-levels"),
    path("isolation/least", views.ask_least, name="ask-least"),
    path("maintenance", views.begin_maintenance, name="begin-maintenance"),
    path("maintenance/end", views.end_maintenance, name="end-maintenance"),
]
