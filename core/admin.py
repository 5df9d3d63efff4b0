"""What the apps' pages in Django's admin share: they act through the services, as pages and API do.

A form's last check is the verb itself, so what a service refuses stands beside the field it is about. A page that is
shown again because something else on it was wrong rolls back what its verbs have done.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from core.errors import DomainError
from core.forms import put_faults

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    ModelForm = forms.ModelForm[Any]
    InlineFormSet = forms.BaseInlineFormSet[Any, Any, Any]
else:
    ModelAdmin, TabularInline, ModelForm, InlineFormSet = admin.ModelAdmin, admin.TabularInline, forms.ModelForm, forms.BaseInlineFormSet

MAX_MESSAGES = 10
Action = Callable[[Any, HttpRequest, Any], None]


def for_each(request: HttpRequest, rows: Iterable[Any], verb: Callable[[Any], object], done: str) -> None:
    """Do it to each row, and say so by messages; one that is refused does not stop the others."""
    succeeded, refused = 0, []
    for row in rows:
        try:
            with transaction.atomic():
                verb(row)
            succeeded += 1
        except DomainError as error:
            refused.append(f"{row}: {error.message}")
    for text in refused[:MAX_MESSAGES]:
        messages.error(request, text)
    if len(refused) > MAX_MESSAGES:
        messages.error(request, f"{len(refused) - MAX_MESSAGES} more were refused.")
    if succeeded:
        messages.success(request, f"{done}: {succeeded}.")


def switch_actions(change: Callable[[Any, Any, bool], object], plural: str) -> tuple[Action, Action]:
    """The actions `enable` and `disable` of a list; `change` is the service's verb for a row, a user and the new state."""

    @admin.action(description=f"Enable selected {plural}", permissions=["change"])
    def enable(_admin: Any, request: HttpRequest, rows: Any) -> None:
        for_each(request, rows, lambda row: change(row, request.user, True), "Enabled")

    @admin.action(description=f"Disable selected {plural}", permissions=["change"])
    def disable(_admin: Any, request: HttpRequest, rows: Any) -> None:
        for_each(request, rows, lambda row: change(row, request.user, False), "Disabled")

    return enable, disable


class PlatformAdmin(ModelAdmin):
    """Lists that stay quick on large tables, and pages that keep nothing of an attempt that failed."""

    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 200

    def _changeform_view(self, request: HttpRequest, *args: Any) -> HttpResponse:
        response: HttpResponse = super()._changeform_view(request, *args)  # type: ignore[misc]
        if request.method == "POST" and response.status_code == 200:
            transaction.set_rollback(True)
        return response


class RecordAdmin(PlatformAdmin):
    """What happened is looked at, not changed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecordInline(TabularInline):
    """Rows of the record on the page of what they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VerbForm(ModelForm):
    """A form that is checked by carrying it out."""

    request: HttpRequest

    def carry_out(self, user: Any, row: Any) -> Any:
        """The object as the service left it; `row` is the stored one, None when it is to be made."""
        raise NotImplementedError

    def changes(self, *names: str) -> dict[str, Any]:
        """Those of the named fields that were changed, with their new values."""
        return {name: self.cleaned_data[name] for name in names if name in self.changed_data}

    def _post_clean(self) -> None:
        # Where a model form would put its values into the instance; the service does that, by its own rules.
        if self.errors or (self.instance.pk and not self.changed_data):
            return
        model = type(self.instance)
        row = model._default_manager.get(pk=self.instance.pk) if self.instance.pk else None
        try:
            with transaction.atomic():
                saved = self.carry_out(self.request.user, row)
        except DomainError as error:
            put_faults(self, error)
        else:
            # The same object, for the inlines hold it already.
            self.instance.__dict__.update(saved.__dict__)


class VerbFormSet(InlineFormSet):
    """Rows beside a form that are checked by carrying them out, all together."""

    request: HttpRequest

    def carry_out(self, user: Any) -> None:
        raise NotImplementedError

    def clean(self) -> None:
        super().clean()
        if self.instance.pk is None or any(self.errors) or not self.has_changed():
            return
        try:
            with transaction.atomic():
                self.carry_out(self.request.user)
        except DomainError as error:
            texts = [text for texts in error.fields.values() for text in texts]
            raise ValidationError(texts or [error.message]) from None

    def filled(self) -> list[dict[str, Any]]:
        """The values of the rows that are to stay, in their order."""
        rows = [form.cleaned_data for form in self.forms if form.instance.pk or form.has_changed()]
        return [row for row in rows if not row.get("DELETE")]

    def save(self, commit: bool = True) -> list[Any]:
        self.new_objects: list[Any] = []
        self.changed_objects: list[Any] = []
        self.deleted_objects: list[Any] = []
        return []


class VerbInline(TabularInline):
    """An inline whose formset is a `VerbFormSet`."""

    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.request = request  # The class is made anew for each request.
        return formset


class RemovalAdmin(PlatformAdmin):
    """Pages on which objects are deleted by `remove`, the service's verb.

    `loss` says what goes with an object: the rows themselves are not listed, they may be many.
    """

    loss = ""

    def remove(self, row: Any, user: Any) -> None:
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.remove(obj, request.user)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        for row in queryset:
            self.remove(row, request.user)

    def get_deleted_objects(self, objs: Sequence[Any] | models.QuerySet[Any], request: HttpRequest) -> Any:
        lines = [f"{row}, {self.loss}" if self.loss else str(row) for row in objs]
        return lines, {self.opts.verbose_name_plural: len(lines)}, set(), []

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self._or_refused(request, lambda: super(RemovalAdmin, self).delete_view(request, object_id, extra_context))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self._or_refused(request, lambda: super(RemovalAdmin, self).changelist_view(request, extra_context))

    def _or_refused(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        """The view's answer; when it deletes several and one is refused, nothing is deleted."""
        if request.method != "POST":
            return view()
        try:
            with transaction.atomic():
                return view()
        except DomainError as error:
            messages.error(request, f"Nothing was deleted. {error.message}")
            return HttpResponseRedirect(request.get_full_path())


class VerbAdmin(RemovalAdmin):
    """Pages of one model whose form is a `VerbForm`. `fixed` fields are chosen when an object is made, and stay."""

    form = VerbForm
    fixed: tuple[str, ...] = ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.request = request  # The class is made anew for each request.
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.readonly_fields, *self.fixed) if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """The form's verb has done it."""
