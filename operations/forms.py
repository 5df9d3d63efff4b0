"""What operators type in."""

from django import forms

from accounts.models import LEVELS, Team
from accounts.roles import BOUND, Role

MOST_REASON = 200


class MaintenanceForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=MOST_REASON,
        help_text="What people are told who wait, such as “New disks, until noon”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class LeastForm(forms.Form):
    """The least isolation of a team."""

    team = forms.ModelChoiceField(Team.objects.all(), empty_label="Choose a team")
    min_isolation = forms.ChoiceField(label="Least level", choices=[("", "Any level"), *LEVELS], required=False)
    isolation_binds = forms.ChoiceField(
        label="Of runs started by", choices=[(role, words.capitalize()) for role, words in BOUND.items()], initial=Role.OWNER
    )
