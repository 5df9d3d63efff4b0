"""What people fill in about threads. Forms read fields; what is allowed is said by the services."""

from typing import Any

from django import forms

from accounts.access import team_for, teams_where
from accounts.models import Team, User
from accounts.roles import Role
from core.forms import ManyFilesField
from environments.services import known_versions
from threads.folders import Node, in_order
from threads.limits import LIMITS, default_limit
from threads.models import Folder, Thread, ThreadType
from threads.repeats import REPEATS
from threads.services import ENVIRONMENT, SETTINGS
from threads.uploads import read_uploads


class PlaceForm(forms.Form):
    """In which team, under which name, in which folder. Who is in one team is not asked for it."""

    team = forms.ChoiceField(error_messages={"required": "Which team? Choose one."})
    name = forms.CharField(error_messages={"required": "Give it a name."}, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    folder = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, user: User, nodes: list[Node], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.teams = teams_where(user, Role.EDITOR)
        self.fields["team"].choices = [(team.slug, team.name) for team in self.teams]  # type: ignore[attr-defined]
        self.places = {str(node.folder.pk): node for node in nodes if node.folder.team in self.teams}
        self.fields["folder"].choices = [("", "No folder"), *self._labels()]  # type: ignore[attr-defined]
        if len(self.teams) < 2:
            del self.fields["team"]

    def _labels(self) -> list[tuple[str, str]]:
        several = len(self.teams) > 1
        return [(key, f"{node.folder.team}: {node.path}" if several else node.path) for key, node in self.places.items()]

    @property
    def has_folders(self) -> bool:
        return bool(self.places)

    @property
    def team_chosen(self) -> Team:
        return team_for(self.user, self.cleaned_data.get("team") or None, Role.EDITOR)

    @property
    def folder_chosen(self) -> Folder | None:
        node = self.places.get(self.cleaned_data.get("folder", ""))
        return node.folder if node else None


class NewThreadForm(PlaceForm):
    """A name and, for who wants, a folder: the rest is done in the editor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autofocus"] = True


class NewFolderForm(NewThreadForm):
    """`folder` is where the new one goes."""


class FilesForm(forms.Form):
    """Files of a thread, each in place of the one there was of its kind or name."""

    script = forms.FileField(required=False, allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".py"}))
    input_file = forms.FileField(required=False, allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".csv"}))
    files = ManyFilesField(required=False, allow_empty_file=True)  # type: ignore[assignment]  # Fields are taken out of the class.

    def uploads(self) -> dict[str, Any]:
        """`script`, `input_file` and `extra_files` as the services take them."""
        given = self.cleaned_data
        return read_uploads(given["script"], given["input_file"], given["files"])


class UploadForm(PlaceForm, FilesForm):
    """A thread from files; without a name it takes the script's."""

    name = forms.CharField(required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    script = forms.FileField(
        allow_empty_file=True,
        error_messages={"required": "Choose the .py file to upload."},
        widget=forms.FileInput(attrs={"accept": ".py"}),
    )


class CodesField(forms.CharField):
    """Exit codes as people write them, by commas or spaces; a signal's is negated."""

    def to_python(self, value: Any) -> Any:
        words = str(value or "").replace(",", " ").split()
        try:
            return [int(word) for word in words]
        except ValueError:
            raise forms.ValidationError("Use whole numbers, by commas.") from None

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value


class LimitField(forms.IntegerField):
    def __init__(self, label: str) -> None:
        super().__init__(label=label, required=False, widget=forms.NumberInput(attrs={"inputmode": "numeric"}))


class SettingsForm(PlaceForm):
    """What is true of a thread besides its source."""

    type = forms.ChoiceField(choices=ThreadType.choices)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    timeout_seconds = forms.IntegerField(label="Timeout in seconds", widget=forms.NumberInput(attrs={"inputmode": "numeric"}))
    memory_limit_mb = LimitField("Memory limit in MiB")
    cpu_limit = LimitField("Processor time in seconds")
    process_limit = LimitField("Processes at once")
    output_limit_mb = LimitField("Printed output in MiB")
    directory_limit_mb = LimitField("Directory in MiB")
    max_runs = LimitField("Runs at once")
    retries = forms.IntegerField(widget=forms.NumberInput(attrs={"inputmode": "numeric"}))
    retry_delay_seconds = forms.IntegerField(label="Delay in seconds", widget=forms.NumberInput(attrs={"inputmode": "numeric"}))
    retry_exit_codes = CodesField(label="On exit codes", required=False)
    network = forms.BooleanField(required=False)
    enabled = forms.BooleanField(required=False)

    def __init__(self, *args: Any, thread: Thread, user: User, nodes: list[Node], **kwargs: Any) -> None:
        nodes = [node for node in nodes if node.folder.team_id == thread.team_id]
        initial = {name: getattr(thread, name) for name in ("name", *SETTINGS, *REPEATS)} | {"folder": str(thread.folder_id or "")}
        super().__init__(*args, user=user, nodes=nodes, initial=initial, **kwargs)
        self.fields.pop("team", None)
        self.places = {str(node.folder.pk): node for node in nodes}
        self.fields["folder"].choices = [("", "No folder"), *((key, node.path) for key, node in self.places.items())]  # type: ignore[attr-defined]
        for name in LIMITS:
            if (usual := default_limit(name)) is not None:
                self.fields[name].widget.attrs["placeholder"] = f"{usual} (platform)"

    @property
    def has_limits(self) -> bool:
        return any(self[name].value() or self[name].errors for name in (*LIMITS, "max_runs"))

    @property
    def has_repeats(self) -> bool:
        return bool(self["retries"].value() or any(self[name].errors for name in REPEATS))

    def changes(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("name", *SETTINGS, *REPEATS)} | {"folder": self.folder_chosen}


class EnvironmentForm(forms.Form):
    """Which Python a thread runs with, and which packages."""

    python_version = forms.ChoiceField(required=False)
    requirements = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={"rows": 5, "spellcheck": "false", "autocapitalize": "off", "placeholder": "requests>=2.31", "class": "mono"}
        ),
    )

    def __init__(self, *args: Any, thread: Thread, **kwargs: Any) -> None:
        kwargs["initial"] = {name: getattr(thread, name) for name in ENVIRONMENT}
        super().__init__(*args, **kwargs)
        known = known_versions()
        # One that was set over the API, or whose Python is gone, stays a choice.
        versions = known if thread.python_version in ("", *known) else [thread.python_version, *known]
        self.fields["python_version"].choices = [("", "The platform's own"), *((version, f"Python {version}") for version in versions)]  # type: ignore[attr-defined]

    def changes(self) -> dict[str, Any]:
        """Browsers send other line ends than were typed."""
        given = self.cleaned_data
        return {"python_version": given["python_version"], "requirements": given["requirements"].replace("\r\n", "\n")}


class VariableForm(forms.Form):
    """A variable to be set; one of the same name is replaced."""

    name = forms.CharField(
        error_messages={"required": "Give it a name."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    value = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"})
    )
    is_secret = forms.BooleanField(required=False)

    def clean_value(self) -> str:
        """Browsers send other line ends than were typed."""
        return str(self.cleaned_data["value"]).replace("\r\n", "\n")


def folder_nodes(user: User) -> list[Node]:
    """All folders the user sees, as a tree in order; one query."""
    return in_order(Folder.objects.visible_to(user).select_related("team"))
