"""The addresses of everything."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from accounts.views import LoginView
from pyscheduler import views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("login", LoginView.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("threads/", include("threads.urls")),
    path("environments/", include("environments.urls")),
    path("processes/", include("processes.urls")),
    path("schedules/", include("schedules.urls")),
    path("history/", include("history.urls")),
    path("health/", include("operations.urls")),
    path("api/v1/", include("pyscheduler.api")),
    path("demo/", include("operations.demosite")),
    path("admin/", admin.site.urls),
]

handler404 = "pyscheduler.views.page_not_found"
handler403 = "pyscheduler.views.forbidden"
handler400 = "pyscheduler.views.bad_request"
