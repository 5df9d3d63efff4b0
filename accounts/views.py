"""The door for people."""

from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpResponse

from accounts.forms import LoginForm


class LoginView(views.LoginView):
    """The one page to log in by, for the admin too."""

    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        answer = super().form_invalid(form)
        if isinstance(form, LoginForm) and form.wait:
            answer.status_code = 429
            answer["Retry-After"] = str(form.wait)
        return answer
