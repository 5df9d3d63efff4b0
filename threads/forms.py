"""What people fill in about threads. Forms read fields; what is allowed is said by the services."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from accounts.access import team_for, teams_where
from accounts.models import Team, User
from accounts.roles import Role
from core.errors import InvalidInput, TooLarge
from core.forms import ManyFilesField
from threads.folders import Node, in_order
from threads.models import Folder, Thread, ThreadType
from threads.services import Upload


def upload_of(file: "UploadedFile[Any] | None", field: str, limit: int) -> Upload | None:
    """The file's name and content; TooLarge before anything of a file beyond the limit is read."""
    if file is None:
        return None
    if (file.size or 0) > limit:
        raise TooLarge.of(field, f"{file.name} has {file.size:,} bytes; {limit:,} are the most.")
    return Upload(name=file.name or "", content=file.read())


class PlaceForm(forms.Form):
    """In which team, under which name, in which folder. Who is in one team is not asked for it."""

    team = forms.ChoiceField(required=False)
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
        """`script`, `input_file` and `extra_files` as the services take them; TooLarge by field."""
        given = self.cleaned_data
        if len(given["files"]) > settings.MAX_FILES:
            raise InvalidInput.of("files", f"A thread has at most {settings.MAX_FILES} files.")
        return {
            "script": upload_of(given["script"], "script", settings.MAX_SCRIPT_BYTES),
            "input_file": upload_of(given["input_file"], "input_file", settings.MAX_FILE_BYTES),
            "extra_files": [upload_of(file, "files", settings.MAX_FILE_BYTES) for file in given["files"]],
        }


class UploadForm(PlaceForm, FilesForm):
    """A thread from files; without a name it takes the script's."""

    name = forms.CharField(required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    script = forms.FileField(
        allow_empty_file=True,
        error_messages={"required": "Choose the .py file to upload."},
        widget=forms.FileInput(attrs={"accept": ".py"}),
    )

    @property
    def name_chosen(self) -> str:
        script = self.cleaned_data.get("script")
        stem = str(script.name).removesuffix(".py") if script else ""
        return self.cleaned_data["name"] or stem.replace("_", " ")


class SettingsForm(PlaceForm):
    """What is true of a thread besides its source."""

    type = forms.ChoiceField(choices=ThreadType.choices)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    timeout_seconds = forms.IntegerField(label="Timeout in seconds", widget=forms.NumberInput(attrs={"inputmode": "numeric"}))
    enabled = forms.BooleanField(required=False)

    def __init__(self, *args: Any, thread: Thread, user: User, nodes: list[Node], **kwargs: Any) -> None:
        nodes = [node for node in nodes if node.folder.team_id == thread.team_id]
        kept = ("name", "type", "description", "timeout_seconds", "enabled")
        initial = {name: getattr(thread, name) for name in kept} | {"folder": str(thread.folder_id or "")}
        super().__init__(*args, user=user, nodes=nodes, initial=initial, **kwargs)
        self.fields.pop("team", None)
        self.places = {str(node.folder.pk): node for node in nodes}
        self.fields["folder"].choices = [("", "No folder"), *((key, node.path) for key, node in self.places.items())]  # type: ignore[attr-defined]

    def changes(self) -> dict[str, Any]:
        names = ("name", "type", "description", "timeout_seconds", "enabled")
        return {name: self.cleaned_data[name] for name in names} | {"folder": self.folder_chosen}


def folder_nodes(user: User) -> list[Node]:
    """All folders the user sees, as a tree in order; one query."""
    return in_order(Folder.objects.visible_to(user).select_related("team"))
