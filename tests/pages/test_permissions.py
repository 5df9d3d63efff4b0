"""Every page × everybody who may come to it. An address that DOORS does not list fails the first test."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from accounts.models import User
from accounts.roles import RANKS, Role
from core.errors import Forbidden, NotFound
from pyscheduler.web.gate import Credentials, NotAuthenticated, admit, check_origin
from tests.api.world import ALL, OPEN, World, build
from tests.conftest import People

OPERATOR = "an operator"
VIEWER, RUNNER, EDITOR = Role.VIEWER, Role.RUNNER, Role.EDITOR
ROLES = [role.value for role in Role]
# The API has a matrix of its own; the admin is the last part of this file.
ELSEWHERE = ("api/v1/", "admin/")


@dataclass(frozen=True)
class Door:
    """`path` and `data` name things of the world in braces; `data` is good for the page. `needs`: a role of the team, or who
    else. `status`: what is said to who may; `stranger`: to a member of another team."""

    method: str
    path: str
    needs: Role | str
    status: int = 200
    data: dict[str, Any] = field(default_factory=dict, hash=False)
    stranger: int = 404

    def __str__(self) -> str:
        return f"{self.method} /{self.path}"


def seen(path: str, needs: Role | str, stranger: int = 404) -> Door:
    return Door("GET", path, needs, stranger=stranger)


def done(path: str, needs: Role | str, stranger: int = 404, status: int = 302, **data: Any) -> Door:
    return Door("POST", path, needs, status, data, stranger)


# A stranger is an owner elsewhere: what makes something new makes it there (302), or takes none of this team's things (422).
DOORS = [
    seen("", ALL),
    done("logout", ALL),
    seen("threads/", ALL),
    done("threads/new", EDITOR, 302, **{"new-name": "New", "new-team": "weather"}),
    done("threads/upload", EDITOR, 302, **{"upload-script": ("a.py", b"print(1)\n"), "upload-team": "weather"}),
    done("threads/folders/new", EDITOR, 302, **{"folder-name": "New", "folder-team": "weather"}),
    done("threads/folders/{folder}/delete", EDITOR),
    seen("threads/{thread}", VIEWER),
    done("threads/{thread}/draft", EDITOR, status=200, source="x = 1\n", revision="any"),
    done("threads/{thread}/save", EDITOR, source="x = 1\n", revision="any"),
    done("threads/{thread}/settings", EDITOR, name="Other", type="data", timeout_seconds="60", retries="0", retry_delay_seconds="10"),
    seen("threads/variables", ALL),
    done("threads/variables", EDITOR, team="weather", name="MODE", value="x"),
    done("threads/variables/{variable}/delete", EDITOR),
    done("threads/{thread}/variables", EDITOR, name="MODE", value="x"),
    seen("threads/{thread}/environment", VIEWER),
    done("threads/{thread}/environment/set", EDITOR, python_version="", requirements=""),
    done("threads/{thread}/environment/rebuild", EDITOR),
    done("threads/{thread}/requirements", EDITOR, package="six"),
    seen("environments/", ALL),
    done("environments/{environment}/check", OPERATOR),
    done("environments/{environment}/rebuild", OPERATOR),
    done("environments/collect", OPERATOR, stranger=403),
    seen("threads/{thread}/delete", EDITOR),
    done("threads/{thread}/delete", EDITOR),
    seen("threads/{thread}/runs", VIEWER),
    seen("threads/{thread}/versions", VIEWER),
    seen("threads/{thread}/versions/1", VIEWER),
    done("threads/{thread}/versions/1/restore", EDITOR),
    seen("threads/{thread}/versions/1/files/main.py", VIEWER),
    done("threads/{thread}/files", EDITOR, input_file=("rows.csv", b"a,b\n1,2\n")),
    seen("processes/", ALL),
    seen("processes/new", EDITOR, stranger=200),
    done(
        "processes/new",
        EDITOR,
        422,
        **{"name": "New", "team": "weather", "step-key": "k", "step-thread": "{thread}", "step-beside": "0"},
        **{"step-on_failure": "stop", "step-timeout": ""},
    ),
    seen("processes/{process}", VIEWER),
    done("processes/{process}", EDITOR, name="Other", enabled="on"),
    seen("processes/{process}/runs", VIEWER),
    seen("processes/{process}/delete", EDITOR),
    done("processes/{process}/delete", EDITOR),
    seen("processes/library/weather", EDITOR),
    seen("processes/step/{thread}", EDITOR),
    seen("schedules/", ALL),
    seen("schedules/new", EDITOR, stranger=200),
    done("schedules/new", EDITOR, 422, target="process:{process}", kind="cron", cron="0 7 * * *", timezone="UTC", enabled="on"),
    done("schedules/preview", ALL, status=200, kind="cron", cron="0 7 * * *", timezone="UTC"),
    seen("schedules/{schedule}", VIEWER),
    seen("schedules/{schedule}/edit", EDITOR),
    done("schedules/{schedule}/edit", EDITOR, name="Other", target="process:{process}", kind="manual", timezone="UTC", enabled="on"),
    done("schedules/{schedule}/toggle", EDITOR),
    done("schedules/{schedule}/skip-next", EDITOR),
    done("schedules/{schedule}/clone", EDITOR),
    seen("schedules/{schedule}/pause", EDITOR),
    done("schedules/{schedule}/pause", EDITOR, reason="New disks"),
    done("schedules/{schedule}/pauses/{pause}/end", EDITOR),
    seen("schedules/stop", OPERATOR, stranger=403),
    done("schedules/stop", OPERATOR, stranger=403, reason="New disks"),
    done("schedules/start", OPERATOR, stranger=403),
    done("schedules/{schedule}/run", RUNNER),
    seen("schedules/{schedule}/delete", EDITOR),
    done("schedules/{schedule}/delete", EDITOR),
    seen("history/", ALL),
    done("history/start/thread/{thread}", RUNNER),
    done("history/start/process/{process}", RUNNER),
    seen("history/{run}", VIEWER),
    done("history/{run}/stop", RUNNER),
    done("history/{run}/pause", RUNNER, status=409),
    done("history/{run}/resume", RUNNER, status=409),
    done("history/{run}/again", RUNNER),
    done("history/{run}/retry", RUNNER, status=409),
    seen("history/{run}/log", VIEWER),
    seen("history/{run}/files.zip", VIEWER),
    seen("history/{run}/files/out/table.csv", VIEWER),
    seen("health/", ALL),
    seen("health/banner", ALL),
    done("health/isolation", OPERATOR, stranger=403),
    done("health/isolation/least", OPERATOR, stranger=403, team="{team}", min_isolation="landlock", isolation_binds="editor"),
    done("health/maintenance", OPERATOR, stranger=403, reason="New disks"),
    done("health/maintenance/end", OPERATOR, stranger=403),
    seen("demo/", OPEN),
    seen("demo/oslo.html", OPEN),
]
# Who is logged in is led on; its own test is below.
LOG_IN = {("GET", "login"), ("POST", "login")}


@pytest.fixture
def world(people: People) -> World:
    return build(people)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def enter(user: Any, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def knock(client: Client, door: Door, world: World) -> Any:
    """The answer, read to its end."""
    path = "/" + door.path.format(**world.ids)
    answer = client.get(path) if door.method == "GET" else client.post(path, _filled(door.data, world))
    if answer.streaming:
        answer.body = b"".join(answer.streaming_content)
    return answer


def _filled(data: dict[str, Any], world: World) -> dict[str, Any]:
    files = {name: SimpleUploadedFile(*value) for name, value in data.items() if isinstance(value, tuple)}
    return files | {name: value.format(**world.ids) for name, value in data.items() if name not in files}


def _routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route, pattern


def _methods(client: Client, route: str, pattern: URLPattern) -> set[str]:
    """What a page answers: class views say so themselves, the others when they refuse."""
    view = getattr(pattern.callback, "view_class", None)
    if view:
        return {name.upper() for name in ("get", "post") if name in view.http_method_names and hasattr(view, name)}
    answer = client.options("/" + re.sub(r"<(?:int:)?\w+>|<\w+:\w+>", "1", route))
    assert answer.status_code == 405, f"{route} takes any method"
    return {name.strip() for name in answer["Allow"].split(",")} & {"GET", "POST"}


def test_every_page_and_method_is_listed(people: People, world: World) -> None:
    client = enter(people.operator)
    there = {
        (method, route)
        for route, pattern in _routes(get_resolver().url_patterns)
        if not route.startswith(ELSEWHERE)
        for method in _methods(client, route, pattern)
    }
    listed = {(door.method, resolve("/" + door.path.format(**world.ids)).route) for door in DOORS}
    assert there == listed | LOG_IN


def _expected(door: Door) -> dict[str, int]:
    if door.needs == OPERATOR:
        return dict.fromkeys(ROLES, 403) | {"operator": door.status, "stranger": door.stranger}
    everybody = door.needs in (ALL, OPEN)
    told = {role: door.status if everybody or RANKS[Role(role)] >= RANKS[Role(door.needs)] else 403 for role in ROLES}
    return told | {"operator": door.status, "stranger": door.status if everybody else door.stranger}


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_each_page_serves_whom_it_should(door: Door, people: People, world: World, client: Client) -> None:
    with undone():
        answer = knock(client, door, world)
        if door.needs == OPEN:
            assert answer.status_code == door.status
        else:
            assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login")
    for name, status in _expected(door).items():
        with undone():
            assert knock(enter(people.named(name)), door, world).status_code == status, name


@pytest.mark.parametrize("door", [door for door in DOORS if isinstance(door.needs, Role)], ids=str)
def test_nothing_is_said_to_a_stranger_of_what_there_is(door: Door, people: People, world: World) -> None:
    """Names of this team's things appear in no answer, and what is there is answered like what is not."""
    with undone():
        answer = knock(enter(people.stranger), door, world)
    words = getattr(answer, "body", None) or answer.content
    assert not re.search(rb"[Ww]eather|Reports|>Free<|>Used<|>Nightly<|>Daily<|a,b", words)
    if answer.status_code == 404:
        nowhere = World({**dict.fromkeys(world.ids, 10**9)})
        with undone():
            assert _without_tokens(knock(enter(people.stranger), door, nowhere)) == _without_tokens(answer)


def _without_tokens(answer: Any) -> str:
    return re.sub(r"""(csrfmiddlewaretoken" value="|X-CSRFToken": ")\w+""", "", answer.content.decode())


@pytest.mark.parametrize("door", [door for door in DOORS if door.method == "POST"], ids=str)
def test_no_verb_without_the_token_of_the_form(door: Door, people: People, world: World) -> None:
    client = enter(people.operator, enforce_csrf_checks=True)
    with undone():
        assert knock(client, door, world).status_code == 403


@pytest.mark.parametrize("door", [door for door in DOORS if isinstance(door.needs, Role)], ids=str)
def test_who_was_taken_out_of_the_team_or_shut_out_is_a_stranger(door: Door, people: People, world: World) -> None:
    left, shut_out = enter(people.editor), enter(people.owner)
    people.editor.memberships.all().delete()
    User.objects.filter(pk=people.owner.pk).update(is_active=False)
    with undone():
        # Without any team there is none to make something new in.
        assert knock(left, door, world).status_code == (404 if door.stranger == 404 else 403)
    with undone():
        assert knock(shut_out, door, world)["Location"].startswith("/login?next=")


def test_the_log_in_is_for_who_is_not_logged_in(people: People, client: Client) -> None:
    assert client.get("/login").status_code == 200
    assert client.post("/login", {"username": "viewer", "password": "secret"})["Location"] == "/"
    assert client.get("/login")["Location"] == "/"


def test_downloads_are_data_and_never_pages(people: People, world: World) -> None:
    """A script's own words must not act on our address."""
    of_run = (f"history/{{run}}/{path}" for path in ("log", "files.zip", "files/out/table.csv"))
    client = enter(people.viewer)
    for path in (*of_run, "threads/{thread}/versions/1/files/main.py"):
        answer = knock(client, seen(path, VIEWER), world)
        assert answer["Content-Disposition"].startswith("attachment")
        assert "sandbox" in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"


# The live stream: the web server asks `admit` before Django's handler sees anything, and outside any transaction.

OUTSIDE = pytest.mark.django_db(transaction=True)


def session_of(user: Any) -> Credentials:
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return Credentials(None, session.session_key)


@OUTSIDE
@pytest.mark.parametrize("role", [*ROLES, "operator"])
def test_who_may_see_a_run_may_listen_to_it(people: People, world: World, role: str) -> None:
    run = world.ids["run"]
    visitor = admit(session_of(people.named(role)), frozenset({run}))
    assert list(visitor.runs) == [run]
    assert visitor.teams == (None if role == "operator" else frozenset({people.team.pk}))


@OUTSIDE
def test_a_stranger_hears_of_his_own_team_alone(people: People, world: World) -> None:
    stranger = session_of(people.stranger)
    assert admit(stranger, frozenset()).teams == frozenset({people.other_team.pk})
    with pytest.raises(NotFound):
        admit(stranger, frozenset({world.ids["run"]}))


@OUTSIDE
@pytest.mark.parametrize("credentials", [Credentials(None, ""), Credentials(None, "no-such-session"), Credentials("psk_wrong", "")])
def test_nobody_listens_without_a_log_in(people: People, world: World, credentials: Credentials) -> None:
    with pytest.raises(NotAuthenticated):
        admit(credentials, frozenset({world.ids["run"]}))


@OUTSIDE
def test_who_was_shut_out_listens_no_more(people: People) -> None:
    held = session_of(people.viewer)
    User.objects.filter(pk=people.viewer.pk).update(is_active=False)
    with pytest.raises(NotAuthenticated):
        admit(held, frozenset())


def test_pages_of_other_sites_do_not_listen() -> None:
    check_origin({"host": "localhost", "origin": "http://localhost"}, "http")
    with pytest.raises(Forbidden):
        check_origin({"host": "localhost", "origin": "http://evil.example"}, "http")


# The admin

ADMIN_LOG_IN = {"admin/login/", "admin/logout/"}
LIST = re.compile(r"/admin/(?!r/|password_change/)\w+/\w+/")


def admin_pages(client: Client) -> list[str]:
    """Addresses of all its pages; those of one object with a number that no object has."""
    routes = [route for route, _ in _routes(get_resolver().url_patterns) if route.startswith("admin/")]
    filled = (re.sub(r"<path:\w+>|<int:\w+>", "999999", route) for route in routes if route not in ADMIN_LOG_IN)
    return [
        "/" + re.sub(r"\^?\(\?P<app_label>[^)]*\)|\(\?P<url>\.\*\)", "history", path).replace("$", "").replace("^", "") for path in filled
    ]


@pytest.mark.parametrize("name", ["anonymous", *ROLES, "stranger"])
def test_the_admin_is_closed_to_who_is_no_operator(people: People, name: str) -> None:
    client = Client() if name == "anonymous" else enter(people.named(name))
    pages = admin_pages(client)
    assert len(pages) > 100
    for page in pages:
        for ask in (client.get, client.post):
            answer = ask(page)
            assert (answer.status_code, "login" in answer["Location"]) == (302, True), page


def test_staff_who_is_no_operator_sees_nothing_of_the_admin(people: People) -> None:
    User.objects.filter(pk=people.viewer.pk).update(is_staff=True)
    people.viewer.user_permissions.set(Permission.objects.all())
    client = enter(people.viewer)
    lists = [page for page in admin_pages(client) if LIST.fullmatch(page)]
    assert len(lists) > 15
    assert {page: status for page in ["/admin/", *lists] if (status := client.get(page).status_code) != 302} == {}


def test_the_operator_opens_every_list_of_the_admin(people: People, world: World) -> None:
    client = enter(people.operator)
    lists = [page for page in admin_pages(client) if LIST.fullmatch(page)]
    assert {page: status for page in ["/admin/", *lists] if (status := client.get(page).status_code) != 200} == {}
