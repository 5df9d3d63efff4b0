"""Django's admin as a site of its own: for operators alone, without a door of its own."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from accounts.forms import OwnPasswordForm
from accounts.views import LoginView
from core.errors import Forbidden


class PlatformSite(admin.AdminSite):
    """It shows every team's things, sources and logs too: Django's flag `is_staff` and its permissions open nothing here."""

    site_header = "PyScheduler administration"
    site_title = "PyScheduler"
    index_title = "All records"
    password_change_form = OwnPasswordForm

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    @method_decorator(never_cache)
    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Leads to the one page to log in by, or in; Forbidden for who is logged in and no operator."""
        target = LoginView().get_redirect_url(request) or reverse("admin:index")
        if self.has_permission(request):
            return HttpResponseRedirect(target)
        if request.user.is_authenticated:
            raise Forbidden(f"The administration is for administrators; you are logged in as {request.user.get_username()}.")
        return redirect_to_login(target)
