"""What the pages tell of a thread's runs, by itself and in processes, and of the ways to start one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from environments.models import BuildStatus, Environment, EnvironmentBuild
from history.models import Run, StepRun
from history.status import Status
from tests.conftest import People
from threads.models import Thread
from threads.services import create_folder, save_draft

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]


def list_of(client: Client) -> str:
    return " ".join(client.get(reverse("threads:list")).content.decode().split())


def page_of(client: Client, thread: Thread) -> str:
    return " ".join(client.get(reverse("threads:detail", args=[thread.pk])).content.decode().split())


def test_a_thread_that_ran_in_a_process_alone_shows_that(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make, make_run: Make
) -> None:
    thread = make_thread("Fetch")
    run = make_run(make_process("Demo report", [make_thread("Before"), thread]))
    StepRun.objects.filter(run=run, thread=thread).update(status=Status.FAILED, started_at=run.queued_at, finished_at=run.queued_at)
    client = as_user(people.viewer)
    assert "in Demo report #1" in list_of(client)
    assert "Never run" not in list_of(client)
    page = page_of(client, thread)
    assert f'href="{reverse("history:run", args=[run.pk])}"' in page
    assert "in Demo report" in page
    assert "is-failed" in page
    assert "has not run yet" not in page
    # The history knows of its own runs alone.
    assert f"?thread={thread.pk}" not in page


def test_the_newest_counts_be_it_a_step_or_a_run_of_its_own(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make, make_run: Make
) -> None:
    thread = make_thread("Fetch")
    make_run(make_process("Demo report", [thread]))
    alone = make_run(thread)
    # Of what was stopped before it began the step is skipped; the run says more.
    Run.objects.filter(pk=alone.pk).update(status=Status.STOPPED, finished_at=alone.queued_at)
    StepRun.objects.filter(run=alone).update(status=Status.SKIPPED, finished_at=alone.queued_at)
    client = as_user(people.viewer)
    assert "in Demo report" not in list_of(client)
    assert "is-stopped" in list_of(client)
    page = page_of(client, thread)
    assert re.findall(r"#(\d)</span></a>", page) == ["2", "1"]
    assert f"?thread={thread.pk}" in page


def test_steps_cost_the_list_no_query_each(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make, make_run: Make, django_assert_max_num_queries: Any
) -> None:
    client = as_user(people.viewer)
    for number in range(20):
        make_run(make_process(f"Process {number}", [make_thread(f"Step {number}")]))
    client.get(reverse("threads:list"))
    with django_assert_max_num_queries(12):
        assert list_of(client).count("in Process") == 20


def test_a_thread_that_ran_in_a_process_is_not_said_to_have_never_run_when_it_is_deleted(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make, make_run: Make
) -> None:
    thread = make_thread()
    process = make_process("Once", [thread])
    make_run(process)
    process.delete()
    page = as_user(people.editor).get(reverse("threads:delete", args=[thread.pk])).content.decode()
    assert "Its 1 run stay in the history" in page


def shown_url(client: Client, thread: Thread) -> str:
    found = re.search(r'data-copy="[^"]*(/api/v1/[^"]+)"', page_of(client, thread))
    assert found
    return found[1].replace("&amp;", "&")


def test_the_trigger_url_names_the_folder_where_the_name_alone_is_not_enough(people: People, as_user: AsUser, make_thread: Make) -> None:
    folder = create_folder(team=people.team, user=people.editor, name="Daily")
    top = make_thread("Job")
    client = as_user(people.runner)
    assert shown_url(client, top) == "/api/v1/threads/job/trigger"
    make_thread("Job", source=None, folder=create_folder(team=people.team, user=people.editor, name="Drafts"))
    assert shown_url(client, top) == "/api/v1/threads/job/trigger"
    below = make_thread("Job", folder=folder)
    assert shown_url(client, top) == "/api/v1/threads/job/trigger?folder=0"
    assert shown_url(client, below) == f"/api/v1/threads/job/trigger?folder={folder.pk}"


def test_the_trigger_url_names_the_team_for_who_sees_several(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make
) -> None:
    top, process = make_thread("Job"), make_process("Nightly")
    make_thread("Job", team=people.other_team, user=people.stranger)
    assert shown_url(as_user(people.operator), top) == "/api/v1/threads/job/trigger?team=weather"
    assert shown_url(as_user(people.runner), top) == "/api/v1/threads/job/trigger"
    page = as_user(people.operator).get(reverse("processes:builder", args=[process.pk])).content.decode()
    assert '/api/v1/processes/nightly/trigger"' in page


def test_the_run_dialog_says_which_version_runs(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    page = page_of(as_user(people.runner), thread)
    assert 'Version <span class="num" data-version>1</span> runs.' in page
    assert re.search(r'<button class="button primary" type="button" id="run-button"', page)


@pytest.mark.parametrize("is_changed", [False, True])
def test_the_coloured_button_is_what_comes_next(people: People, as_user: AsUser, make_thread: Make, is_changed: bool) -> None:
    thread = make_thread()
    if is_changed:
        save_draft(thread=thread, user=people.editor, source="print('other')\n")
    page = page_of(as_user(people.editor), thread)
    assert ('class="button primary" form="editor-form"' in page) == is_changed
    assert ('class="button primary" type="button" id="run-button"' in page) != is_changed


def test_files_are_offered_once_there_is_a_script_to_put_them_beside(people: People, as_user: AsUser, make_thread: Make) -> None:
    client = as_user(people.editor)
    draft = page_of(client, make_thread("Draft", source=None))
    assert "Save the script first" in draft
    assert "Add or replace files" not in draft
    assert "Add or replace files" in page_of(client, make_thread("Saved"))


@pytest.mark.parametrize(("role", "beside"), [("viewer", False), ("editor", True)])
def test_without_folders_the_list_has_the_whole_width(people: People, as_user: AsUser, role: str, beside: bool) -> None:
    page = list_of(as_user(people.named(role)))
    assert ("with-folders" in page) == beside
    assert ('class="folder-tree"' in page) == beside


def test_lists_are_sorted_as_people_do(people: People, as_user: AsUser, make_thread: Make, make_process: Make) -> None:
    thread = make_thread("beta")
    for name in ("Alpha", "alpha 2", "Gamma"):
        make_thread(name)
    for name in ("zeta", "Yota"):
        make_process(name, [thread])
    client = as_user(people.editor)
    titles = re.findall(r'row-link" href="[^"]+"><span class="truncate">([^<]+)', list_of(client))
    assert titles == ["Alpha", "alpha 2", "beta", "Gamma"]
    processes = client.get(reverse("processes:list")).content.decode()
    assert processes.index("Yota") < processes.index("zeta")


def give_build(thread: Thread, status: BuildStatus, *, environment: bool = False) -> None:
    thread.environment_build = EnvironmentBuild.objects.create(wish="w", status=status, error="No such package.")
    thread.environment = Environment.objects.create(key="a" * 64, python_version="3.13.0") if environment else None
    thread.save()


@pytest.mark.parametrize(
    ("status", "said"),
    [(BuildStatus.RUNNING, "Its environment is being built"), (BuildStatus.FAILED, "Its environment could not be built")],
)
def test_a_thread_without_its_environment_says_beside_the_button_why_it_cannot_run(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make, status: BuildStatus, said: str
) -> None:
    thread = make_thread()
    process = make_process(threads=[thread])
    give_build(thread, status)
    client = as_user(people.runner)
    button = r'<button[^>]*id="run-button"[^>]* disabled aria-describedby="run-why">'
    assert re.search(f'id="run-why">{said}</span> {button}', page_of(client, thread))
    answer = client.post(reverse("history:start_thread", args=[thread.pk]), headers=PARTIAL)
    assert answer.status_code == 422
    page = client.get(reverse("processes:builder", args=[process.pk])).content.decode()
    assert "This thread has no environment yet: the process does not run." in page


@pytest.mark.parametrize(
    ("status", "said"),
    [(BuildStatus.QUEUED, "uses the one there is"), (BuildStatus.FAILED, "uses the one before"), (BuildStatus.READY, "")],
)
def test_a_thread_with_an_environment_runs_and_says_which_it_uses(
    people: People, as_user: AsUser, make_thread: Make, status: BuildStatus, said: str
) -> None:
    thread = make_thread()
    give_build(thread, status, environment=True)
    page = page_of(as_user(people.runner), thread)
    assert re.search(r'<button[^>]*id="run-button"[^>]*data-dialog="run-thread">', page)
    assert ("this run uses" in page) == bool(said)
    assert said in page


def test_the_button_learns_when_the_environment_is_there(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    give_build(thread, BuildStatus.RUNNING)
    client = as_user(people.runner)
    address = reverse("threads:environment", args=[thread.pk])
    assert "disabled" in client.get(address, headers=PARTIAL).content.decode()
    thread.environment = Environment.objects.create(key="b" * 64, python_version="3.13.0")
    thread.save()
    page = client.get(address, headers=PARTIAL).content.decode()
    assert 'hx-target="#run-way"' in page
    assert "disabled" not in page
    assert "run-way" not in as_user(people.viewer).get(address, headers=PARTIAL).content.decode()
