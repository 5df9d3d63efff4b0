"""The verbs of threads and processes: what they do before a transaction, all or nothing, what they tell, what they do in a race."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from core.endpoint import Endpoint
from core.errors import InvalidInput, NotFound
from events.models import Event
from processes.models import Process
from processes.services import StepPlan, change_process, create_process, delete_process
from tests.api.conftest import Caller
from tests.conftest import People
from threads import checks, services, uploads
from threads.models import Folder, Thread
from threads.services import change_thread, create_folder, create_thread, delete_thread, publish, restore_version, save_draft, timeout_fault
from threads.uploads import Upload

Make = Callable[..., Any]


@pytest.fixture
def locked_while(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What was done that takes time, and whether it was inside a transaction: on SQLite no other can write then."""
    seen: list[tuple[str, bool]] = []

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            seen.append((name, connection.in_atomic_block))
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, watched)

    watch(checks, "find_fault")
    watch(uploads, "check_csv")
    watch(uploads.blobs, "store")
    watch(Endpoint, "body")
    return seen


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_files_are_checked_and_stored(people: People, locked_while: list[tuple[str, bool]]) -> None:
    files = {"input_file": Upload("in.csv", b"a\n1\n"), "extra_files": [Upload("more.py", b"y = 1\n")]}
    thread = create_thread(team=people.team, user=people.editor, script=Upload("one.py", b"x = 1\n"), **files)
    change_thread(thread=thread, user=people.editor, source="x = 2\n", **files)
    save_draft(thread=thread, user=people.editor, source="x = 3\n")
    publish(thread=thread, user=people.editor)
    assert {name for name, _ in locked_while} == {"find_fault", "check_csv", "store"}
    assert [name for name, inside in locked_while if inside] == []


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_api_reads_a_body(
    people: People, make_process: Make, locked_while: list[tuple[str, bool]]
) -> None:
    process = make_process()
    caller = Caller()
    caller.client.force_login(people.editor)
    caller.ok("PATCH", f"processes/{process.pk}", {"name": "Weekly"})
    caller.ok("PATCH", f"threads/{process.steps.get().thread_id}", {"name": "Weekly", "source": "x = 2\n"})
    assert {"body", "find_fault"} <= {name for name, _ in locked_while}
    assert [name for name, inside in locked_while if inside] == []


def test_a_change_is_made_whole_or_not_at_all(people: People, make_thread: Make, by_editor: Caller) -> None:
    thread = make_thread("Fetch")
    by_editor.refused("PATCH", f"threads/{thread.pk}", {"name": "Other", "source": "no python ("})
    with pytest.raises(InvalidInput):
        change_thread(thread=thread, user=people.editor, name="Other", extra_files=[Upload("main.py", b"x = 1\n")])
    thread.refresh_from_db()
    assert (thread.name, thread.versions.count()) == ("Fetch", 1)


@pytest.fixture
def by_editor(people: People) -> Caller:
    caller = Caller()
    caller.client.force_login(people.editor)
    return caller


def test_source_and_files_sent_together_make_one_version(people: People, make_thread: Make) -> None:
    thread = change_thread(thread=make_thread(), user=people.editor, source="x = 2\n", input_file=Upload("in.csv", b"a\n1\n"))
    assert thread.current_version is not None
    assert (thread.current_version.number, thread.current_version.source) == (2, "x = 2\n")
    assert thread.draft.source == "x = 2\n"
    again = change_thread(thread=thread, user=people.editor, source="x = 2\n")
    assert again.versions.count() == 2


def told(topic: str) -> list[dict[str, Any]]:
    return [event.payload for event in Event.objects.filter(topic=topic).order_by("pk")]


def test_each_change_of_a_thread_is_told_to_its_team(people: People, make_thread: Make) -> None:
    thread = make_thread("Fetch")
    change_thread(thread=thread, user=people.editor, enabled=False)
    save_draft(thread=thread, user=people.editor, source="x = 2\n")
    publish(thread=thread, user=people.editor)
    restore_version(version=thread.versions.get(number=1), user=people.editor)
    delete_thread(thread=thread, user=people.editor)
    assert [(state["enabled"], state["version"], state.get("deleted", False)) for state in told("thread")] == [
        (True, 1, False),
        (False, 1, False),
        (False, 2, False),
        (False, 3, False),
        (False, 3, True),
    ]
    assert {(event.team_id, event.payload["name"]) for event in Event.objects.filter(topic="thread")} == {(people.team.pk, "Fetch")}


def test_each_change_of_a_process_is_told_to_its_team(people: People, make_process: Make) -> None:
    process = make_process("Nightly")
    change_process(process=process, user=people.editor, name="Weekly")
    delete_process(process=process, user=people.editor)
    assert [(state["name"], state.get("deleted", False)) for state in told("process")] == [
        ("Nightly", False),
        ("Weekly", False),
        ("Weekly", True),
    ]
    assert set(Event.objects.filter(topic="process").values_list("team_id", flat=True)) == {people.team.pk}


def test_what_is_gone_meanwhile_is_not_found(people: People, make_thread: Make, make_process: Make) -> None:
    thread, process = make_thread("Gone"), make_process()
    version = thread.current_version
    Thread.objects.filter(pk=thread.pk).update(current_version=None)
    Thread.objects.filter(pk=thread.pk).delete()
    Process.objects.filter(pk=process.pk).delete()
    verbs: list[Callable[[], object]] = [
        lambda: change_thread(thread=thread, user=people.editor, name="Other"),
        lambda: save_draft(thread=thread, user=people.editor, source="x"),
        lambda: save_draft(thread=thread, user=people.editor, source="x", revision=1),
        lambda: publish(thread=thread, user=people.editor),
        lambda: restore_version(version=version, user=people.editor),
        lambda: delete_thread(thread=thread, user=people.editor),
        lambda: change_process(process=process, user=people.editor, name="Other"),
        lambda: delete_process(process=process, user=people.editor),
    ]
    for verb in verbs:
        with pytest.raises(NotFound):
            verb()


@pytest.mark.django_db(transaction=True)
def test_two_who_make_the_same_folder_at_once_get_two(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would choose the same free name if nothing made them take turns."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    meeting, real, failed = threading.Barrier(2), services.first_free, []

    def after_the_other_has_looked(slug: str, taken: Any) -> str:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=0.5)
        return real(slug, taken)

    def make() -> None:
        try:
            create_folder(team=people.team, user=people.editor, name="Reports")
        except Exception as error:  # Said by the test, whatever it is.
            failed.append(error)
        finally:
            connection.close()

    monkeypatch.setattr(services, "first_free", after_the_other_has_looked)
    makers = [threading.Thread(target=make) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert failed == []
    assert sorted(Folder.objects.values_list("safe_name", flat=True)) == ["reports", "reports-2"]


def test_a_script_without_a_name_is_called_the_same_by_page_and_api(people: People, as_user: Make, by_editor: Caller) -> None:
    def script() -> SimpleUploadedFile:
        return SimpleUploadedFile("daily_report.py", b"print(1)\n")

    assert by_editor.client.post("/api/v1/threads", {"script": script()}).status_code == 201
    assert as_user(people.editor).post("/threads/upload", {"upload-script": script()}).status_code == 302
    assert list(Thread.objects.values_list("name", "safe_name").order_by("pk")) == [
        ("daily report", "daily-report"),
        ("daily report", "daily-report-2"),
    ]


def test_a_parameter_that_no_page_could_save_again_is_taken_by_no_door(make_process: Make, by_editor: Caller) -> None:
    process = make_process()
    thread = process.steps.get().thread_id
    long = {"text": "x" * 20_000}
    error = by_editor.refused("PATCH", f"processes/{process.pk}", {"steps": [{"thread": thread, "parameters": long}]})
    assert error["fields"] == {"steps.0.parameters": ["The value of 'text' has 20,000 characters; the limit is 10,000."]}
    assert "parameters" in by_editor.refused("POST", f"threads/{thread}/run", {"parameters": long})["fields"]


@pytest.mark.parametrize("words", ["tomorrow's", "fetch-the"])
def test_pages_and_api_look_for_words_in_the_same_places(people: People, as_user: Make, by_editor: Caller, words: str) -> None:
    create_thread(team=people.team, user=people.editor, name="Fetch the rain", description="For tomorrow's table")
    create_thread(team=people.team, user=people.editor, name="Zebra")
    create_process(team=people.team, user=people.editor, name="Fetch the sun", description="For tomorrow's report")
    create_process(team=people.team, user=people.editor, name="Zebra")
    for room, name in (("threads", "Fetch the rain"), ("processes", "Fetch the sun")):
        assert [row["name"] for row in by_editor.ok("GET", f"{room}?q={words}")["results"]] == [name]
        page = as_user(people.editor).get(f"/{room}/", {"q": words}).content.decode()
        assert (name in page, "Zebra" in page) == (True, False)


@pytest.mark.parametrize("seconds", [0, -1, 10**9, True, 1.5, "60", None])
def test_a_timeout_that_is_none_is_refused_by_threads_and_steps(people: People, make_thread: Make, seconds: Any) -> None:
    thread = make_thread()
    assert timeout_fault(seconds) is not None
    with pytest.raises(InvalidInput) as of_thread:
        change_thread(thread=thread, user=people.editor, timeout_seconds=seconds)
    said = of_thread.value.fields["timeout_seconds"]
    if seconds is not None:  # A step without one has its thread's.
        with pytest.raises(InvalidInput) as of_step:
            create_process(team=people.team, user=people.editor, name="Nightly", steps=[StepPlan(thread, 1, timeout_seconds=seconds)])
        assert of_step.value.fields == {"steps.0.timeout_seconds": said}


@pytest.mark.parametrize(
    "path", ["/threads/", "/threads/{thread}", "/threads/{thread}/delete", "/processes/", "/processes/{process}", "/processes/new"]
)
def test_head_answers_where_get_does(people: People, as_user: Make, make_process: Make, path: str) -> None:
    process = make_process()
    address = path.format(process=process.pk, thread=process.steps.get().thread_id)
    answer = as_user(people.editor).head(address)
    assert (answer.status_code, answer.content) == (200, b"")


def test_folders_are_counted_by_the_database_and_only_for_a_whole_page(people: People, as_user: Make, make_thread: Make) -> None:
    folder = create_folder(team=people.team, user=people.editor, name="Reports")
    for _ in range(3):
        make_thread(folder=folder)
    make_thread()
    client = as_user(people.editor)
    shown = client.get("/threads/").context["folders"]
    assert [(item["count"], item["is_empty"]) for item in shown] == [(3, False)]
    partial = client.get("/threads/", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert "folders" not in partial.context
