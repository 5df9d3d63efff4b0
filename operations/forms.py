"""What operators type in."""

from django import forms

MOST_REASON = 200


class MaintenanceForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=MOST_REASON,
        help_text="What people are told who wait, such as “New disks, until noon”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
