"""The pages about processes: the list, and the builder with everything it may be sent."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from history.models import Run
from processes.models import OnFailure, Process
from processes.services import StepPlan, change_process
from tests.conftest import People
from threads.models import Thread

PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
AsUser = Callable[[Any], Client]
Make = Callable[..., Any]
NEW = "/processes/new"


def step(thread: Any, key: str, beside: bool = False, on_failure: str = "stop", timeout: str = "", **parameters: str) -> dict[str, Any]:
    return {"key": key, "thread": thread, "beside": beside, "on_failure": on_failure, "timeout": timeout, "parameters": parameters}


def sent(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The builder's form as a browser sends it."""
    form: dict[str, Any] = {"name": "Nightly", "description": "", "enabled": "on", **fields}
    form["step-key"] = [row["key"] for row in steps]
    form["step-thread"] = [str(getattr(row["thread"], "pk", row["thread"])) for row in steps]
    form["step-beside"] = ["1" if row["beside"] else "0" for row in steps]
    form["step-on_failure"] = [row["on_failure"] for row in steps]
    form["step-timeout"] = [row["timeout"] for row in steps]
    for row in steps:
        form[f"name-{row['key']}"] = list(row["parameters"])
        form[f"value-{row['key']}"] = list(row["parameters"].values())
    return form


def shape(process: Process) -> list[tuple[str, int]]:
    return [(step.thread.name, step.stage) for step in process.steps.select_related("thread")]


def test_a_process_is_built_with_order_stages_and_the_same_thread_twice(people: People, as_user: AsUser, make_thread: Make) -> None:
    fetch, clean = make_thread("Fetch"), make_thread("Clean")
    form = sent(step(fetch, "a"), step(clean, "b"), step(fetch, "c", beside=True), step(clean, "d"), description="All of it", max_runs="2")
    response = as_user(people.editor).post(NEW, form)
    process = Process.objects.get()
    assert response["Location"] == reverse("processes:builder", args=[process.pk])
    assert shape(process) == [("Fetch", 1), ("Clean", 2), ("Fetch", 2), ("Clean", 3)]
    assert (process.name, process.safe_name, process.description, process.max_runs) == ("Nightly", "nightly", "All of it", 2)


def test_each_step_keeps_its_own_settings(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    form = sent(step(thread, "a", on_failure="continue", timeout="60", limit="10", text='"10"', who="Ada"), step(thread, "b"))
    as_user(people.editor).post(NEW, form)
    first, second = Process.objects.get().steps.all()
    assert (first.on_failure, first.timeout_seconds) == (OnFailure.CONTINUE, 60)
    assert first.parameters == {"limit": 10, "text": "10", "who": "Ada"}
    assert (second.on_failure, second.timeout_seconds, second.parameters) == (OnFailure.STOP, None, {})


def test_what_is_saved_is_shown_so_that_saving_again_changes_nothing(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make
) -> None:
    thread = make_thread()
    process = make_process(threads=[thread])
    plans = [
        StepPlan(thread, 1, {"limit": 10, "text": "10", "list": ["a"], "lines": "a\nb", "spaced": " a "}),
        StepPlan(thread, 1, {}, "continue", 5),
    ]
    change_process(process=process, user=people.editor, steps=plans)
    context = as_user(people.editor).get(reverse("processes:builder", args=[process.pk])).context
    rows = [step(row.thread, row.key, row.beside, row.on_failure, row.timeout, **dict(row.pairs)) for row in context["rows"]]
    before = list(process.steps.values("thread", "stage", "parameters", "on_failure", "timeout_seconds"))
    as_user(people.editor).post(reverse("processes:builder", args=[process.pk]), sent(*rows, name=process.name))
    assert list(process.steps.values("thread", "stage", "parameters", "on_failure", "timeout_seconds")) == before
    assert len(before) == 2


def test_the_order_changes_and_steps_go(people: People, as_user: AsUser, make_thread: Make, make_process: Make) -> None:
    fetch, clean, write = make_thread("Fetch"), make_thread("Clean"), make_thread("Write")
    process = make_process(threads=[fetch, clean, write])
    form = sent(step(write, "c"), step(fetch, "a"), name="Renamed", enabled="")
    as_user(people.editor).post(reverse("processes:builder", args=[process.pk]), form)
    process.refresh_from_db()
    assert (process.name, process.enabled) == ("Renamed", False)
    assert shape(process) == [("Write", 1), ("Fetch", 2)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timeout": "0"}, "from 1 to"),
        ({"timeout": "soon"}, "The timeout is a whole number of seconds"),
        ({"timeout": "9" * 30}, "The timeout is a whole number of seconds"),
        ({"on_failure": "explode"}, "Use one of stop, continue, rescue."),
        ({"": "orphan"}, "Parameter 1 has a value but no name."),
    ],
)
def test_a_faulty_step_is_told_beside_it_and_nothing_typed_is_lost(
    people: People, as_user: AsUser, make_thread: Make, wrong: dict[str, str], said: str
) -> None:
    fetch, clean = make_thread("Fetch"), make_thread("Clean")
    faulty = step(clean, "b", beside=True)
    faulty["parameters"] = {name: value for name, value in wrong.items() if name == ""} | {"kept": "as typed"}
    faulty |= {name: value for name, value in wrong.items() if name}
    response = as_user(people.editor).post(NEW, sent(step(fetch, "a", timeout="77", limit="10"), faulty, description="Also kept"))
    text = response.content.decode()
    assert response.status_code == 422
    shown = response.context["rows"]
    assert said in " ".join(shown[1].faults)
    assert said in text
    assert (shown[0].timeout, shown[0].pairs, shown[0].faults) == ("77", [("limit", "10")], [])
    assert (shown[1].thread, shown[1].beside) == (clean, True)
    assert 'value="as typed"' in text
    assert "Also kept" in text
    assert not Process.objects.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("", "Give it a name."), ("x" * 300, "the limit is 100"), ("!!", "at least one letter or digit")]
)
def test_a_bad_name_keeps_the_steps(people: People, as_user: AsUser, make_thread: Make, name: str, said: str) -> None:
    response = as_user(people.editor).post(NEW, sent(step(make_thread("Fetch"), "a", limit="10"), name=name))
    text = response.content.decode()
    assert response.status_code == 422
    assert said in text.partition('id="id_name_error"')[2]
    assert [row.thread.name for row in response.context["rows"]] == ["Fetch"]
    assert 'name="value-a" value="10"' in text


def test_a_thread_that_is_gone_or_not_ones_own_is_told_and_the_others_are_kept(people: People, as_user: AsUser, make_thread: Make) -> None:
    mine = make_thread("Mine")
    theirs = make_thread("Theirs", team=people.other_team, user=people.stranger)
    for wrong in (theirs.pk, 999_999, "x", "9" * 40):
        response = as_user(people.editor).post(NEW, sent(step(wrong, "a"), step(mine, "b")))
        assert response.status_code == 422
        assert "One of the threads is gone" in response.content.decode()
        assert [row.thread for row in response.context["rows"]] == [mine]
    assert not Process.objects.exists()


def test_more_steps_than_a_process_may_have_are_refused(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    response = as_user(people.editor).post(NEW, sent(*(step(thread, f"k{n}") for n in range(101))))
    assert response.status_code == 422
    assert "A process has at most 100 steps; this one has 101." in response.content.decode()


def test_a_hundred_steps_with_parameters_fit_into_one_form(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread()
    rows = [step(thread, f"k{n}") | {"parameters": {f"p{i}": str(i) for i in range(8)}} for n in range(100)]
    as_user(people.editor).post(NEW, sent(*rows))
    assert Process.objects.get().steps.count() == 100


def test_the_library_is_searched_and_gives_the_step_to_add(people: People, as_user: AsUser, make_thread: Make) -> None:
    fetch = make_thread("Fetch pages")
    make_thread("Clean table")
    client = as_user(people.editor)
    found = client.get(reverse("processes:library", args=[people.team.slug]), {"q": "FETCH"}, headers=PARTIAL).content.decode()
    assert "Fetch pages" in found
    assert "Clean table" not in found
    row = client.get(reverse("processes:step", args=[fetch.pk]), headers=PARTIAL).content.decode()
    assert f'name="step-thread" value="{fetch.pk}"' in row
    assert client.get(reverse("processes:library", args=[people.other_team.slug])).status_code == 404


def test_a_step_that_would_keep_the_process_from_running_says_so(
    people: People, as_user: AsUser, make_thread: Make, make_process: Make
) -> None:
    process = make_process(threads=[make_thread(source=None)])
    page = as_user(people.viewer).get(reverse("processes:builder", args=[process.pk])).content.decode()
    assert "has no saved version yet: the process does not run" in page


def test_a_new_process_may_begin_with_a_thread(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread = make_thread("Fetch")
    rows = as_user(people.editor).get(NEW, {"thread": thread.pk}).context["rows"]
    assert [row.thread for row in rows] == [thread]
    assert as_user(people.editor).get(NEW, {"thread": "999999"}).status_code == 404
    assert as_user(people.editor).get(NEW, {"thread": "x"}).context["rows"] == []


def test_the_team_of_a_new_process_is_the_chosen_one(people: People, as_user: AsUser, make_thread: Make) -> None:
    theirs = make_thread("Theirs", team=people.other_team, user=people.stranger)
    page = as_user(people.operator).get(NEW, {"team": people.other_team.slug})
    assert [thread.name for thread in page.context["library"]] == ["Theirs"]
    as_user(people.operator).post(NEW, sent(step(theirs, "a"), team=people.other_team.slug))
    assert Process.objects.get().team == people.other_team


def test_a_process_is_run_from_its_page(people: People, as_user: AsUser, make_process: Make) -> None:
    process = make_process()
    page = as_user(people.runner).get(reverse("processes:builder", args=[process.pk])).content.decode()
    url = reverse("history:start_process", args=[process.pk])
    assert url in page
    response = as_user(people.runner).post(url, {"name": ["limit"], "value": ["3"]})
    run = Run.objects.get()
    assert (run.process, run.parameters) == (process, {"limit": 3})
    assert response["Location"] == reverse("history:run", args=[run.pk])
    assert f"#{run.number}" in as_user(people.viewer).get(reverse("processes:runs", args=[process.pk])).content.decode()


def test_the_end_of_a_process_says_what_is_lost_and_keeps_threads_and_runs(
    people: People, as_user: AsUser, make_process: Make, make_run: Make
) -> None:
    process = make_process()
    make_run(process)
    client, url = as_user(people.editor), reverse("processes:delete", args=[process.pk])
    page = client.get(url).content.decode()
    assert "with its 1 step; the threads stay" in page
    assert "Its 1 run stay" in page
    client.post(url)
    assert (Process.objects.count(), Thread.objects.count(), Run.objects.count()) == (0, 1, 1)


def test_the_list_costs_the_same_queries_however_long_it_is(
    people: People, as_user: AsUser, make_process: Make, make_thread: Make, make_run: Make, django_assert_max_num_queries: Any
) -> None:
    client, thread = as_user(people.editor), make_thread()
    for number in range(25):
        make_run(make_process(f"Process {number}", threads=[thread, thread]))
    client.get(reverse("processes:list"))
    with django_assert_max_num_queries(14):
        page = client.get(reverse("processes:list")).content.decode()
    assert page.count("2 steps") == 25


def test_the_builder_costs_the_same_queries_however_many_steps(
    people: People, as_user: AsUser, make_process: Make, make_thread: Make, django_assert_max_num_queries: Any
) -> None:
    process = make_process(threads=[make_thread(f"T{n}") for n in range(20)])
    client, url = as_user(people.editor), reverse("processes:builder", args=[process.pk])
    client.get(url)
    with django_assert_max_num_queries(13):
        client.get(url)


def test_the_list_is_searched(people: People, as_user: AsUser, make_process: Make, make_thread: Make) -> None:
    thread = make_thread()
    make_process("Nightly report", threads=[thread])
    make_process("Hourly check", threads=[thread])
    found = as_user(people.viewer).get(reverse("processes:list"), {"q": "night"}, headers=PARTIAL).content.decode()
    assert "Nightly report" in found
    assert "Hourly check" not in found
    assert "<html" not in found


ROLES = ("stranger", "viewer", "runner", "editor", "owner", "operator")
DOORS = [
    ("get", "processes:builder", "viewer"),
    ("get", "processes:runs", "viewer"),
    ("get", "processes:delete", "editor"),
    ("post", "processes:builder", "editor"),
    ("post", "processes:delete", "editor"),
    ("post", "history:start_process", "runner"),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "view", "needed"), DOORS)
def test_each_role_may_what_it_may(
    people: People, as_user: AsUser, make_process: Make, method: str, view: str, needed: str, role: str
) -> None:
    process = make_process()
    response = getattr(as_user(people.named(role)), method)(reverse(view, args=[process.pk]))
    if role == "stranger":
        assert response.status_code == 404
    elif role != "operator" and ROLES.index(role) < ROLES.index(needed):
        assert response.status_code == 403
    else:
        assert response.status_code in (200, 302, 422)


def test_a_viewer_sees_the_steps_but_nothing_to_change_them(people: People, as_user: AsUser, make_process: Make) -> None:
    process = make_process()
    page = as_user(people.viewer).get(reverse("processes:builder", args=[process.pk])).content.decode()
    assert "Hello" in page
    for control in ("builder-form", "step-thread", "data-move", 'id="library"', "history/start"):
        assert control not in page
    assert as_user(people.viewer).get(NEW).status_code == 403
    assert as_user(people.viewer).get(reverse("processes:step", args=[process.steps.get().thread_id])).status_code == 403


def test_odd_characters_break_nothing(people: People, as_user: AsUser, make_thread: Make) -> None:
    thread, client = make_thread(), as_user(people.editor)
    for odd in ('"><script>', "a\0b", "", "'" * 300):
        response = client.post(NEW, sent(step(thread, odd, timeout=odd or "x"), name="x\0" if odd else "fine"))
        assert response.status_code == 422
        assert "<script>" not in response.content.decode().partition('id="steps"')[2].partition("</ol>")[0]
    for address in (f"/processes/{10**30}", f"/processes/step/{10**30}", f"/processes/new?thread={10**17}"):
        assert client.get(address).status_code == 404
    assert client.get(NEW, {"team": "a\0b"}).status_code == 200
    assert not Process.objects.exists()
