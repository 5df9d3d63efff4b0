"""What the page of a run that failed says of it."""

import re
from collections.abc import Callable
from typing import Any

from django.test import Client

from environments.models import Environment
from history.changes import alike, since_success
from history.models import Run, StepRun
from processes.services import StepPlan, change_process
from tests.conftest import People
from tests.failing import fail, succeed, traceback_of
from threads.models import Thread
from threads.services import change_thread, publish, save_draft
from threads.uploads import Upload

AsUser = Callable[[Any], Client]
Make = Callable[..., Any]


def words(answer: Any) -> str:
    """The page's text in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def change_source(thread: Thread, people: People, source: str) -> None:
    save_draft(thread=thread, user=people.editor, source=source, revision=None)
    publish(thread=thread, user=people.editor, message="")
    thread.refresh_from_db()


def changes(run: Run) -> list[tuple[str, str, str, str]]:
    found = since_success(run, list(run.steps.all())).changes
    return [(change.what, change.detail, change.before, change.after) for change in found]


def test_a_failed_run_leads_to_the_line_that_failed(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    run = fail(make_run(thread))
    answer = as_user(people.viewer).get(f"/history/{run.pk}")
    assert "ValueError in main.py, line 2" in words(answer)
    assert "ValueError: no rows" in words(answer)
    assert f'href="/threads/{thread.pk}/versions/1#L2"' in answer.content.decode()
    assert "It has not succeeded before" in words(answer)
    assert "The first time that it fails like this" in words(answer)


def test_what_a_script_says_cannot_write_into_the_page(as_user: AsUser, people: People, make_run: Make) -> None:
    run = fail(make_run(), traceback_of("<script>alert(1)</script>"))
    page = as_user(people.viewer).get(f"/history/{run.pk}").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_hint_says_what_may_help(as_user: AsUser, people: People, make_run: Make) -> None:
    run = fail(make_run(), traceback_of("No module named 'yaml'", kind="ModuleNotFoundError"))
    page = words(as_user(people.viewer).get(f"/history/{run.pk}"))
    assert "The module yaml is not installed" in page
    assert "requirements" in page


def test_an_editor_adds_the_missing_module_by_a_button(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    run = fail(make_run(thread), traceback_of("No module named 'yaml'", kind="ModuleNotFoundError"))
    assert "Add PyYAML" not in words(as_user(people.runner).get(f"/history/{run.pk}"))
    client = as_user(people.editor)
    answer = client.get(f"/history/{run.pk}")
    assert "Add PyYAML to the requirements and rebuild" in words(answer)
    form = re.search(
        r'action="(/threads/[^"]+)"><input[^>]+csrf[^>]+><input type="hidden" name="package" value="([^"]+)"', answer.content.decode()
    )
    assert form is not None
    client.post(form[1], {"package": form[2]})
    thread.refresh_from_db()
    assert thread.requirements == "PyYAML"


def test_a_run_that_failed_without_a_traceback_says_its_reason(as_user: AsUser, people: People, make_run: Make) -> None:
    run = fail(make_run(), "3 pages failed\n", exit_code=4)
    page = words(as_user(people.viewer).get(f"/history/{run.pk}"))
    assert "It ended with exit code 4" in page
    assert "3 pages failed" in page


def test_a_good_run_has_no_failure(as_user: AsUser, people: People, make_run: Make) -> None:
    run = succeed(make_run())
    assert "failure-title" not in as_user(people.viewer).get(f"/history/{run.pk}").content.decode()


def test_a_failure_that_the_process_went_on_after_leads_to_its_line(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make
) -> None:
    thread = make_thread()
    run = succeed(fail(make_run(make_process(threads=[thread]))))
    Run.objects.filter(pk=run.pk).update(failure_signature="")
    StepRun.objects.filter(run=run).update(status="failed")
    page = as_user(people.viewer).get(f"/history/{run.pk}").content.decode()
    assert "failure-title" not in page
    assert f'<a href="/threads/{thread.pk}/versions/1#L2">ValueError in main.py, line 2</a>' in page


def test_equal_failures_are_counted_and_listed(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    first = fail(make_run(thread))
    fail(make_run(thread), traceback_of("another matter"))
    fail(make_run(make_thread("Another")))
    last = fail(make_run(thread))
    found = alike(last)
    assert found is not None
    assert (found.count, found.first, found.is_more) == (2, first, False)
    client = as_user(people.viewer)
    answer = client.get(f"/history/{last.pk}")
    assert re.search(rf"failed like this 2 times , first [^#]+ in run #{first.number} ", words(answer))
    link = re.search(r'href="(/history/\?failure=[^"]+)"', answer.content.decode())
    assert link is not None
    listed = client.get(link[1].replace("&amp;", "&"))
    assert re.findall(r'<span class="faint num">#(\d+)</span>', listed.content.decode()) == [str(last.number), str(first.number)]
    assert "Failure: ValueError in main.py, line 2" in words(listed)
    everywhere = client.get(f"/history/?failure={last.failure_signature}")
    assert len(re.findall(r'<span class="faint num">#(\d+)</span>', everywhere.content.decode())) == 3


def test_a_failure_that_nobody_has_had_fits_nothing(as_user: AsUser, people: People, make_run: Make) -> None:
    fail(make_run())
    client = as_user(people.viewer)
    assert "No matches" in words(client.get("/history/?failure=0123456789abcdef"))
    for faulty in ("%00", "x" * 500, "%27"):
        assert client.get(f"/history/?failure={faulty}").status_code == 200


def test_other_teams_failures_are_not_counted(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    elsewhere = make_thread("There", team=people.other_team, user=people.stranger)
    fail(make_run(elsewhere, user=people.stranger))
    run = fail(make_run())
    assert "first time" in words(as_user(people.viewer).get(f"/history/{run.pk}"))
    assert "There" not in words(as_user(people.viewer).get(f"/history/?failure={run.failure_signature}"))


def test_nothing_changed_is_said(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    good = succeed(make_run(thread))
    run = fail(make_run(thread))
    page = words(as_user(people.viewer).get(f"/history/{run.pk}"))
    assert "Nothing has changed that the platform knows of since it last succeeded" in page
    assert f"run #{good.number}" in page


def test_a_changed_script_and_its_input_are_named(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread("Rows", source=None, script=Upload("rows.py", b"a = 1\nb = 2\n"), input_file=Upload("in.csv", b"a\n1\n"))
    succeed(make_run(thread))
    change_source(thread, people, "a = 1\nb = 3\nc = 4\n")
    run = fail(make_run(thread))
    assert changes(run) == [("code", "+2 \N{MINUS SIGN}1 lines", "version 1", "version 2")]
    page = as_user(people.viewer).get(f"/history/{run.pk}").content.decode()
    assert f'href="/threads/{thread.pk}/versions/1"' in page
    assert f'href="/threads/{thread.pk}/versions/2"' in page


def test_another_input_file_is_named(people: People, make_run: Make, make_thread: Make) -> None:

    thread = make_thread("Rows", source=None, script=Upload("rows.py", b"a = 1\n"), input_file=Upload("in.csv", b"a\n1\n"))
    succeed(make_run(thread))
    change_thread(thread=thread, user=people.editor, input_file=Upload("new.csv", b"a\n1\n2\n"))
    thread.refresh_from_db()
    [code, given] = changes(fail(make_run(thread)))
    assert code == ("code", "the same script", "version 1", "version 2")
    assert (given[0], given[2].split(",")[0], given[3].split(",")[0]) == ("input", "in.csv (4 bytes", "new.csv (6 bytes")


def test_parameters_limits_isolation_environment_and_host_are_named(make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    good = succeed(make_run(thread, parameters={"pages": 3, "deep": True}))
    StepRun.objects.filter(run=good).update(isolation="bubblewrap", environment_key="a" * 64, limits={"memory_mb": 100})
    Run.objects.filter(pk=good.pk).update(host_key="east")
    run = make_run(thread, parameters={"pages": 30, "fast": "yes"})
    StepRun.objects.filter(run=run).update(isolation="plain", environment_key="", timeout_seconds=5)
    Run.objects.filter(pk=run.pk).update(host_key="west")
    assert changes(fail(run)) == [
        ("parameter", "deep", "true", ""),
        ("parameter", "fast", "", "yes"),
        ("parameter", "pages", "3", "30"),
        ("host", "", "east", "west"),
        ("environment", "", "aaaaaaaaaaaa", "the platform's Python"),
        ("isolation", "", "bubblewrap", "plain"),
        ("limit", "memory_mb", "100", ""),
        ("limit", "timeout_seconds", "1800", "5"),
    ]


def test_limits_that_changed_read_in_words(as_user: AsUser, people: People, make_run: Make, make_thread: Make) -> None:
    thread = make_thread(memory_limit_mb=1500)
    succeed(make_run(thread))
    change_thread(thread=thread, user=people.editor, memory_limit_mb=None, timeout_seconds=90, network=False)
    thread.refresh_from_db()
    page = as_user(people.viewer).get(f"/history/{fail(make_run(thread)).pk}").content.decode()
    items = re.findall(r'<li><span class="change-what">.*?</li>', page, re.DOTALL)
    told = [re.sub(r"<[^>]*>", " ", item).split() for item in items]
    assert [" ".join(line) for line in told] == [
        "Memory limit 1,500 MiB none of its own",
        "Network on off",
        "Timeout 30 minutes 1 minute 30 seconds",
    ]


def test_packages_of_another_environment_are_named(make_run: Make, make_thread: Make) -> None:
    thread = make_thread()
    for key, packages in (("a" * 64, {"six": "1.16", "requests": "2.31"}), ("b" * 64, {"idna": "3.10", "requests": "2.32"})):
        Environment.objects.create(key=key, python_version="3.13.0", packages=packages)
    good, run = succeed(make_run(thread)), make_run(thread)
    good.steps.update(environment_key="a" * 64)
    run.steps.update(environment_key="b" * 64)
    said = "+idna 3.10, requests 2.31 \N{RIGHTWARDS ARROW} 2.32, \N{MINUS SIGN}six 1.16"
    assert changes(fail(run)) == [("environment", said, "a" * 12, "b" * 12)]


def test_steps_that_came_or_went_are_named(people: People, make_run: Make, make_thread: Make, make_process: Make) -> None:

    first, second = make_thread("First"), make_thread("Second")
    process = make_process(threads=[first, second])
    succeed(make_run(process))
    steps = [StepPlan(thread=first, stage=1), StepPlan(thread=first, stage=2, parameters={"again": 1})]
    change_process(process=process, user=people.editor, steps=steps)
    process.refresh_from_db()
    assert changes(fail(make_run(process))) == [("steps", "", "First, Second", "First, First")]


def test_the_page_of_a_failure_asks_a_fixed_number_of_questions(
    as_user: AsUser, people: People, make_run: Make, make_thread: Make, make_process: Make, django_assert_max_num_queries: Any
) -> None:
    threads = [make_thread(f"Step {number}") for number in range(8)]
    process = make_process(threads=threads)
    succeed(make_run(process))
    for thread in threads:
        change_source(thread, people, "print('new')\n")
    run = fail(make_run(process))
    client = as_user(people.viewer)
    client.get(f"/history/{run.pk}")
    with django_assert_max_num_queries(26):
        client.get(f"/history/{run.pk}")
