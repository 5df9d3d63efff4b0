"""What people fill in about a process besides its steps."""

from typing import Any

from django import forms

from processes.models import Process
from processes.services import SETTINGS


class ProcessForm(forms.Form):
    name = forms.CharField(
        error_messages={"required": "Give it a name."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Nightly report"}),
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    max_runs = forms.IntegerField(label="Runs at once", required=False, widget=forms.NumberInput(attrs={"inputmode": "numeric"}))
    enabled = forms.BooleanField(required=False, initial=True)

    def __init__(self, *args: Any, process: Process | None = None, **kwargs: Any) -> None:
        initial = {name: getattr(process, name) for name in ("name", *SETTINGS)} if process else {}
        super().__init__(*args, **{"initial": initial, **kwargs})
        if process is None:
            del self.fields["enabled"]
