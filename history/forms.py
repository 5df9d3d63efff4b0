"""What the history can be narrowed to, read from the address. A faulty value narrows nothing and is said beside its field."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from accounts.models import Team
from history.models import Run
from history.querysets import failed_like, named
from history.status import Kind, Status, Trigger

MAX_ID = 2**63 - 1


def _id_field() -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=1, max_value=MAX_ID, widget=forms.HiddenInput)


class FilterForm(forms.Form):
    """All optional; `status` takes several. `thread`, `process`, `schedule` and `failure` come by links from other pages."""

    q = forms.CharField(
        required=False,
        max_length=100,
        label="Name",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name or #number", "autocomplete": "off", "spellcheck": "false"}),
    )
    status = forms.MultipleChoiceField(required=False, choices=Status.choices)
    kind = forms.ChoiceField(required=False, choices=[("", "All kinds"), (Kind.THREAD, "Threads"), (Kind.PROCESS, "Processes")])
    trigger = forms.ChoiceField(required=False, choices=[("", "Any trigger"), *Trigger.choices])
    team = forms.ModelChoiceField(required=False, queryset=Team.objects.none(), to_field_name="slug", empty_label="All teams")
    thread = _id_field()
    process = _id_field()
    schedule = _id_field()
    failure = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, teams: "QuerySet[Team]", **options: Any) -> None:
        super().__init__(*args, **options)
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)
        team.queryset = teams

    @property
    def chosen(self) -> dict[str, Any]:
        """The values that narrow the list."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}

    def narrow(self, rows: "QuerySet[Run]") -> "QuerySet[Run]":
        chosen = self.chosen
        conditions = {"status": "status__in", "kind": "kind", "trigger": "trigger", "team": "team", "thread": "thread",
                      "process": "process", "schedule": "schedule_id"}  # fmt: skip
        rows = rows.filter(**{lookup: chosen[name] for name, lookup in conditions.items() if name in chosen})
        if "failure" in chosen:
            rows = failed_like(rows, chosen["failure"])
        return named(rows, chosen.get("q", ""))
