"""Verbs about threads: create, change, draft, publish, restore, delete, put into folders.

What takes time (compiling, reading files, the disk) is done before a transaction begins; see `threads.uploads`.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Max, ProtectedError
from django.utils import timezone

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.checks import check_description, check_known, is_whole, operators_fault
from core.errors import Conflict, InvalidInput, NotFound
from core.names import clean_name, first_free, safe_name
from environments.wishes import check_python, clean_requirements
from events.services import publish as publish_event
from threads.building import settle_environment
from threads.checks import check_syntax, decode_source
from threads.limits import LIMITS, MAX_TIMEOUT_SECONDS, limit_faults
from threads.models import Folder, Thread, ThreadDraft, ThreadType, ThreadVersion, VersionFile
from threads.repeats import REPEATS, repeat_faults
from threads.uploads import FIRST_FILENAME, CheckedFile, Content, Upload, check_content, files_of, laid_together, name_from

FIRST_SOURCE = '"""What this script does, in a sentence."""\n\nprint("Hello from PyScheduler")\n'
SETTINGS = ("type", "description", "timeout_seconds", *LIMITS, "network", "enabled")
# What the environment is made of; it has a form of its own.
ENVIRONMENT = ("python_version", "requirements")


def create_thread(
    *,
    team: Team,
    user: User,
    name: str = "",
    folder: Folder | None = None,
    source: str | None = None,
    script: Upload | None = None,
    input_file: Upload | None = None,
    extra_files: Sequence[Upload] = (),
    **settings_given: Any,
) -> Thread:
    """A new thread. With `script` or `source` it has version 1 and can run; with neither a draft to begin with.

    Without a name it takes the script's. `settings_given`: those of `SETTINGS`, `REPEATS` and `ENVIRONMENT`.
    """
    require(user, team, Role.EDITOR)
    name = clean_name(name or (name_from(script) if script else ""))
    fields = _checked_fields(team, {"folder": folder, **settings_given})
    content = check_content(source, script, input_file, extra_files)
    if content.files and content.source is None:
        raise InvalidInput.of("script", "Files go with a script; upload the .py file too.")
    with transaction.atomic():
        thread = Thread.objects.create(team=team, name=name, safe_name=_free_safe_name(team, folder, name), created_by=user, **fields)
        ThreadDraft.objects.create(thread=thread, source=FIRST_SOURCE if content.source is None else content.source, updated_by=user)
        record(user=user, verb="created", target=thread)
        if content.source is not None:
            filename = content.filename or FIRST_FILENAME
            files = laid_together(filename, (), content.files)
            _add_version(thread, user, content.source, files, filename=filename, message="First version")
        settle_environment(thread, user=user)
        _tell(thread)
    return thread


def change_thread(
    *,
    thread: Thread,
    user: User,
    source: str | None = None,
    script: Upload | None = None,
    input_file: Upload | None = None,
    extra_files: Sequence[Upload] = (),
    remove: Sequence[str] = (),
    **changes: Any,
) -> Thread:
    """Change `name`, `folder` or settings; another source, and files, make a new version. All of it or nothing.

    Files take the place of those of the same kind or name; `remove` names those to take away. A new name gives a new
    safe name: triggers that use the old one stop working.
    """
    require(user, thread.team, Role.EDITOR)
    fields = _checked_fields(thread.team, changes)
    content = check_content(source, script, input_file, extra_files)
    with transaction.atomic():
        row = _locked(thread)
        if fields:
            _change_fields(row, user, fields)
        if content != Content() or remove:
            _change_content(row, user, content, remove)
        settle_environment(row, user=user)
        _tell(row)
    return row


def save_draft(*, thread: Thread, user: User, source: str, revision: int | None = None) -> ThreadDraft:
    """Keep what somebody typed, whether it compiles or not.

    `revision` is the one the typing began from; Conflict when another tab or person saved since. None overwrites.
    """
    require(user, thread.team, Role.EDITOR)
    if source.strip():
        source = decode_source(source.encode("utf-8", "surrogatepass"), "source")
    with transaction.atomic():
        if not _put_draft(thread, user, source, revision):
            if not ThreadDraft.objects.filter(thread=thread).exists():
                raise NotFound
            raise Conflict("This draft was changed elsewhere since you opened it; reload to see it, your text is not saved over it.")
        return ThreadDraft.objects.get(thread=thread)


def publish(*, thread: Thread, user: User, message: str = "") -> ThreadVersion:
    """Make the draft a version. InvalidInput when it does not compile; the draft stays as it is then."""
    require(user, thread.team, Role.EDITOR)
    draft = ThreadDraft.objects.filter(thread=thread).first()
    if draft is None:
        raise NotFound
    check_syntax(draft.source, "source")
    with transaction.atomic():
        row = _locked(thread)
        current = row.current_version
        filename = current.filename if current else FIRST_FILENAME
        version = _add_version(row, user, draft.source, files_of(current), filename=filename, message=message)
        settle_environment(row, user=user)
        _tell(row)
    return version


def restore_version(*, version: ThreadVersion, user: User) -> ThreadVersion:
    """A new version that equals an old one; the draft becomes it as well."""
    require(user, version.thread.team, Role.EDITOR)
    files = files_of(version)
    with transaction.atomic():
        row = _locked(version.thread)
        _put_draft(row, user, version.source)
        message = f"Restored version {version.number}"
        made = _add_version(row, user, version.source, files, filename=version.filename, message=message)
        settle_environment(row, user=user)
        _tell(row)
    return made


@transaction.atomic
def delete_thread(*, thread: Thread, user: User) -> None:
    """Gone with its versions, draft and schedules; its runs stay in the history. Conflict while a process uses it."""
    require(user, thread.team, Role.EDITOR)
    row = _locked(thread)
    users = sorted(set(row.steps.values_list("process__name", flat=True)))
    if users:
        raise Conflict(f"{row.name} is used by {_listed(users)}; remove it there first.")
    record(user=user, verb="deleted", target=row)
    _tell(row, deleted=True)
    try:
        row.delete()
    except ProtectedError:
        raise Conflict(f"{row.name} was put into a process just now; remove it there first.") from None


@transaction.atomic
def create_folder(*, team: Team, user: User, name: str, parent: Folder | None = None) -> Folder:
    require(user, team, Role.EDITOR)
    name = clean_name(name)
    if parent and parent.team_id != team.pk:
        raise InvalidInput.of("parent", "That folder belongs to another team.")
    _take_turns(team)
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


def timeout_fault(seconds: Any) -> str | None:
    """What is wrong with a timeout, None when nothing is."""
    if is_whole(seconds, 1, MAX_TIMEOUT_SECONDS):
        return operators_fault("timeout_seconds", seconds, "seconds")
    return f"Use a whole number of seconds from 1 to {MAX_TIMEOUT_SECONDS:,} (30 days)."


def _checked_fields(team: Team, given: dict[str, Any]) -> dict[str, Any]:
    check_known(given, ("name", "folder", *SETTINGS, *REPEATS, *ENVIRONMENT))
    if given.get("folder") and given["folder"].team_id != team.pk:
        raise InvalidInput.of("folder", "That folder belongs to another team.")
    if "type" in given and given["type"] not in ThreadType.values:
        raise InvalidInput.of("type", f"Use one of {', '.join(ThreadType.values)}.")
    check_description(given.get("description", ""))
    check_python(given.get("python_version", ""))
    clean_requirements(given.get("requirements", ""))
    if "timeout_seconds" in given and (fault := timeout_fault(given["timeout_seconds"])):
        raise InvalidInput.of("timeout_seconds", fault)
    if faults := limit_faults(given) | repeat_faults(given):
        raise InvalidInput("Some limits cannot be used.", fields=faults)
    return given | ({"name": clean_name(given["name"])} if "name" in given else {})


def _locked(thread: Thread) -> Thread:
    """The row as it is now, ours until we commit; NotFound when it is gone. Two who save at once get two numbers.

    Without its key: who only refers to it, as a run that is being queued does, need not wait.
    """
    rows = Thread.objects.select_related("team", "folder", "current_version").select_for_update(of=("self",), no_key=True)
    row = rows.filter(pk=thread.pk).first()
    if row is None:
        raise NotFound
    return row


def _change_fields(row: Thread, user: User, fields: dict[str, Any]) -> None:
    name, folder = fields.get("name", row.name), fields.get("folder", row.folder)
    if (name, folder) != (row.name, row.folder):
        fields = {**fields, "safe_name": _free_safe_name(row.team, folder, name, but=row)}
    for field, value in fields.items():
        setattr(row, field, value)
    row.save(update_fields=[*fields, "updated_at"])
    record(user=user, verb="changed", target=row, fields=sorted(fields))


def _change_content(row: Thread, user: User, content: Content, remove: Sequence[str]) -> None:
    """A new version with what was given; none when it was the source alone and the thread has the same."""
    current = row.current_version
    changes_files = bool(content.files or content.filename or remove)
    if content.source is not None:
        if current and current.source == content.source and not changes_files:
            return
        source, filename = content.source, content.filename or (current.filename if current else FIRST_FILENAME)
        _put_draft(row, user, source)
    elif current is not None:
        source, filename = current.source, current.filename
    else:
        raise InvalidInput.of("script", "Save the script first, then add files to it.")
    files = laid_together(filename, files_of(current), content.files, remove)
    _add_version(row, user, source, files, filename=filename, message="Files changed" if changes_files else "")


def _put_draft(thread: Thread, user: User, source: str, revision: int | None = None) -> bool:
    """The draft's one UPDATE; False when it is not at `revision` any more."""
    drafts = ThreadDraft.objects.filter(thread=thread)
    if revision is not None:
        drafts = drafts.filter(revision=revision)
    return bool(drafts.update(source=source, revision=F("revision") + 1, updated_by=user, updated_at=timezone.now()))


def _add_version(row: Thread, user: User, source: str, files: Sequence[CheckedFile], *, filename: str, message: str) -> ThreadVersion:
    """`row` is new, or locked."""
    newest = row.versions.aggregate(number=Max("number"))["number"] or 0
    version = ThreadVersion.objects.create(
        thread=row, number=newest + 1, source=source, filename=filename, message=message[:200], created_by=user
    )
    VersionFile.objects.bulk_create(
        VersionFile(version=version, role=file.role, path=file.path, digest=file.digest, size_bytes=file.size_bytes) for file in files
    )
    row.current_version = version
    row.save(update_fields=["current_version", "updated_at"])
    record(user=user, verb="saved version of", target=row, number=version.number)
    return version


def _take_turns(team: Team) -> None:
    """Names are chosen one after another within a team: the loser of a race gets the next suffix, not an error."""
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)


def _free_safe_name(team: Team, folder: Folder | None, name: str, but: Thread | None = None) -> str:
    _take_turns(team)
    slug = safe_name(name, "thread")
    taken = Thread.objects.filter(team=team, folder=folder, safe_name__startswith=slug[:50]).exclude(pk=but.pk if but else 0)
    return first_free(slug, set(taken.values_list("safe_name", flat=True)))


def _tell(thread: Thread, **more: Any) -> None:
    """The streams are told what the thread is like now."""
    version = thread.current_version
    publish_event(
        "thread",
        thread.pk,
        team_id=thread.team_id,
        id=thread.pk,
        name=thread.name,
        safe_name=thread.safe_name,
        enabled=thread.enabled,
        version=version.number if version else None,
        **more,
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
