"""Where the domain's refusals meet a page's form: each message beside its field, nothing typed is lost."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms

from core.errors import Conflict, DomainError, InvalidInput


def put_faults(form: forms.BaseForm, error: DomainError, names: Mapping[str, str] | None = None) -> None:
    """Put the error's messages onto the form's fields; those of fields it does not have go on top.

    `names` says which field of the form shows a field of the domain, where they differ.
    """
    if not form.is_bound or not hasattr(form, "cleaned_data"):
        form.full_clean()
    if not error.fields:
        form.add_error(None, error.message)
    for field, messages in error.fields.items():
        shown = (names or {}).get(field, field)
        for message in messages:
            form.add_error(shown if shown in form.fields else None, message)


def attempt[Result](form: forms.BaseForm, verb: Callable[[], Result], names: Mapping[str, str] | None = None) -> Result | None:
    """What the verb gives when form and verb are content; else None, and the form says what is wrong.

    Refusals that no other input would change (not yours, not your role) are raised on.
    """
    if not form.is_valid():
        return None
    try:
        return verb()
    except (InvalidInput, Conflict) as error:
        put_faults(form, error, names)
        return None


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """A file field that takes several; cleans to a list."""

    widget = ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, (list, tuple)) else [data] if data else []
        return [super(ManyFilesField, self).clean(file, initial) for file in given if file]
