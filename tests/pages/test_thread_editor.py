"""The editor's page: drafts, versions, and the files beside the script."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.conftest import People
from threads.models import Thread
from threads.services import change_thread, save_draft
from threads.uploads import Upload

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
JSON = {"Accept": "application/json"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]
SCRIPT = b"print('hello')\n"
HUGE = 10**30


def file(name: str, content: bytes = SCRIPT) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def draft_of(thread: Thread) -> Any:
    thread.draft.refresh_from_db()
    return thread.draft


def send(client: Client, thread: Thread, view: str = "draft", **fields: Any) -> Any:
    return client.post(reverse(f"threads:{view}", args=[thread.pk]), {"revision": draft_of(thread).revision, **fields}, headers=JSON)


def test_a_draft_is_kept_with_a_new_revision_and_says_what_does_not_compile(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    answer = send(as_user(people.editor), thread, source="x = (\r\n").json()
    assert draft_of(thread).source == "x = (\n"
    assert answer["revision"] == draft_of(thread).revision == 2
    assert answer["fault"]["line"] == 1
    assert "was never closed" in answer["fault"]["message"]
    assert thread.versions.count() == 1


def test_a_draft_over_a_newer_one_is_refused_and_overwrites_nothing(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    save_draft(thread=thread, user=people.owner, source="theirs = 1\n")
    for view in ("draft", "save"):
        response = send(as_user(people.editor), thread, view, source="mine = 1\n", revision=1)
        assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert draft_of(thread).source == "theirs = 1\n"
    assert thread.versions.count() == 1


def test_a_person_may_decide_to_keep_the_own_text_over_a_newer_one(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    save_draft(thread=thread, user=people.owner, source="theirs = 1\n")
    assert send(as_user(people.editor), thread, source="mine = 1\n", revision="any").status_code == 200
    assert draft_of(thread).source == "mine = 1\n"


@pytest.mark.parametrize("revision", ["", "x", "-1", "9" * 30, "²"])
def test_a_revision_that_is_none_is_refused(people: People, as_user: AsUser, make_thread: Make, revision: str) -> None:
    thread = make_thread()
    assert send(as_user(people.editor), thread, source="x = 1\n", revision=revision).status_code == 400


def test_saving_makes_a_version_with_its_message(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    answer = send(as_user(people.editor), thread, "save", source="print(2)\n", message="Second try").json()
    assert (answer["version"], answer["fault"]) == (2, None)
    page = as_user(people.viewer).get(reverse("threads:detail", args=[thread.pk])).content.decode()
    assert "Second try" in page
    assert "print(2)" in page


def test_what_does_not_compile_is_kept_as_draft_but_is_no_version(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    answer = send(as_user(people.editor), thread, "save", source="def f(:\n").json()
    assert "version" not in answer
    assert answer["fault"]["line"] == 1
    assert draft_of(thread).source == "def f(:\n"
    page = as_user(people.editor).get(reverse("threads:detail", args=[thread.pk])).content.decode()
    assert 'data-fault-line="1"' in page
    assert "Line 1, column 7 does not compile" in page


def test_without_scripts_a_refused_save_shows_the_text_and_the_reason(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    url = reverse("threads:save", args=[thread.pk])
    client = as_user(people.editor)
    refused = client.post(url, {"revision": "1", "source": "x = = 1\n"})
    assert refused.status_code == 422
    assert "x = = 1" in refused.content.decode()
    assert "does not compile" in refused.content.decode()
    assert client.post(url, {"revision": "2", "source": "x = 1\n"}).status_code == 302
    assert thread.versions.count() == 2


def test_a_source_that_is_too_large_or_binary_is_refused(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    for source, said in (("#" * (1024 * 1024 + 1), "the limit is"), ("a\0b", "binary")):
        assert said in send(as_user(people.editor), thread, source=source).json()["error"]


def test_markup_in_a_source_stays_text(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread(name="<b>bold</b>", source="print('</textarea><script>alert(1)</script>')\n")
    page = as_user(people.viewer).get(reverse("threads:detail", args=[thread.pk])).content.decode()
    assert "<script>alert" not in page
    assert "<b>bold" not in page


def test_an_earlier_version_is_shown_and_restored(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread(source="first = 1\n")
    client = as_user(people.editor)
    send(client, thread, "save", source="second = 2\n")
    assert "first = 1" in client.get(reverse("threads:version", args=[thread.pk, 1])).content.decode()
    client.post(reverse("threads:restore", args=[thread.pk, 1]))
    thread.refresh_from_db()
    assert thread.current_version.number == 3
    assert thread.current_version.source == draft_of(thread).source == "first = 1\n"
    assert client.get(reverse("threads:version", args=[thread.pk, 9])).status_code == 404


def test_the_list_of_versions_is_cut_until_all_are_asked_for(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    for _ in range(22):
        change_thread(thread=thread, user=people.editor, extra_files=[Upload("a.txt", b"a")])
    url = reverse("threads:versions", args=[thread.pk])
    client = as_user(people.viewer)
    assert client.get(url, headers=PARTIAL).content.decode().count('class="row-title') == 20
    assert client.get(f"{url}?all", headers=PARTIAL).content.decode().count('class="row-title') == 23


# Files


def test_files_are_added_replaced_removed_and_taken_away(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread(input_file=Upload("old.csv", b"a\n1\n"), extra_files=[Upload("notes.txt", b"one")])
    client, url = as_user(people.editor), reverse("threads:files", args=[thread.pk])
    client.post(url, {"input_file": file("new.csv", b"b\n2\n"), "files": [file("notes.txt", b"two")]})
    client.post(url, {"remove": "missing.txt", "files": [file("more.json", b"{}")]})
    thread.refresh_from_db()
    version = thread.current_version
    assert set(version.files.values_list("path", flat=True)) == {"new.csv", "notes.txt", "more.json"}
    answer = client.get(reverse("threads:file", args=[thread.pk, version.number, "notes.txt"]))
    assert answer.getvalue() == b"two"
    assert "attachment" in answer["Content-Disposition"]
    assert "sandbox" in answer["Content-Security-Policy"]
    client.post(url, {"remove": "notes.txt"})
    thread.refresh_from_db()
    assert set(thread.current_version.files.values_list("path", flat=True)) == {"new.csv", "more.json"}


def test_the_script_itself_can_be_taken_away(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread(source=None, script=Upload("fetch.py", b"x = 1\n"))
    answer = as_user(people.viewer).get(reverse("threads:file", args=[thread.pk, 1, "fetch.py"]))
    assert answer.content == b"x = 1\n"
    assert 'filename="fetch.py"' in answer["Content-Disposition"]
    assert as_user(people.viewer).get(reverse("threads:file", args=[thread.pk, 1, "other.py"])).status_code == 404


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({}, "files", "Choose at least one file."),
        ({"input_file": file("a.csv", b"a,b\n1\n")}, "input_file", "Line 2 of the CSV has 1 columns"),
        ({"script": file("a.py", b"x = (\n")}, "script", "does not compile"),
    ],
)
def test_bad_files_are_refused_and_change_nothing(
    people: People, as_user: AsUser, make_thread: Make, sent: Any, field: str, said: str
) -> None:
    thread = make_thread()
    response = as_user(people.editor).post(reverse("threads:files", args=[thread.pk]), sent, headers=PARTIAL)
    assert response.status_code == 422
    assert said in response.content.decode().partition(f'id="id_{field}_error"')[2]
    assert thread.versions.count() == 1


def test_odd_characters_break_nothing(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    client = as_user(people.editor)
    assert send(client, thread, "save", source="x = 1\n", message="a\0b").json()["version"] == 2
    assert send(client, thread, source="x = '\ud800'\n".encode("utf-8", "surrogatepass").decode("utf-8", "replace")).status_code == 200
    assert client.post(reverse("threads:files", args=[thread.pk]), {"remove": "a\0b"}).status_code == 302
    assert (
        client.post(reverse("history:start_thread", args=[thread.pk]), {"name": ["a\0"], "value": ["1"]}, headers=PARTIAL).status_code
        == 422
    )
    assert client.post(f"/threads/{HUGE}/draft", {"source": "x"}).status_code == 404
