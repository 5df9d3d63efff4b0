"""Forms about people: how they come in, and with what password."""

from typing import Any

from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError

from accounts.limits import log_ins
from accounts.services import record
from core.errors import TooOften


class LoginForm(AuthenticationForm):
    """Django's, within the limit that all doors share. `wait`: for how many seconds this one is closed."""

    wait = 0

    def clean(self) -> dict[str, Any]:
        assert self.request is not None
        try:
            with log_ins.attempt(self.request.META.get("REMOTE_ADDR", ""), self.cleaned_data.get("username", "")):
                return super().clean()
        except TooOften as error:
            self.wait = error.wait
            raise ValidationError(error.message, code=error.code) from None


class OwnPasswordForm(AdminPasswordChangeForm):
    """An operator's own password, in the admin."""

    def save(self, commit: bool = True) -> Any:
        user = super().save(commit)
        record(user=user, verb="changed", target=user, fields=["password"])
        return user
