"""Threads, drafts, versions and folders over the API."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Length
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import fetch, team_for, team_named
from accounts.authentication import caller
from accounts.models import Team, User
from accounts.roles import Role
from core.api import CursorPages
from core.endpoint import WITH_FILES, Endpoint, Nothing, call
from core.errors import InvalidInput, NotFound
from threads import services
from threads.models import Folder, Thread, ThreadDraft, ThreadVersion, Variable
from threads.querysets import named
from threads.shapes import (
    DraftBody,
    DraftShape,
    FolderBody,
    FolderQuery,
    FolderShape,
    FullVersionShape,
    NewThreadBody,
    PublishBody,
    ThreadBody,
    ThreadQuery,
    ThreadShape,
    ThreadUpload,
    VersionShape,
)
from threads.summaries import Summaries, no_summaries
from threads.uploads import read_uploads
from threads.variables import put_variables

# A page of the list ends early when its sources are larger than this together: 200 of the largest would be 200 MB.
MAX_SOURCES = 4 * 1024 * 1024


class ThreadPages(CursorPages):
    most_weight = MAX_SOURCES

    @staticmethod
    def weigh(rows: Sequence[Thread]) -> list[int]:
        versions = ThreadVersion.objects.filter(pk__in=[row.current_version_id for row in rows if row.current_version_id])
        sizes = dict(versions.values_list("pk", Length("source")))
        return [sizes.get(row.current_version_id, 0) for row in rows]


class ThreadEndpoint(Endpoint):
    """`summaries` tells of the threads' runs, which are kept in a room above."""

    summaries: Summaries = staticmethod(no_summaries)

    def shown(self, threads: Sequence[Thread]) -> Any:
        return ThreadShape(threads, many=True, context={"summaries": self.summaries(threads)}).data

    def one(self, thread: Thread, status: int = 200) -> Response:
        [shown] = self.shown([_complete(Thread.objects.filter(pk=thread.pk)).get()])
        return self.made(shown, f"threads/{thread.pk}") if status == 201 else Response(shown)

    @property
    def is_upload(self) -> bool:
        return (self.request.content_type or "").startswith("multipart/")


def _complete(rows: "QuerySet[Thread]") -> "QuerySet[Thread]":
    rows = rows.select_related("team", "current_version", "environment", "environment_build")
    rows = rows.defer("environment__lock", "environment__packages", "environment_build__log", "environment_build__requirements")
    return rows.prefetch_related("current_version__files", Prefetch("variables", Variable.objects.defer("sealed")))


class Threads(ThreadEndpoint):
    pagination_class = ThreadPages

    @call("List threads", query=ThreadQuery, answer=ThreadShape, many=True)
    def get(self, request: Request) -> Response:
        """Newest first. A page has fewer than `limit` when their sources are large; `next` goes on from there."""
        rows = _filtered(Thread.objects.visible_to(request.user), caller(request), self.query)
        return self.paged(_complete(rows).defer("current_version__source"), self._with_sources)

    def _with_sources(self, threads: Sequence[Thread]) -> Any:
        """Sources are read once it is known how many of them a page has."""
        versions = {thread.current_version.pk: thread.current_version for thread in threads if thread.current_version}
        for pk, source in ThreadVersion.objects.filter(pk__in=versions).values_list("pk", "source"):
            versions[pk].source = source
        return self.shown(threads)

    @call("Create a thread", body={"application/json": NewThreadBody, "multipart/form-data": ThreadUpload}, answer=ThreadShape, status=201,
          refusals=WITH_FILES)  # fmt: skip
    def post(self, request: Request) -> Response:
        """From JSON (`name` and `source` suffice) or a form with files (`script` suffices)."""
        given = self.body(ThreadUpload if self.is_upload else NewThreadBody)
        user = caller(request)
        team = team_for(user, given.pop("team", None), Role.EDITOR)
        given["folder"] = _folder(user, team, given["folder"])
        if given.pop("remove", None):
            raise InvalidInput.of("remove", "A new thread has no files to take away.")
        uploads, env = _uploads(given), given.pop("env", None)
        thread = _with_env(lambda: services.create_thread(team=team, user=user, **given, **uploads), env, user)
        return self.one(thread, status=201)


def _filtered(rows: "QuerySet[Thread]", user: User, wanted: dict[str, Any]) -> "QuerySet[Thread]":
    if "team" in wanted:
        rows = rows.filter(team=team_named(user, wanted["team"]))
    if "folder" in wanted:
        rows = rows.filter(folder=wanted["folder"] or None)
    rows = rows.filter(**{name: wanted[name] for name in ("type", "enabled", "safe_name") if name in wanted})
    return named(rows, wanted.get("q", ""))


def _folder(user: User, team: Team, pk: int | None, field: str = "folder") -> Folder | None:
    if pk is None:
        return None
    folder = Folder.objects.visible_to(user).filter(team=team, pk=pk).first()
    if folder is None:
        raise InvalidInput.of(field, f"There is no folder {pk} in {team.name}.")
    return folder


def _with_env(verb: Callable[[], Thread], env: dict[str, Any] | None, user: User) -> Thread:
    """What the verb gives, and its variables with it when there are some: both or neither."""
    if env is None:
        return verb()
    with transaction.atomic():
        thread = verb()
        put_variables(thread=thread, user=user, given=env)
    return thread


def _uploads(given: dict[str, Any]) -> dict[str, Any]:
    """The files, taken out of what was given, as the services want them."""
    return read_uploads(given.pop("script", None), given.pop("input_file", None), given.pop("files", ()))


class OneThread(ThreadEndpoint):
    @call("Read a thread", answer=ThreadShape)
    def get(self, request: Request, pk: int) -> Response:
        return self.one(_thread(request, pk))

    @call("Replace a thread", body=ThreadBody, answer=ThreadShape, refusals=WITH_FILES)
    def put(self, request: Request, pk: int) -> Response:
        """All that can be set; what is left out gets its default, and another `source` is a new version. Files stay."""
        return self._change(request, pk, partial=False)

    @call("Change a thread", body={"application/json": ThreadBody, "multipart/form-data": ThreadUpload}, answer=ThreadShape,
          refusals=WITH_FILES)  # fmt: skip
    def patch(self, request: Request, pk: int) -> Response:
        """What is sent. Another `source`, and files of a form, make a new version."""
        return self._change(request, pk, partial=True)

    @call("Delete a thread", status=204, refusals=WITH_FILES)
    def delete(self, request: Request, pk: int) -> Response:
        """With its versions, draft and schedules; its runs stay in the history. 409 while a process uses it."""
        services.delete_thread(thread=_thread(request, pk, Role.EDITOR), user=caller(request))
        return Response(status=204)

    def _change(self, request: Request, pk: int, *, partial: bool) -> Response:
        thread, user = _thread(request, pk, Role.EDITOR), caller(request)
        given = self.body(ThreadUpload if self.is_upload and partial else ThreadBody, partial=partial)
        if given.pop("team", thread.team.slug) != thread.team.slug:
            raise InvalidInput.of("team", "A thread stays in its team.")
        if "folder" in given:
            given["folder"] = _folder(user, thread.team, given["folder"])
        uploads, env = _uploads(given), given.pop("env", None)
        return self.one(_with_env(lambda: services.change_thread(thread=thread, user=user, **given, **uploads), env, user))


def _thread(request: Request, pk: int, needed: Role = Role.VIEWER) -> Thread:
    return fetch(Thread.objects.select_related("team", "current_version"), caller(request), needed, pk=pk)


class Draft(Endpoint):
    @call("Read the draft", answer=DraftShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(DraftShape(ThreadDraft.objects.select_related("updated_by").get(thread=_thread(request, pk))).data)

    @call("Save the draft", body=DraftBody, answer=DraftShape, refusals=WITH_FILES)
    def patch(self, request: Request, pk: int) -> Response:
        """As it was typed, whether it compiles or not. 409 when it was saved elsewhere since `revision`: nothing is overwritten then."""
        draft = services.save_draft(thread=_thread(request, pk, Role.EDITOR), user=caller(request), **self.body(DraftBody))
        return Response(DraftShape(draft).data)


class Publish(Endpoint):
    @call("Make the draft a version", body=PublishBody, answer=FullVersionShape, status=201, refusals=WITH_FILES)
    def post(self, request: Request, pk: int) -> Response:
        """From now on it is what runs. 400 with line and column when it does not compile."""
        version = services.publish(thread=_thread(request, pk, Role.EDITOR), user=caller(request), **self.body(PublishBody))
        return Response(FullVersionShape(version).data, status=201)


class Versions(Endpoint):
    @call("List versions", answer=VersionShape, many=True)
    def get(self, request: Request, pk: int) -> Response:
        """Newest first, without their sources."""
        rows = _thread(request, pk).versions.defer("source").select_related("created_by").prefetch_related("files")
        return self.paged(rows, lambda found: VersionShape(found, many=True).data)


class OneVersion(Endpoint):
    @call("Read a version", answer=FullVersionShape)
    def get(self, request: Request, pk: int, number: int) -> Response:
        return Response(FullVersionShape(_version(_thread(request, pk), number)).data)


class Restore(Endpoint):
    @call("Restore a version", answer=FullVersionShape, status=201)
    def post(self, request: Request, pk: int, number: int) -> Response:
        """Makes a new version that equals the old one, and the draft as well."""
        version = _version(_thread(request, pk, Role.EDITOR), number)
        self.body(Nothing)
        return Response(FullVersionShape(services.restore_version(version=version, user=caller(request))).data, status=201)


def _version(thread: Thread, number: int) -> ThreadVersion:
    version = thread.versions.select_related("created_by", "thread__team").prefetch_related("files").filter(number=number).first()
    if version is None:
        raise NotFound
    return version


class Folders(Endpoint):
    @call("List folders", query=FolderQuery, answer=FolderShape, many=True)
    def get(self, request: Request) -> Response:
        rows = Folder.objects.visible_to(request.user).select_related("team")
        if "team" in self.query:
            rows = rows.filter(team=team_named(caller(request), self.query["team"]))
        if "parent" in self.query:
            rows = rows.filter(parent=self.query["parent"] or None)
        return self.paged(rows, lambda found: FolderShape(found, many=True).data)

    @call("Create a folder", body=FolderBody, answer=FolderShape, status=201)
    def post(self, request: Request) -> Response:
        user, given = caller(request), self.body(FolderBody)
        team = team_for(user, given.get("team"), Role.EDITOR)
        parent = _folder(user, team, given.get("parent"), "parent")
        return Response(FolderShape(services.create_folder(team=team, user=user, name=given["name"], parent=parent)).data, status=201)


class OneFolder(Endpoint):
    @call("Read a folder", answer=FolderShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(FolderShape(fetch(Folder.objects.select_related("team"), caller(request), pk=pk)).data)

    @call("Delete a folder", status=204, refusals=WITH_FILES)
    def delete(self, request: Request, pk: int) -> Response:
        """409 while anything is in it."""
        services.delete_folder(
            folder=fetch(Folder.objects.select_related("team"), caller(request), Role.EDITOR, pk=pk), user=caller(request)
        )
        return Response(status=204)
