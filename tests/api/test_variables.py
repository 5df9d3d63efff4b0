"""Variables and secrets over the API: what goes in, and what never comes out."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from accounts.models import AuditEntry
from threads.models import Thread, Variable
from threads.sealing import open_sealed
from threads.variables import MAX_VALUE_BYTES, set_variable

SECRET = "nobody-reads-me-4711"


def test_a_secret_is_never_given_back(people: Any, by_key: Any, make_thread: Any) -> None:
    owner, thread = by_key(people.owner), make_thread()
    made = owner.ok("POST", "variables", {"name": "TOKEN", "value": SECRET, "secret": True, "thread": thread.pk}, status=201)
    owner.ok("PATCH", f"threads/{thread.pk}", {"env": {"TOKEN": {"secret": True}, "MODE": "fast"}})
    for path in ("variables", f"variables/{made['id']}", f"threads/{thread.pk}", "threads", "audit"):
        assert SECRET not in json.dumps(owner.ok("GET", path))
    assert owner.ok("GET", f"variables/{made['id']}")["value"] is None
    assert owner.ok("GET", f"threads/{thread.pk}")["env"] == {"MODE": "fast", "TOKEN": {"secret": True}}
    assert open_sealed(Variable.objects.get(name="TOKEN").sealed) == SECRET
    assert SECRET not in json.dumps(list(AuditEntry.objects.values_list("detail", flat=True)))
    lines = AuditEntry.objects.filter(target_type="variable").values_list("verb", "target_name", "detail__secret")
    assert set(lines) == {("created", "TOKEN", True), ("created", "MODE", False)}


def test_a_threads_env_is_what_was_sent(people: Any, by_key: Any) -> None:
    editor = by_key(people.editor)
    env = {"MODE": "fast", "TOKEN": {"secret": True, "value": SECRET}}
    thread = editor.ok("POST", "threads", {"name": "New", "source": "pass\n", "env": env}, status=201)
    path = f"threads/{thread['id']}"
    assert thread["env"] == {"MODE": "fast", "TOKEN": {"secret": True}}
    assert editor.ok("PATCH", path, {"name": "Other"})["env"] == thread["env"]
    assert editor.ok("PUT", path, {"name": "Other", "source": "pass\n"})["env"] == thread["env"]
    kept = Variable.objects.get(name="TOKEN").sealed
    assert editor.ok("PATCH", path, {"env": {"TOKEN": {"secret": True}}})["env"] == {"TOKEN": {"secret": True}}
    assert Variable.objects.get(name="TOKEN").sealed == kept
    assert editor.ok("PATCH", path, {"env": {}})["env"] == {}
    assert not Variable.objects.exists()


def test_an_env_comes_beside_files_too(people: Any, by_key: Any) -> None:
    form = {
        "script": SimpleUploadedFile("a.py", b"pass\n"),
        "env": json.dumps({"MODE": "fast", "TOKEN": {"secret": True, "value": SECRET}}),
    }
    answer = by_key(people.editor).raw("POST", "threads", encode_multipart(BOUNDARY, form), MULTIPART_CONTENT)
    assert (answer.status_code, answer.json()["env"]) == (201, {"MODE": "fast", "TOKEN": {"secret": True}})


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"TOKEN": {"secret": True}}, 'there is no such secret yet, so give its value: {"secret": true, "value": "TEXT"}.'),
        ({"MODE": 1}, 'MODE: use a text, or {"secret": true, "value": "TEXT"} for a secret.'),
        ({"MODE": {"secret": False, "value": "x"}}, "use a text"),
        ({"MODE": {"secret": True, "value": 1}}, "use a text"),
        ({"mode": "x"}, "capital letters"),
        ({"PATH": "/tmp"}, "set by the platform"),
        ({"LD_PRELOAD": "x.so"}, "set by the platform"),
        ({"MODE": "x" * (MAX_VALUE_BYTES + 1)}, "the limit is"),
        (["MODE"], 'names with values, as in {"BASE_URL": "https://example.org", "API_TOKEN": {"secret": true, "value": "TEXT"}}.'),
        ("MODE=fast", "names with values"),
    ],
)
def test_an_env_that_cannot_be_is_refused_beside_its_field(people: Any, by_key: Any, env: Any, words: str) -> None:
    error = by_key(people.editor).refused("POST", "threads", {"name": "New", "source": "pass\n", "env": env})
    assert words in error["fields"]["env"][0]
    assert not Thread.objects.filter(name="New").exists()


def test_a_name_is_taken_once(people: Any, by_key: Any, make_thread: Any) -> None:
    editor, thread = by_key(people.editor), make_thread()
    for place in ({}, {"thread": thread.pk}):
        editor.ok("POST", "variables", {"name": "MODE", "value": "a", **place}, status=201)
        editor.refused("POST", "variables", {"name": "MODE", "value": "b", **place}, status=409)
    assert [row["thread"] for row in editor.ok("GET", f"variables?thread={thread.pk}")["results"]] == [thread.pk]


def test_a_thread_of_others_takes_no_variable(people: Any, by_key: Any, make_thread: Any) -> None:
    theirs = make_thread(team=people.other_team, user=people.stranger)
    error = by_key(people.editor).refused("POST", "variables", {"name": "MODE", "value": "a", "thread": theirs.pk})
    assert "thread" in error["fields"]


def test_a_secret_becomes_plain_with_a_new_value_alone(people: Any, by_key: Any) -> None:
    editor = by_key(people.editor)
    path = f"variables/{set_variable(team=people.team, user=people.editor, name='MODE', value='was', is_secret=False).pk}"
    assert editor.ok("PATCH", path, {"secret": True})["secret"] is True
    assert open_sealed(Variable.objects.get().sealed) == "was"
    assert "value" in editor.refused("PATCH", path, {"secret": False})["fields"]
    assert editor.ok("PATCH", path, {"secret": False, "value": "seen"})["value"] == "seen"


def test_all_of_a_team_together_have_a_limit(people: Any, by_key: Any) -> None:
    editor = by_key(people.editor)
    for name in ("A", "B"):
        editor.ok("POST", "variables", {"name": name, "value": "x" * 15_900, "secret": name == "A"}, status=201)
    assert "together" in editor.refused("POST", "variables", {"name": "C", "value": "x" * 500})["message"]
