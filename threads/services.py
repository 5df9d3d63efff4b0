"""Verbs about threads: create, upload, draft, publish, restore, change, delete, put into folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, ProtectedError
from django.utils import timezone

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.errors import Conflict, InvalidInput
from core.names import clean_name, first_free, safe_name
from threads import blobs
from threads.checks import EXTRA_TYPES, check_csv, check_filename, check_script, check_syntax, decode_source
from threads.models import MAX_TIMEOUT_SECONDS, FileRole, Folder, Thread, ThreadDraft, ThreadType, ThreadVersion, VersionFile

FIRST_SOURCE = '"""What this script does, in a sentence."""\n\nprint("Hello from PyScheduler")\n'


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as somebody sent it."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that passed its checks and is stored."""

    role: FileRole
    path: str
    digest: str
    size_bytes: int


@transaction.atomic
def create_thread(
    *,
    team: Team,
    user: User,
    name: str,
    folder: Folder | None = None,
    source: str | None = None,
    script: Upload | None = None,
    input_file: Upload | None = None,
    extra_files: Sequence[Upload] = (),
    **settings_given: Any,
) -> Thread:
    """A new thread. With `script` or `source` it has version 1 and can run; with neither a draft to begin with.

    `settings_given`: `type`, `description`, `timeout_seconds`, `enabled`.
    """
    require(user, team, Role.EDITOR)
    name = clean_name(name)
    changes = _checked_settings(settings_given)
    _check_folder(team, folder)
    text = _source_of(source, script)
    files = _checked_files(input_file, extra_files, entry=script.name if script else "main.py")
    if files and text is None:
        raise InvalidInput.of("script", "Files go with a script; upload the .py file too.")
    thread = Thread.objects.create(
        team=team, folder=folder, name=name, safe_name=_free_safe_name(team, folder, name), created_by=user, **changes
    )
    ThreadDraft.objects.create(thread=thread, source=FIRST_SOURCE if text is None else text, updated_by=user)
    record(user=user, verb="created", target=thread)
    if text is not None:
        _add_version(thread, user, text, files, filename=script.name if script else "main.py", message="First version")
    return thread


@transaction.atomic
def change_thread(*, thread: Thread, user: User, **changes: Any) -> Thread:
    """Change `name`, `folder` or settings. A new name gives a new safe name: triggers by the old one end."""
    require(user, thread.team, Role.EDITOR)
    fields = _checked_settings({key: value for key, value in changes.items() if key not in ("name", "folder")})
    if "folder" in changes:
        _check_folder(thread.team, changes["folder"])
        fields["folder"] = changes["folder"]
    if "name" in changes:
        fields["name"] = clean_name(changes["name"])
    if fields.get("name", thread.name) != thread.name or ("folder" in fields and fields["folder"] != thread.folder):
        fields["safe_name"] = _free_safe_name(thread.team, fields.get("folder", thread.folder), fields.get("name", thread.name), but=thread)
    for field, value in fields.items():
        setattr(thread, field, value)
    thread.save(update_fields=[*fields, "updated_at"])
    record(user=user, verb="changed", target=thread, fields=sorted(fields))
    return thread


@transaction.atomic
def save_draft(*, thread: Thread, user: User, source: str, revision: int | None = None) -> ThreadDraft:
    """Keep what somebody typed, whether it compiles or not.

    `revision` is the one the typing began from; Conflict when another tab or person saved since. None overwrites.
    """
    require(user, thread.team, Role.EDITOR)
    if source.strip():
        source = decode_source(source.encode("utf-8", "surrogatepass"), "source")
    drafts = ThreadDraft.objects.filter(thread=thread)
    if revision is not None:
        drafts = drafts.filter(revision=revision)
    if not drafts.update(source=source, revision=F("revision") + 1, updated_by=user, updated_at=timezone.now()):
        raise Conflict("This draft was changed elsewhere since you opened it; reload to see it, your text is not saved over it.")
    return ThreadDraft.objects.get(thread=thread)


@transaction.atomic
def publish(*, thread: Thread, user: User, message: str = "") -> ThreadVersion:
    """Make the draft a version. InvalidInput when it does not compile; the draft stays as it is then."""
    require(user, thread.team, Role.EDITOR)
    draft = ThreadDraft.objects.get(thread=thread)
    check_syntax(draft.source, "source")
    current = thread.current_version
    return _add_version(
        thread, user, draft.source, _files_of(current), filename=current.filename if current else "main.py", message=message
    )


@transaction.atomic
def set_source(*, thread: Thread, user: User, source: str) -> ThreadVersion | None:
    """Draft and new version in one; None when it is what the thread has already."""
    require(user, thread.team, Role.EDITOR)
    text = _source_of(source, None)
    assert text is not None  # A source was given.
    current = thread.current_version
    if current and current.source == text:
        return None
    save_draft(thread=thread, user=user, source=text)
    return publish(thread=thread, user=user)


@transaction.atomic
def replace_files(
    *,
    thread: Thread,
    user: User,
    script: Upload | None = None,
    input_file: Upload | None = None,
    extra_files: Sequence[Upload] = (),
    remove: Sequence[str] = (),
) -> ThreadVersion:
    """A new version with these files in place of those of the same kind or name, without those named in `remove`."""
    require(user, thread.team, Role.EDITOR)
    current = thread.current_version
    if current is None and script is None:
        raise InvalidInput.of("script", "Save the script first, then add files to it.")
    text = check_script(script.content) if script else current.source if current else ""
    filename = check_filename(script.name, "script", frozenset({".py"})) if script else current.filename if current else "main.py"
    new = _checked_files(input_file, extra_files, entry=filename)
    names = {file.path for file in new} | set(remove) | {filename}
    kept = [file for file in _files_of(current) if file.path not in names and not (input_file and file.role is FileRole.INPUT)]
    if len(kept) + len(new) > settings.MAX_FILES:
        raise InvalidInput.of("files", f"A thread has at most {settings.MAX_FILES} files.")
    if script:
        ThreadDraft.objects.filter(thread=thread).update(
            source=text, revision=F("revision") + 1, updated_by=user, updated_at=timezone.now()
        )
    return _add_version(thread, user, text, [*kept, *new], filename=filename, message="Files changed")


@transaction.atomic
def restore_version(*, version: ThreadVersion, user: User) -> ThreadVersion:
    """A new version that equals an old one; the draft becomes it as well."""
    thread = version.thread
    require(user, thread.team, Role.EDITOR)
    ThreadDraft.objects.filter(thread=thread).update(
        source=version.source, revision=F("revision") + 1, updated_by=user, updated_at=timezone.now()
    )
    return _add_version(
        thread, user, version.source, _files_of(version), filename=version.filename, message=f"Restored version {version.number}"
    )


@transaction.atomic
def delete_thread(*, thread: Thread, user: User) -> None:
    """Gone with its versions, draft and schedules; its runs stay in the history. Conflict while a process uses it."""
    require(user, thread.team, Role.EDITOR)
    users = sorted(set(thread.steps.values_list("process__name", flat=True)))
    if users:
        raise Conflict(f"{thread.name} is used by {_listed(users)}; take it out there first.")
    record(user=user, verb="deleted", target=thread)
    try:
        thread.delete()
    except ProtectedError:
        raise Conflict(f"{thread.name} was put into a process just now; take it out there first.") from None


@transaction.atomic
def create_folder(*, team: Team, user: User, name: str, parent: Folder | None = None) -> Folder:
    require(user, team, Role.EDITOR)
    name = clean_name(name)
    if parent and parent.team_id != team.pk:
        raise InvalidInput.of("parent", "That folder belongs to another team.")
    taken = set(Folder.objects.filter(team=team, parent=parent).values_list("safe_name", flat=True))
    folder = Folder.objects.create(team=team, parent=parent, name=name, safe_name=first_free(safe_name(name, "folder"), taken))
    record(user=user, verb="created", target=folder)
    return folder


@transaction.atomic
def delete_folder(*, folder: Folder, user: User) -> None:
    """Conflict while anything is in it."""
    require(user, folder.team, Role.EDITOR)
    if folder.threads.exists() or folder.children.exists():
        raise Conflict(f"The folder {folder.name} is not empty; move what is in it first.")
    record(user=user, verb="deleted", target=folder)
    folder.delete()


def _checked_settings(given: dict[str, Any]) -> dict[str, Any]:
    unknown = set(given) - {"type", "description", "timeout_seconds", "enabled"}
    if unknown:
        raise InvalidInput("Some fields are not known here.", fields={name: ["There is no such field."] for name in unknown})
    if "type" in given and given["type"] not in ThreadType.values:
        raise InvalidInput.of("type", f"Use one of {', '.join(ThreadType.values)}.")
    if len(given.get("description", "")) > 5000:
        raise InvalidInput.of("description", "The description has more than 5,000 characters.")
    if "timeout_seconds" in given:
        check_timeout(given["timeout_seconds"])
    return dict(given)


def check_timeout(seconds: int) -> None:
    if not isinstance(seconds, int) or not 1 <= seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidInput.of("timeout_seconds", f"Use a whole number of seconds from 1 to {MAX_TIMEOUT_SECONDS:,} (30 days).")


def _check_folder(team: Team, folder: Folder | None) -> None:
    if folder and folder.team_id != team.pk:
        raise InvalidInput.of("folder", "That folder belongs to another team.")


def _source_of(source: str | None, script: Upload | None) -> str | None:
    if script is not None:
        check_filename(script.name, "script", frozenset({".py"}))
        return check_script(script.content)
    if source is None:
        return None
    text = decode_source(source.encode("utf-8", "surrogatepass"), "source")
    check_syntax(text, "source")
    return text


def _checked_files(input_file: Upload | None, extra_files: Sequence[Upload], entry: str) -> list[CheckedFile]:
    if len(extra_files) > settings.MAX_FILES:
        raise InvalidInput.of("files", f"A thread has at most {settings.MAX_FILES} files.")
    files = []
    if input_file:
        check_filename(input_file.name, "input_file", frozenset({".csv"}))
        check_csv(input_file.content)
        files.append(_stored(FileRole.INPUT, input_file))
    for upload in extra_files:
        check_filename(upload.name, "files", EXTRA_TYPES)
        _check_extra(upload)
        files.append(_stored(FileRole.EXTRA, upload))
    names = [entry, *(file.path for file in files)]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise InvalidInput.of("files", f"Two files have the name {_listed(sorted(doubled))}.")
    return files


def _check_extra(upload: Upload) -> None:
    if upload.name.lower().endswith(".py"):
        if upload.content.strip():  # An empty __init__.py is a good module.
            check_script(upload.content, "files")
    elif len(upload.content) > settings.MAX_FILE_BYTES:
        raise InvalidInput.of("files", f"{upload.name} has {len(upload.content):,} bytes; {settings.MAX_FILE_BYTES:,} are the most.")


def _stored(role: FileRole, upload: Upload) -> CheckedFile:
    return CheckedFile(role=role, path=upload.name, digest=blobs.store(upload.content), size_bytes=len(upload.content))


def _files_of(version: ThreadVersion | None) -> list[CheckedFile]:
    if version is None:
        return []
    return [CheckedFile(FileRole(file.role), file.path, file.digest, file.size_bytes) for file in version.files.all()]


def _add_version(thread: Thread, user: User, source: str, files: Sequence[CheckedFile], *, filename: str, message: str) -> ThreadVersion:
    # The lock makes two who save at once get two numbers.
    Thread.objects.select_for_update().get(pk=thread.pk)
    newest = thread.versions.aggregate(number=Max("number"))["number"] or 0
    version = ThreadVersion.objects.create(
        thread=thread, number=newest + 1, source=source, filename=filename, message=message[:200], created_by=user
    )
    VersionFile.objects.bulk_create(
        VersionFile(version=version, role=file.role, path=file.path, digest=file.digest, size_bytes=file.size_bytes) for file in files
    )
    thread.current_version = version
    thread.save(update_fields=["current_version", "updated_at"])
    record(user=user, verb="saved version of", target=thread, number=version.number)
    return version


def _free_safe_name(team: Team, folder: Folder | None, name: str, but: Thread | None = None) -> str:
    # Names are chosen one after another within a team: the loser of a race gets the next suffix, not an error.
    Team.objects.select_for_update().get(pk=team.pk)
    slug = safe_name(name, "thread")
    taken = Thread.objects.filter(team=team, folder=folder, safe_name__startswith=slug[:50]).exclude(pk=but.pk if but else 0)
    return first_free(slug, set(taken.values_list("safe_name", flat=True)))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
