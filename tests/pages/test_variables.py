"""The panel of a thread's variables, the page of a team's, and both in the admin."""

from typing import Any

import pytest
from django.urls import reverse

from threads.models import Variable
from threads.sealing import open_sealed
from threads.variables import set_variable

SECRET = "nobody-reads-me-4711"


def page(client: Any, path: str) -> str:
    return str(client.get(path).content.decode())


@pytest.fixture
def thread(make_thread: Any) -> Any:
    return make_thread("Fetch")


def test_a_secret_is_set_on_the_threads_page_and_never_shown(as_user: Any, people: Any, thread: Any) -> None:
    client = as_user(people.editor)
    path = f"/threads/{thread.pk}"
    answer = client.post(f"{path}/variables", {"name": "TOKEN", "value": f"{SECRET}\r\nline", "is_secret": "on"}, follow=True)
    shown = answer.content.decode()
    assert "The secret TOKEN is set; it is not shown again." in shown
    assert "by editor" in shown
    assert SECRET not in shown
    assert open_sealed(Variable.objects.get().sealed) == f"{SECRET}\nline"


def test_what_the_team_gives_is_shown_unless_the_thread_replaces_it(as_user: Any, people: Any, thread: Any) -> None:
    given = {"team": people.team, "user": people.owner}
    set_variable(**given, name="REGION", value="everywhere")
    set_variable(**given, name="MODE", value="of-the-team")
    set_variable(**given, name="MODE", value="of-the-thread", thread=thread)
    shown = page(as_user(people.viewer), f"/threads/{thread.pk}")
    assert "everywhere" in shown
    assert "of-the-thread" in shown
    assert "of-the-team" not in shown
    assert "Set a variable or secret" not in shown


def test_a_refused_variable_keeps_what_was_typed_beside_the_reason(as_user: Any, people: Any, thread: Any) -> None:
    client = as_user(people.editor)
    for path in (f"/threads/{thread.pk}/variables", "/threads/variables"):
        answer = client.post(path, {"name": "lower", "value": "typed-in", "team": people.team.slug})
        shown = answer.content.decode()
        assert answer.status_code == 422
        assert "capital letters" in shown
        assert "typed-in" in shown
    part = client.post(f"/threads/{thread.pk}/variables", {"name": "PATH", "value": ""}, headers={"HX-Request": "true"})
    assert part.content.decode().lstrip().startswith("<section")
    assert not Variable.objects.exists()


def test_ids_of_fields_are_there_once(as_user: Any, people: Any, thread: Any) -> None:
    """The settings have a name as well."""
    shown = page(as_user(people.editor), f"/threads/{thread.pk}")
    ids = [part.split('"')[0] for part in shown.split(' id="')[1:]]
    assert sorted(ids) == sorted(set(ids))


def test_the_teams_page_has_a_card_for_each_team(as_user: Any, people: Any) -> None:
    set_variable(team=people.team, user=people.owner, name="TOKEN", value=SECRET, is_secret=True)
    shown = page(as_user(people.operator), "/threads/variables")
    assert "Elsewhere" in shown
    assert SECRET not in shown
    client = as_user(people.editor)
    client.post("/threads/variables", {"name": "TOKEN", "value": "plain now", "team": people.team.slug})
    assert "plain now" in page(client, "/threads/variables")
    client.post(f"/threads/variables/{Variable.objects.get().pk}/delete")
    assert not Variable.objects.exists()


def test_the_number_of_questions_does_not_grow_with_the_variables(
    as_user: Any, people: Any, thread: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        set_variable(team=people.team, user=people.owner, name=f"V{number}", value="x")
    client = as_user(people.editor)
    with django_assert_max_num_queries(12):
        client.get("/threads/variables")


def test_the_admin_sets_secrets_and_does_not_show_them(as_user: Any, people: Any, thread: Any) -> None:
    client = as_user(people.operator)
    sent = {"team": people.team.pk, "thread": thread.pk, "name": "TOKEN", "is_secret": "on", "value": SECRET}
    client.post(reverse("admin:threads_variable_add"), sent)
    variable = Variable.objects.get()
    change = reverse("admin:threads_variable_change", args=[variable.pk])
    for path in (change, reverse("admin:threads_variable_changelist"), reverse("admin:threads_variable_history", args=[variable.pk])):
        assert SECRET not in page(client, path)
        assert variable.sealed not in page(client, path)
    assert client.post(change, {"is_secret": "on", "value": ""}).status_code == 302
    assert open_sealed(Variable.objects.get().sealed) == SECRET
    assert "give the value that everybody may see" in client.post(change, {"value": ""}).content.decode()
    client.post(change, {"value": "seen"})
    assert Variable.objects.get().value == "seen"
    client.post(reverse("admin:threads_variable_delete", args=[variable.pk]), {"post": "yes"})
    assert not Variable.objects.exists()
