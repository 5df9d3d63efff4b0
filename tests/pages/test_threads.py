"""The pages about threads, as people in their roles meet them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from history.models import Run
from processes.models import Process
from tests.conftest import People
from threads.models import Folder, Thread
from threads.services import create_folder

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
JSON = {"Accept": "application/json"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]
SCRIPT = b"print('hello')\n"


def file(name: str, content: bytes = SCRIPT) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def upload(client: Client, **fields: Any) -> Any:
    return client.post(reverse("threads:upload"), {f"upload-{name}": value for name, value in fields.items()}, headers=PARTIAL)


# New threads


def test_a_new_thread_needs_only_a_name_and_opens_in_the_editor(people: People, as_user: AsUser) -> None:
    response = as_user(people.editor).post(reverse("threads:create"), {"new-name": "  Hello   World "})
    thread = Thread.objects.get()
    assert (thread.name, thread.safe_name, thread.folder) == ("Hello World", "hello-world", None)
    assert response["Location"] == reverse("threads:detail", args=[thread.pk])
    page = as_user(people.editor).get(response["Location"])
    assert "Hello from PyScheduler" in page.content.decode()


def test_a_new_thread_goes_into_the_chosen_folder(people: People, as_user: AsUser) -> None:
    folder = create_folder(team=people.team, user=people.editor, name="Scraping")
    as_user(people.editor).post(reverse("threads:create"), {"new-name": "Pages", "new-folder": str(folder.pk)})
    assert Thread.objects.get().folder == folder


def test_htmx_is_told_where_the_new_thread_is(people: People, as_user: AsUser) -> None:
    response = as_user(people.editor).post(reverse("threads:create"), {"new-name": "Pages"}, headers=PARTIAL)
    assert response["HX-Redirect"] == reverse("threads:detail", args=[Thread.objects.get().pk])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Give it a name."),
        ("   ", "Give it a name."),
        ("x" * 300, "The name has 300 characters; the limit is 100."),
        ("#?! *", "The name needs at least one letter or digit."),
        ("bell\x07", "control characters"),
        ("nul\x00", "Null characters are not allowed."),
    ],
)
def test_a_name_that_names_nothing_is_refused_beside_the_field_and_kept(people: People, as_user: AsUser, name: str, said: str) -> None:
    response = as_user(people.editor).post(reverse("threads:create"), {"new-name": name}, headers=PARTIAL)
    text = response.content.decode()
    assert response.status_code == 422
    assert said in text
    assert 'id="id_new-name_error"' in text
    assert not Thread.objects.exists()
    if name == "#?! *":
        assert 'value="#?! *"' in text


@pytest.mark.parametrize(("name", "safe"), [("天气预报", "thread"), ("../../etc", "etc"), ("API Call #1", "api-call-1")])
def test_names_of_all_kinds_get_a_safe_name_and_stay_as_they_were_written(people: People, as_user: AsUser, name: str, safe: str) -> None:
    as_user(people.editor).post(reverse("threads:create"), {"new-name": name})
    thread = Thread.objects.get()
    assert (thread.name, thread.safe_name) == (name, safe)
    assert safe in as_user(people.editor).get(reverse("threads:detail", args=[thread.pk])).content.decode()


def test_without_scripts_a_refused_dialog_comes_back_open_on_its_page(people: People, as_user: AsUser) -> None:
    response = as_user(people.editor).post(reverse("threads:create"), {"new-name": "?"})
    assert response.status_code == 422
    assert 'id="new-thread" aria-labelledby="new-thread-title" data-open' in response.content.decode()


# Uploads


def test_an_upload_becomes_a_thread_with_its_csv_and_modules(people: People, as_user: AsUser) -> None:
    table, module = file("pages.csv", b"address\nhttp://example.org\n"), file("helper.py", b"x = 1\n")
    upload(as_user(people.editor), script=file("fetch_pages.py"), input_file=table, files=[module, file("notes.txt", b"n")])
    thread = Thread.objects.get()
    version = thread.current_version
    assert version is not None
    assert (thread.name, thread.safe_name, version.filename) == ("fetch pages", "fetch-pages", "fetch_pages.py")
    assert list(version.files.values_list("path", "role")) == [("helper.py", "extra"), ("notes.txt", "extra"), ("pages.csv", "input")]


BAD_UPLOADS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "script", "Choose the .py file to upload."),
    ({"script": ("notes.txt", b"hello")}, "script", "is not accepted; use .py."),
    ({"script": ("a.py", b"\xff\xfe\x41")}, "script", "is not UTF-8"),
    ({"script": ("a.py", b"\x7fELF\x00\x00")}, "script", "binary file"),
    ({"script": ("a.py", b"x = 1\nif True\n")}, "script", "Line 2, column 8 does not compile"),
    ({"script": ("a.py", b"")}, "script", "The script is empty."),
    ({"script": ("a.py", b"#" * (1024 * 1024 + 1))}, "script", "the limit is 1,048,576."),
    (
        {"script": ("a.py", SCRIPT), "input_file": ("a.csv", b"a,b\n1,2,3\n")},
        "input_file",
        "Line 2 of the CSV has 3 columns, its first line has 2.",
    ),
    ({"script": ("a.py", SCRIPT), "input_file": ("a.csv", b"\x89PNG\x00")}, "input_file", "binary file, not a CSV"),
    ({"script": ("a.py", SCRIPT), "input_file": ("a.xlsx", b"PK")}, "input_file", "is not accepted; use .csv."),
    ({"script": ("a.py", SCRIPT), "files": ("a.exe", b"MZ")}, "files", "is not accepted"),
    ({"script": ("a.py", SCRIPT), "files": ("a.py", SCRIPT)}, "files", "Two files have the name a.py."),
    ({"script": ("a.py", SCRIPT), "files": (".env", b"A=1")}, "files", "is not a plain file name."),
]


@pytest.mark.parametrize(("files", "field", "said"), BAD_UPLOADS)
def test_a_bad_upload_is_refused_beside_its_field_and_the_rest_is_kept(
    people: People, as_user: AsUser, files: dict[str, tuple[str, bytes]], field: str, said: str
) -> None:
    sent = {name: file(*given) for name, given in files.items()}
    response = upload(as_user(people.editor), name="Kept as typed", **sent)
    text = response.content.decode()
    assert response.status_code == 422
    assert said in text.partition(f'id="id_upload-{field}_error"')[2]
    assert 'value="Kept as typed"' in text
    assert not Thread.objects.exists()


def test_a_file_beyond_the_limit_is_refused(people: People, as_user: AsUser, settings: Any) -> None:
    settings.MAX_FILE_BYTES = 10
    response = upload(as_user(people.editor), script=file("a.py", b"1\n"), input_file=file("a.csv", b"a,b\n1,2\n3,4\n"))
    assert "a.csv has 12 bytes; the limit is 10." in response.content.decode()


def test_more_files_than_a_thread_may_have_are_refused(people: People, as_user: AsUser) -> None:
    response = upload(as_user(people.editor), script=file("a.py"), files=[file(f"f{n}.txt", b"x") for n in range(21)])
    assert "A thread has at most 20 files." in response.content.decode()


# Settings, folders, deletion


def settings_of(thread: Thread, **changed: Any) -> dict[str, Any]:
    kept = {"name": thread.name, "type": thread.type, "description": "", "timeout_seconds": "60", "enabled": "on", "folder": ""}
    kept |= {"retries": "0", "retry_delay_seconds": "10"}
    return {name: value for name, value in {**kept, **changed}.items() if value is not None}


def test_settings_are_changed(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread, folder = make_thread(), create_folder(team=people.team, user=people.editor, name="Data")
    sent = settings_of(thread, name="Other name", type="data", enabled=None, folder=str(folder.pk))
    as_user(people.editor).post(reverse("threads:settings", args=[thread.pk]), sent)
    thread.refresh_from_db()
    assert (thread.name, thread.safe_name, thread.type, thread.enabled) == ("Other name", "other-name", "data", False)
    assert (thread.timeout_seconds, thread.folder) == (60, folder)


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"timeout_seconds": "0"}, "timeout_seconds", "from 1 to"),
        ({"timeout_seconds": "9" * 40}, "timeout_seconds", "from 1 to"),
        ({"timeout_seconds": "soon"}, "timeout_seconds", "whole number"),
        ({"name": "!!!"}, "name", "at least one letter or digit"),
        ({"type": "magic"}, "type", "magic is not one of the available choices"),
        ({"folder": "999999"}, "folder", "999999 is not one of the available choices"),
    ],
)
def test_bad_settings_are_refused_beside_their_field(
    people: People, as_user: AsUser, make_thread: Make, changed: dict[str, str], field: str, said: str
) -> None:
    thread = make_thread()
    url = reverse("threads:settings", args=[thread.pk])
    for headers in (PARTIAL, {}):
        response = as_user(people.editor).post(url, settings_of(thread, description="Keep me", **changed), headers=headers)
        assert response.status_code == 422
        assert said in response.content.decode().partition(f'id="id_{field}_error"')[2]
        assert "Keep me" in response.content.decode()


def test_a_folder_of_another_team_cannot_be_chosen(people: People, as_user: AsUser, make_thread: Make) -> None:
    theirs = create_folder(team=people.other_team, user=people.stranger, name="Theirs")
    response = as_user(people.editor).post(reverse("threads:create"), {"new-name": "X", "new-folder": str(theirs.pk)})
    assert response.status_code == 422
    assert not Thread.objects.exists()


def test_folders_nest_narrow_the_list_and_go_when_empty(people: People, as_user: AsUser, make_thread: Make) -> None:
    client = as_user(people.editor)
    client.post(reverse("threads:new_folder"), {"folder-name": "Scraping"})
    outer = Folder.objects.get()
    client.post(reverse("threads:new_folder"), {"folder-name": "Stations", "folder-folder": str(outer.pk)})
    inner = Folder.objects.get(parent=outer)
    make_thread(name="Deep one", folder=inner)
    make_thread(name="Top one")
    page = client.get(reverse("threads:list"), {"folder": outer.pk}).content.decode()
    assert "Deep one" in page
    assert "Scraping / Stations / " in page
    assert "Top one" not in page
    assert client.post(reverse("threads:delete_folder", args=[outer.pk])).status_code == 409
    Thread.objects.filter(folder=inner).delete()
    client.post(reverse("threads:delete_folder", args=[inner.pk]))
    assert list(Folder.objects.all()) == [outer]


def test_the_end_of_a_thread_says_what_is_lost_and_keeps_its_runs(
    people: People, as_user: AsUser, make_thread: Make, make_run: Make
) -> None:
    thread = make_thread()
    make_run(thread)
    client, url = as_user(people.editor), reverse("threads:delete", args=[thread.pk])
    page = client.get(url).content.decode()
    assert "1 saved version" in page
    assert "Its 1 run stay" in page
    assert Thread.objects.exists()
    client.post(url)
    assert not Thread.objects.exists()
    assert Run.objects.count() == 1


def test_a_thread_in_use_is_not_deleted_and_the_page_names_the_process(
    people: People, as_user: AsUser, make_process: Make, make_thread: Make
) -> None:
    thread = make_thread()
    make_process("Nightly", threads=[thread])
    client, url = as_user(people.editor), reverse("threads:delete", args=[thread.pk])
    process = Process.objects.get()
    assert f'is used by <a href="{reverse("processes:builder", args=[process.pk])}">Nightly</a>' in client.get(url).content.decode()
    refused = client.post(url)
    assert (refused.status_code, "Nightly</a>" in refused.content.decode()) == (409, True)
    assert process.steps.get().thread == thread


# The list


def test_the_list_is_searched_by_name_type_and_without_a_fault(people: People, as_user: AsUser, make_thread: Make) -> None:
    make_thread(name="Fetch pages", type="scraping")
    make_thread(name="Clean table", type="data")
    client, url = as_user(people.viewer), reverse("threads:list")
    found = client.get(url, {"q": "FETCH"}, headers=PARTIAL).content.decode()
    assert "Fetch pages" in found
    assert "Clean table" not in found
    assert "<html" not in found
    assert "Clean table" in client.get(url, {"type": "data"}).content.decode()
    assert "No matches" in client.get(url, {"q": "%_x"}).content.decode()
    for odd in ({"folder": "x"}, {"folder": "9" * 40}, {"type": "magic"}, {"page": "-5"}, {"q": "a\0b"}):
        assert client.get(url, odd).status_code == 200


def test_the_list_costs_the_same_queries_however_long_it_is(
    people: People, as_user: AsUser, make_thread: Make, make_run: Make, django_assert_max_num_queries: Any
) -> None:
    client = as_user(people.editor)
    for number in range(30):
        make_run(make_thread(name=f"Thread {number:02}"))
    client.get(reverse("threads:list"))
    with django_assert_max_num_queries(18):
        page = client.get(reverse("threads:list")).content.decode()
    assert page.count("Queued") >= 30


def test_a_long_list_has_pages(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread(name="Thread 00")
    Thread.objects.bulk_create(Thread(team=people.team, name=f"Thread {n:02}", safe_name=f"thread-{n}") for n in range(1, 60))
    client = as_user(people.viewer)
    first, second = (client.get(reverse("threads:list"), {"page": page}).content.decode() for page in (1, 2))
    assert thread.name in first
    assert "Page 1 of 2 · 60 threads" in first
    assert "Thread 59" in second
    assert thread.name not in second


def test_an_empty_list_says_what_to_do_next(people: People, as_user: AsUser) -> None:
    assert "Upload a script" in as_user(people.editor).get(reverse("threads:list")).content.decode()
    assert "Upload a script" not in as_user(people.viewer).get(reverse("threads:list")).content.decode()


# Running and roles


def test_a_run_is_started_with_parameters_and_shown(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    sent = {"name": ["limit", "", "who"], "value": ["10", "", "Ada"]}
    response = as_user(people.runner).post(reverse("history:start_thread", args=[thread.pk]), sent)
    run = Run.objects.get()
    assert run.parameters == {"limit": 10, "who": "Ada"}
    assert response["Location"] == reverse("history:run", args=[run.pk])


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"name": ["", "b"], "value": ["orphan", "2"]}, "Parameter 1 has a value but no name."),
        ({"name": ["a", "a"], "value": ["1", "orphan"]}, "There are two parameters"),
    ],
)
def test_bad_parameters_are_refused_and_the_rows_are_kept(people: People, as_user: AsUser, make_thread: Make, sent: Any, said: str) -> None:
    response = as_user(people.runner).post(reverse("history:start_thread", args=[make_thread().pk]), sent, headers=PARTIAL)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert 'value="orphan"' in response.content.decode()
    assert not Run.objects.exists()


def test_a_thread_that_cannot_run_says_why(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread(source=None)
    response = as_user(people.runner).post(reverse("history:start_thread", args=[thread.pk]), headers=PARTIAL)
    assert (response.status_code, "has no saved version yet" in response.content.decode()) == (422, True)


ROLES = ("stranger", "viewer", "runner", "editor", "owner", "operator")
DOORS = [
    ("get", "threads:detail", "viewer"),
    ("get", "threads:versions", "viewer"),
    ("get", "threads:runs", "viewer"),
    ("get", "threads:delete", "editor"),
    ("post", "threads:draft", "editor"),
    ("post", "threads:save", "editor"),
    ("post", "threads:settings", "editor"),
    ("post", "threads:files", "editor"),
    ("post", "threads:delete", "editor"),
    ("post", "history:start_thread", "runner"),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "view", "needed"), DOORS)
def test_each_role_may_what_it_may(
    people: People, as_user: AsUser, make_thread: Make, method: str, view: str, needed: str, role: str
) -> None:
    thread = make_thread()
    response = getattr(as_user(people.named(role)), method)(reverse(view, args=[thread.pk]))
    if role == "stranger":
        assert response.status_code == 404
    elif role != "operator" and ROLES.index(role) < ROLES.index(needed):
        assert response.status_code == 403
    else:
        assert response.status_code in (200, 302, 400, 422)


@pytest.mark.parametrize("view", ["threads:create", "threads:upload", "threads:new_folder"])
def test_who_may_not_write_anywhere_makes_nothing(people: People, as_user: AsUser, view: str) -> None:
    assert as_user(people.runner).post(reverse(view), {"new-name": "X", "folder-name": "X"}).status_code == 403
    assert not Thread.objects.exists()
    assert not Folder.objects.exists()


def test_a_viewer_sees_the_source_but_nothing_to_change_it(people: People, as_user: AsUser, make_thread: Make) -> None:
    page = as_user(people.viewer).get(reverse("threads:detail", args=[make_thread().pk])).content.decode()
    assert "readonly" in page
    for control in ("Save settings", 'name="remove"', "Upload files", 'id="save-button"', "threads:delete"):
        assert control not in page


def test_who_is_in_several_teams_says_for_which(people: People, as_user: AsUser) -> None:
    client = as_user(people.operator)
    assert "Which team?" in client.post(reverse("threads:create"), {"new-name": "X"}, headers=PARTIAL).content.decode()
    client.post(reverse("threads:create"), {"new-name": "X", "new-team": people.other_team.slug})
    assert Thread.objects.get().team == people.other_team


HUGE = 10**30


@pytest.mark.parametrize(
    "path", ["{huge}", "{pk}/versions/{huge}", "{pk}/versions/1/files/a%00b", "{pk}/versions/1/files/..%2Fx", "{pk}/versions/0"]
)
def test_addresses_of_nothing_are_answered_as_such(people: People, as_user: AsUser, make_thread: Make, path: str) -> None:
    address = "/threads/" + path.format(pk=make_thread().pk, huge=HUGE)
    assert as_user(people.editor).get(address).status_code == 404
