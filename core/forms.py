"""Where the domain's refusals meet a page's form: each message beside its field, nothing typed is lost."""

from collections.abc import Callable
from typing import Any

from django import forms

from core.errors import Conflict, DomainError, InvalidInput


def put_faults(form: forms.BaseForm, error: DomainError) -> None:
    """Put the error's messages onto the form's fields; those of fields it does not have go on top."""
    if not error.fields:
        form.add_error(None, error.message)
    for field, messages in error.fields.items():
        for message in messages:
            form.add_error(field if field in form.fields else None, message)


def attempt[Result](
    form: forms.BaseForm, verb: Callable[[], Result], on_refusal: Callable[[DomainError], DomainError] = lambda error: error
) -> Result | None:
    """What the verb gives when form and verb are content; else None, and the form says what is wrong.

    `on_refusal` may change what is said where. Refusals that no other input would change (not yours, not your role)
    are raised on.
    """
    if not form.is_valid():
        return None
    try:
        return verb()
    except (InvalidInput, Conflict) as error:
        put_faults(form, on_refusal(error))
        return None


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """A file field that takes several; cleans to a list."""

    widget = ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, (list, tuple)) else [data] if data else []
        return [super(ManyFilesField, self).clean(file, initial) for file in given if file]
