"""The history and the run page, as people in their roles meet them."""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core import layout
from history.models import Artifact, Run, StepRun
from history.status import Status, Trigger
from tests.conftest import People

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]


def end(run: Run, status: Status = Status.SUCCESS, reason: str = "") -> Run:
    now = timezone.now()
    fields = {"status": status, "reason": reason, "started_at": now - timedelta(seconds=42), "finished_at": now}
    Run.objects.filter(pk=run.pk).update(**fields)
    StepRun.objects.filter(run=run).update(**fields, exit_code=0 if status == Status.SUCCESS else 3)
    run.refresh_from_db()
    return run


def begin(run: Run, progress: float | None = None) -> Run:
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, started_at=now, claim_token="claimed", progress=progress)
    StepRun.objects.filter(run=run, stage=1).update(status=Status.RUNNING, started_at=now)
    run.refresh_from_db()
    return run


def numbers(answer: Any) -> list[int]:
    """The numbers of the runs that a list shows, in its order."""
    return [int(number) for number in re.findall(r'<span class="faint num">#(\d+)</span>', answer.content.decode())]


# The list


def test_an_empty_history_says_what_to_do_next(as_user: AsUser, people: People) -> None:
    page = as_user(people.viewer).get("/history/").content.decode()
    assert "Nothing has run yet" in page
    assert reverse("threads:list") in page


def test_the_list_shows_the_newest_run_first(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    for _ in range(3):
        make_run(thread)
    assert numbers(as_user(people.viewer).get("/history/")) == [3, 2, 1]


def test_the_list_is_narrowed_by_several_statuses(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    end(make_run(thread), Status.SUCCESS)
    end(make_run(thread), Status.FAILED, "It broke.")
    end(make_run(thread), Status.LOST, "It is gone.")
    client = as_user(people.viewer)
    assert numbers(client.get("/history/?status=failed&status=lost")) == [3, 2]
    assert 'value="failed" checked' in client.get("/history/?status=failed").content.decode()


def test_the_list_is_searched_by_name_and_by_number(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    make_run(make_thread("Fetch pages"))
    make_run(make_thread("Report 1"))
    client = as_user(people.viewer)
    assert numbers(client.get("/history/?q=FETCH")) == [1]
    assert numbers(client.get("/history/?q=%232")) == [2]
    assert numbers(client.get("/history/?q=1")) == [2]


def test_the_list_is_narrowed_by_trigger_kind_and_thread(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make
) -> None:
    thread = make_thread()
    make_run(thread, trigger=Trigger.API)
    make_run(make_process(threads=[thread]))
    client = as_user(people.viewer)
    assert numbers(client.get("/history/?trigger=api")) == [1]
    assert numbers(client.get("/history/?kind=process")) == [2]
    answer = client.get(f"/history/?thread={thread.pk}")
    assert numbers(answer) == [1]
    assert "Thread: Hello" in answer.content.decode()


def test_filters_that_fit_nothing_say_so_and_lead_back(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    page = as_user(people.viewer).get("/history/?q=nowhere").content.decode()
    assert "No matches" in page
    assert 'value="nowhere"' in page


@pytest.mark.parametrize(
    "query",
    ["status=nonsense", "thread=abc", "thread=99999999999999999999999", "kind=x", "trigger=%00", "q=" + "x" * 500, "team=none", "cursor="],
)
def test_faulty_filters_break_nothing(as_user: AsUser, people: People, make_run: Make, query: str) -> None:
    make_run()
    assert as_user(people.viewer).get(f"/history/?{query}").status_code == 200


def test_a_cursor_that_nobody_gave_out_is_refused_in_words(as_user: AsUser, people: People) -> None:
    answer = as_user(people.viewer).get("/history/?cursor=zzz")
    assert answer.status_code == 400
    assert "start from the first page" in answer.content.decode()


def test_pages_are_walked_forth_and_back_with_their_filters(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    for _ in range(60):
        make_run(thread)
    client = as_user(people.viewer)
    first = client.get("/history/?status=queued")
    assert numbers(first) == list(range(60, 10, -1))
    older = re.search(r'rel="next" href="([^"]+)"', first.content.decode())
    assert older is not None
    second = client.get("/history/" + older[1].replace("&amp;", "&"))
    assert numbers(second) == list(range(10, 0, -1))
    newer = re.search(r'rel="prev" href="([^"]+)"', second.content.decode())
    assert newer is not None
    assert "status=queued" in newer[1]
    assert numbers(client.get("/history/" + newer[1].replace("&amp;", "&"))) == numbers(first)


def test_htmx_gets_the_rows_alone_and_they_know_their_address(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    page = as_user(people.viewer).get("/history/?q=hel&status=queued", headers=PARTIAL).content.decode()
    assert "<html" not in page
    assert page.strip().startswith('<section class="card" id="runs"')
    assert 'hx-get="/history/?q=hel&amp;status=queued"' in page


def test_the_list_asks_a_fixed_number_of_questions(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, django_assert_max_num_queries: Any
) -> None:
    thread = make_thread()
    for _ in range(40):
        make_run(thread)
    client = as_user(people.viewer)
    # Session, person, cursor of the stream, runs with team and person, teams of the person.
    with django_assert_max_num_queries(7):
        assert len(numbers(client.get("/history/?status=queued"))) == 40


def test_a_stranger_sees_none_of_the_runs(as_user: AsUser, people: People, make_run: Make) -> None:
    make_run()
    assert numbers(as_user(people.stranger).get("/history/")) == []
    assert numbers(as_user(people.operator).get("/history/")) == [1]


def test_what_a_script_says_of_itself_is_only_text(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    end(make_run(make_thread("<img src=x onerror=alert(1)> a")), Status.FAILED, "<script>alert(1)</script>")
    client = as_user(people.viewer)
    for address in ("/history/", reverse("history:run", args=[Run.objects.get().pk])):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


# One run


def test_a_run_shows_status_reason_trigger_and_steps(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make
) -> None:
    threads = [make_thread("Fetch"), make_thread("Left"), make_thread("Right")]
    run = end(
        make_run(make_process("Nightly", threads, stages=[1, 2, 2]), parameters={"shop": "all"}),
        Status.FAILED,
        "Fetch ended with exit status 3.",
    )
    page = as_user(people.viewer).get(reverse("history:run", args=[run.pk])).content.decode()
    assert "<span>Failed</span>" in page
    assert "Fetch ended with exit status 3." in page
    assert "2 side by side" in page
    assert "Manual" in page
    assert "runner" in page
    assert "42 s" in page
    assert "exit 3" in page
    assert '<dt class="mono">shop</dt><dd class="mono">all</dd>' in page
    assert all(thread.name in page for thread in threads)


def test_a_running_run_shows_its_progress_and_ticks(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run(), progress=0.4)
    page = as_user(people.viewer).get(reverse("history:run", args=[run.pk])).content.decode()
    assert 'value="0.4"' in page
    assert 'data-time="since"' in page
    assert f'data-live-topics="run:{run.pk},log:{run.pk},maintenance"' in page


def test_progress_that_nobody_tells_is_counted_in_steps(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make
) -> None:
    run = begin(make_run(make_process(threads=[make_thread(), make_thread("Next")])))
    address = reverse("history:run", args=[run.pk])
    client = as_user(people.viewer)
    assert re.search(r'<progress [^>]*Progress of the run"></progress>', client.get(address).content.decode())
    StepRun.objects.filter(run=run, stage=1).update(status=Status.SUCCESS, finished_at=timezone.now())
    page = client.get(address).content.decode()
    assert 'Progress of the run" value="0.5"' in page
    assert "1 of 2 steps" in page


def test_the_live_answer_has_all_parts_that_change(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run())
    page = as_user(people.runner).get(reverse("history:run", args=[run.pk]), headers=PARTIAL).content.decode()
    assert "<html" not in page
    for part in ("run-overview", "run-heading", "run-actions", "run-side"):
        assert f'id="{part}"' in page
    assert "ps-log" not in page  # The log goes on by itself; swapping it would lose what it shows.


def test_a_run_page_asks_a_fixed_number_of_questions(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make, django_assert_max_num_queries: Any
) -> None:
    run = make_run(make_process("Long", [make_thread()] * 30))
    Artifact.objects.bulk_create(Artifact(run=run, path=f"f{n}", size_bytes=n, modified_at=timezone.now()) for n in range(30))
    client = as_user(people.viewer)
    # Five of them are about why it waits.
    with django_assert_max_num_queries(14):
        page = client.get(reverse("history:run", args=[run.pk])).content.decode()
    assert page.count('class="step ') == 30


def test_a_stranger_finds_no_run_no_log_and_no_files(as_user: AsUser, people: People, make_run: Make) -> None:
    run = make_run()
    client = as_user(people.stranger)
    for name in ("run", "log", "files"):
        assert client.get(reverse(f"history:{name}", args=[run.pk])).status_code == 404
    assert client.get(reverse("history:file", args=[run.pk, "a.csv"])).status_code == 404
    for name in ("stop", "again"):
        assert client.post(reverse(f"history:{name}", args=[run.pk])).status_code == 404
    run.refresh_from_db()
    assert run.status == Status.QUEUED
    assert Run.objects.count() == 1


def test_a_viewer_has_no_buttons_and_no_right(as_user: AsUser, people: People, make_run: Make) -> None:
    run = make_run()
    client = as_user(people.viewer)
    page = client.get(reverse("history:run", args=[run.pk])).content.decode()
    assert reverse("history:stop", args=[run.pk]) not in page
    assert reverse("history:again", args=[run.pk]) not in page
    for name in ("stop", "again"):
        assert client.post(reverse(f"history:{name}", args=[run.pk])).status_code == 403
    run.refresh_from_db()
    assert run.status == Status.QUEUED


def test_a_runner_stops_a_waiting_run(as_user: AsUser, people: People, make_run: Make) -> None:
    run = make_run()
    client = as_user(people.runner)
    assert "It has not started yet and will not start." in client.get(reverse("history:run", args=[run.pk])).content.decode()
    answer = client.post(reverse("history:stop", args=[run.pk]), follow=True)
    run.refresh_from_db()
    assert run.status == Status.STOPPED
    page = answer.content.decode()
    assert "Stopped by runner before it started." in page
    assert f"Run #{run.number} is stopped." in page


def test_a_run_that_goes_on_shows_that_it_is_being_stopped(as_user: AsUser, people: People, make_run: Make) -> None:
    run = begin(make_run())
    page = as_user(people.runner).post(reverse("history:stop", args=[run.pk]), follow=True).content.decode()
    assert "<span>Stopping</span>" in page
    assert re.search(r"<button[^>]*disabled[^>]*>.*Stopping…", page)


def test_stopping_what_has_ended_says_so(as_user: AsUser, people: People, make_run: Make) -> None:
    run = end(make_run())
    answer = as_user(people.runner).post(reverse("history:stop", args=[run.pk]))
    assert answer.status_code == 409
    assert "has already ended" in answer.content.decode()


def test_running_again_takes_the_same_parameters(as_user: AsUser, people: People, make_run: Make) -> None:
    run = end(make_run(parameters={"limit": 5}, priority=3))
    answer = as_user(people.runner).post(reverse("history:again", args=[run.pk]))
    again = Run.objects.latest("pk")
    assert answer["Location"] == reverse("history:run", args=[again.pk])
    assert again.pk != run.pk
    assert (again.thread, again.parameters, again.priority, again.user) == (run.thread, {"limit": 5}, 3, people.runner)


def test_a_run_whose_thread_is_gone_stays_and_cannot_run_again(as_user: AsUser, people: People, make_run: Make) -> None:
    run = end(make_run())
    assert run.thread is not None
    run.thread.delete()
    client = as_user(people.runner)
    page = client.get(reverse("history:run", args=[run.pk])).content.decode()
    assert "Hello" in page
    assert "(deleted)" in page
    assert reverse("history:again", args=[run.pk]) not in page
    answer = client.post(reverse("history:again", args=[run.pk]))
    assert answer.status_code == 409
    assert "was deleted since" in answer.content.decode()


@pytest.mark.parametrize("name", ["stop", "again"])
def test_what_changes_something_takes_a_post(as_user: AsUser, people: People, make_run: Make, name: str) -> None:
    assert as_user(people.runner).get(reverse(f"history:{name}", args=[make_run().pk])).status_code == 405


# What it left


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


@pytest.fixture
def left(make_run: Make) -> Run:
    """An ended run with a log and a file whose name wants to be HTML."""
    run = end(make_run())
    run.output_dir = "hello/2026-01-02_03-04-05"
    run.save(update_fields=["output_dir"])
    directory = layout.run_directory(run.output_dir)
    (directory / "out").mkdir(parents=True)
    (directory / "out" / "page é.html").write_text("<script>alert(1)</script>")
    (directory / "not-recorded.txt").write_text("no")
    Artifact.objects.create(run=run, path="out/page é.html", size_bytes=25, modified_at=timezone.now())
    layout.control_folder(run.pk).mkdir(parents=True)
    (layout.control_folder(run.pk) / "log").write_bytes(b"hello\nbinary \xff\n")
    return run


def test_the_log_is_downloaded_as_it_was_printed(as_user: AsUser, people: People, left: Run) -> None:
    answer = as_user(people.viewer).get(reverse("history:log", args=[left.pk]))
    assert body(answer) == b"hello\nbinary \xff\n"
    assert answer["Content-Length"] == "15"
    assert answer["Content-Disposition"] == 'attachment; filename="hello-1.log"'


def test_the_log_is_downloaded_with_times_where_they_are_known(as_user: AsUser, people: People, left: Run) -> None:
    client = as_user(people.viewer)
    address = f"{reverse('history:log', args=[left.pk])}?stamps=1"
    assert address in client.get(reverse("history:run", args=[left.pk])).content.decode()
    unknown = b"-".ljust(24) + b" stdout "
    assert body(client.get(address)) == unknown + b"hello\n" + unknown + b"binary \xff\n"


def test_a_log_that_is_not_there_yet_is_an_empty_download(as_user: AsUser, people: People, make_run: Make) -> None:
    answer = as_user(people.viewer).get(reverse("history:log", args=[make_run().pk]))
    assert (answer.status_code, body(answer)) == (200, b"")


def test_a_file_is_downloaded_and_never_shown_by_the_browser(as_user: AsUser, people: People, left: Run) -> None:
    client = as_user(people.viewer)
    page = client.get(reverse("history:run", args=[left.pk])).content.decode()
    address = reverse("history:file", args=[left.pk, "out/page é.html"])
    assert address in page
    answer = client.get(address)
    assert body(answer) == b"<script>alert(1)</script>"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_all_files_come_as_one_zip_with_the_log(as_user: AsUser, people: People, left: Run) -> None:
    answer = as_user(people.viewer).get(reverse("history:files", args=[left.pk]))
    with zipfile.ZipFile(io.BytesIO(body(answer))) as archive:
        assert set(archive.namelist()) == {"out/page é.html", "run.log"}
        assert archive.read("run.log") == b"hello\nbinary \xff\n"
    assert answer["Content-Disposition"] == 'attachment; filename="hello-1.zip"'


@pytest.mark.parametrize("path", ["not-recorded.txt", "../../../etc/passwd", "out", "out/../not-recorded.txt", "%00"])
def test_only_recorded_files_are_handed_out(as_user: AsUser, people: People, left: Run, path: str) -> None:
    answer = as_user(people.viewer).get(f"/history/{left.pk}/files/{path}")
    assert answer.status_code == 404
