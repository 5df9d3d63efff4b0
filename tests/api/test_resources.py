"""Threads, processes, schedules, teams: what the calls do, in the contract's shapes."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from accounts.roles import Role
from accounts.services import set_member
from schedules.services import create_schedule
from tests.api.conftest import Caller

THREAD = {
    "id",
    "team",
    "folder",
    "name",
    "safe_name",
    "type",
    "description",
    "source",
    "version",
    "files",
    "python_version",
    "requirements",
    "environment",
    "env",
    "timeout_seconds",
    "memory_limit_mb",
    "cpu_limit",
    "process_limit",
    "output_limit_mb",
    "directory_limit_mb",
    "network",
    "max_runs",
    "retries",
    "retry_delay_seconds",
    "retry_exit_codes",
    "enabled",
    "created_at",
    "updated_at",
    "last_run",
    "stats",
}
SCHEDULE = {
    "starts_at",
    "ends_at",
    "jitter_seconds",
    "overlap",
    "missed",
    "retries",
    "timeout_seconds",
    "skip_next_by",
    "id",
    "team",
    "name",
    "target_type",
    "target",
    "kind",
    "cron",
    "interval_seconds",
    "run_at",
    "timezone",
    "enabled",
    "priority",
    "parameters",
    "next_run_at",
    "last_run",
    "run_count",
    "fault",
    "created_at",
    "updated_at",
}


def test_name_and_source_make_a_thread(editor: Caller) -> None:
    response = editor.call("POST", "threads", {"name": "Hello World", "source": "print(1)\n"})
    assert response.status_code == 201
    thread = response.json()
    assert thread.keys() == THREAD
    assert (thread["safe_name"], thread["team"], thread["version"], thread["source"]) == ("hello-world", "weather", 1, "print(1)\n")
    assert response.headers["Location"] == f"/api/v1/threads/{thread['id']}"
    assert editor.ok("GET", f"threads/{thread['id']}") == thread
    assert editor.ok("GET", "threads")["results"] == [thread]


def test_files_make_a_thread(editor: Caller) -> None:
    files = {
        "script": SimpleUploadedFile("fetch.py", b"print(1)\n"),
        "input_file": SimpleUploadedFile("pages.csv", b"url\n/a\n"),
        "files": [SimpleUploadedFile("helper.py", b"x = 1\n"), SimpleUploadedFile("__init__.py", b"")],
    }
    response = editor.client.post("/api/v1/threads", files)
    assert response.status_code == 201, response.content
    thread = response.json()
    assert (thread["name"], thread["enabled"]) == ("fetch", True)
    assert [(file["path"], file["role"]) for file in thread["files"]] == [
        ("__init__.py", "extra"),
        ("helper.py", "extra"),
        ("pages.csv", "input"),
    ]


def test_a_thread_without_source_is_a_draft_that_cannot_run(editor: Caller) -> None:
    thread = editor.ok("POST", "threads", {"name": "Idea"}, 201)
    assert (thread["version"], thread["source"]) == (None, "")
    assert "version" in editor.refused("POST", f"threads/{thread['id']}/run", {}, status=409)["message"]


def test_a_changed_source_is_a_new_version_and_the_same_is_none(editor: Caller) -> None:
    thread = editor.ok("POST", "threads", {"name": "One", "source": "a = 1\n"}, 201)
    path = f"threads/{thread['id']}"
    assert editor.ok("PATCH", path, {"source": "a = 2\n", "name": "Two"})["version"] == 2
    assert editor.ok("PATCH", path, {"source": "a = 2\n"})["version"] == 2
    assert editor.ok("GET", f"{path}/draft")["source"] == "a = 2\n"
    refused = editor.refused("PATCH", path, {"source": "a =\n", "name": "Three"})
    assert "Line 1" in refused["fields"]["source"][0]
    assert editor.ok("GET", path)["name"] == "Two"


def test_a_thread_read_can_be_put_back(editor: Caller) -> None:
    thread = editor.ok("POST", "threads", {"name": "One", "source": "a = 1\n", "description": "Words", "timeout_seconds": 5}, 201)
    path = f"threads/{thread['id']}"
    again = editor.ok("PUT", path, thread | {"name": "Other"})
    assert (again["name"], again["description"], again["timeout_seconds"], again["version"]) == ("Other", "Words", 5, 1)
    assert editor.ok("PUT", path, {"name": "Bare", "source": "a = 1\n"})["description"] == ""
    assert editor.refused("PATCH", path, {"safe_name": "mine"})["fields"]["safe_name"]
    assert editor.refused("PATCH", path, {"team": "elsewhere"})["fields"]["team"]


def test_files_are_added_and_taken_away(editor: Caller) -> None:
    thread = editor.ok("POST", "threads", {"name": "One", "source": "a = 1\n"}, 201)
    path = f"threads/{thread['id']}"

    body = encode_multipart(BOUNDARY, {"input_file": SimpleUploadedFile("in.csv", b"a\n1\n")})
    changed = editor.raw("PATCH", path, body, MULTIPART_CONTENT).json()
    assert [file["path"] for file in changed["files"]] == ["in.csv"]
    assert changed["source"] == "a = 1\n"
    body = encode_multipart(BOUNDARY, {"remove": "in.csv"})
    assert editor.raw("PATCH", path, body, MULTIPART_CONTENT).json()["files"] == []


def test_drafts_are_saved_published_and_not_overwritten(editor: Caller) -> None:
    thread = editor.ok("POST", "threads", {"name": "One", "source": "a = 1\n"}, 201)
    path = f"threads/{thread['id']}"
    draft = editor.ok("GET", f"{path}/draft")
    saved = editor.ok("PATCH", f"{path}/draft", {"source": "a = (", "revision": draft["revision"]})
    assert saved["revision"] == draft["revision"] + 1
    editor.refused("PATCH", f"{path}/draft", {"source": "lost", "revision": draft["revision"]}, status=409)
    assert editor.refused("POST", f"{path}/publish", {})["fields"]["source"]
    editor.ok("PATCH", f"{path}/draft", {"source": "a = 2\n"})
    version = editor.ok("POST", f"{path}/publish", {"message": "Two"}, 201)
    assert (version["number"], version["message"], version["created_by"], version["source"]) == (2, "Two", "editor", "a = 2\n")
    assert [row["number"] for row in editor.ok("GET", f"{path}/versions")["results"]] == [2, 1]
    assert editor.ok("POST", f"{path}/versions/1/restore", {}, 201)["number"] == 3
    assert editor.ok("GET", f"{path}/versions/3")["source"] == "a = 1\n"
    assert editor.ok("GET", path)["source"] == "a = 1\n"


def test_a_thread_in_use_is_not_deleted(editor: Caller, make_thread: Any, make_process: Any) -> None:
    thread = make_thread()
    process = make_process("Nightly", [thread])
    assert "Nightly" in editor.refused("DELETE", f"threads/{thread.pk}", status=409)["message"]
    editor.ok("DELETE", f"processes/{process.pk}", status=204)
    editor.ok("DELETE", f"threads/{thread.pk}", status=204)
    editor.refused("GET", f"threads/{thread.pk}", status=404)


def test_threads_are_found(editor: Caller, make_thread: Any) -> None:
    folder = editor.ok("POST", "folders", {"name": "Reports"}, 201)
    make_thread("Alpha", type="data")
    editor.ok("POST", "threads", {"name": "Beta", "folder": folder["id"]}, 201)
    for query, names in [
        ("q=alp", ["Alpha"]),
        ("type=data", ["Alpha"]),
        (f"folder={folder['id']}", ["Beta"]),
        ("folder=0", ["Alpha"]),
        ("safe_name=beta", ["Beta"]),
        ("enabled=false", []),
        ("team=weather", ["Beta", "Alpha"]),
    ]:
        assert [row["name"] for row in editor.ok("GET", f"threads?{query}")["results"]] == names, query
    assert editor.refused("GET", "threads?colour=red")["fields"]["colour"]
    assert editor.refused("GET", "threads?team=elsewhere")["fields"]["team"]


def test_a_process_is_made_changed_and_read(editor: Caller, make_thread: Any) -> None:
    one, two = make_thread("One").pk, make_thread("Two").pk
    process = editor.ok(
        "POST", "processes", {"name": "Nightly", "steps": [{"thread": one}, {"thread": two, "on_failure": "continue"}]}, 201
    )
    assert [(step["position"], step["stage"], step["thread"], step["on_failure"]) for step in process["steps"]] == [
        (1, 1, one, "stop"),
        (2, 2, two, "continue"),
    ]
    path = f"processes/{process['id']}"
    side = editor.ok(
        "PATCH", path, {"steps": [{"thread": one, "stage": 1, "parameters": {"a": 1}}, {"thread": one, "stage": 1, "timeout_seconds": 9}]}
    )
    assert [step["stage"] for step in side["steps"]] == [1, 1]
    assert editor.ok("PUT", path, side) == side | {"updated_at": editor.ok("GET", path)["updated_at"]}
    assert editor.ok("PATCH", path, {"name": "Other"})["steps"] == side["steps"]


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([{"thread": 999}], "steps.0.thread"),
        ([{"thread": "{0}"}, {"thread": "{0}", "on_failure": "hope"}], "steps.1.on_failure"),
        ([{}], "steps.0.thread"),
        ([{"thread": "{0}", "parameters": {"a": "x" * 60_000}}], "steps.0.parameters"),
        ([{"thread": "{0}", "timeout_seconds": 0}], "steps.0.timeout_seconds"),
        ([{"thread": "{0}", "retry": 1}], "steps.0.retry"),
        ([{"thread": "{0}"}] * 101, "steps"),
    ],
)
def test_a_bad_step_is_refused_by_its_place(steps: Any, field: str, editor: Caller, make_thread: Any) -> None:
    pk = make_thread().pk
    steps = [{name: pk if value == "{0}" else value for name, value in step.items()} for step in steps]
    assert field in editor.refused("POST", "processes", {"name": "Nightly", "steps": steps})["fields"]
    assert editor.ok("GET", "processes")["results"] == []


def test_a_strangers_thread_cannot_be_a_step_or_a_target(editor: Caller, make_thread: Any, people: Any) -> None:
    foreign = make_thread("Foreign", team=people.other_team, user=people.stranger)
    assert editor.refused("POST", "processes", {"name": "Nightly", "steps": [{"thread": foreign.pk}]})["fields"]["steps.0.thread"]
    body = {"name": "Daily", "target_type": "thread", "target": foreign.pk, "kind": "manual"}
    assert editor.refused("POST", "schedules", body)["fields"]["target"]


def test_a_schedule_is_made_changed_toggled_and_run(editor: Caller, make_thread: Any) -> None:
    body = {
        "name": "Daily",
        "target_type": "thread",
        "target": make_thread().pk,
        "kind": "cron",
        "cron": "0 7 * * *",
        "timezone": "Europe/Berlin",
    }
    schedule = editor.ok("POST", "schedules", body, 201)
    assert schedule.keys() == SCHEDULE
    assert schedule["next_run_at"]
    path = f"schedules/{schedule['id']}"
    assert editor.ok("POST", f"{path}/toggle", {})["enabled"] is False
    assert editor.ok("POST", f"{path}/toggle", {"enabled": False})["next_run_at"] is None
    assert editor.ok("POST", f"{path}/toggle")["enabled"] is True
    run = editor.ok("POST", f"{path}/run", {}, 201)
    assert (run["schedule"], run["user"]) == (schedule["id"], "editor")
    assert [found["id"] for found in editor.ok("GET", f"{path}/runs")["results"]] == [run["id"]]
    again = editor.ok("GET", path)
    assert (again["last_run"]["id"], again["run_count"]) == (run["id"], 1)
    assert editor.ok("PATCH", path, {"kind": "interval", "interval_seconds": 3600})["cron"] == ""
    assert editor.ok("GET", "schedules/status")["next"][0]["id"] == schedule["id"]
    assert editor.ok("PUT", path, editor.ok("GET", path))["interval_seconds"] == 3600
    editor.ok("DELETE", path, status=204)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"kind": "once", "run_at": "2001-01-01T00:00:00Z"}, "run_at"),
        ({"kind": "interval"}, "interval_seconds"),
        ({"kind": "interval", "interval_seconds": 0}, "interval_seconds"),
        ({"kind": "yearly"}, "kind"),
        ({"priority": 101}, "priority"),
        ({"target": 999}, "target"),
        ({"target_type": "team"}, "target_type"),
        ({"overlap": "sometimes"}, "overlap"),
        ({"missed": "never"}, "missed"),
        ({"ends_at": "2001-01-01T00:00:00Z"}, "ends_at"),
        ({"jitter_seconds": -1}, "jitter_seconds"),
        ({"retries": 21}, "retries"),
        ({"calendar": 1}, "calendar"),
    ],
)
def test_a_bad_schedule_is_refused_by_field(change: Any, field: str, editor: Caller, make_thread: Any) -> None:
    body = {"name": "Daily", "target_type": "thread", "target": make_thread().pk, "kind": "cron", "cron": "0 7 * * *"}
    assert field in editor.refused("POST", "schedules", body | change)["fields"]


def test_schedules_are_found_by_their_name_and_by_their_targets(editor: Caller, make_thread: Any, people: Any) -> None:
    for name, target in (("Each hour", "Reports"), ("Nightly", "Clean up")):
        create_schedule(team=people.team, user=people.editor, name=name, target=make_thread(target), kind="manual")
    for text, found in (("hour", ["Each hour"]), ("clean", ["Nightly"]), ("nothing", []), ("", ["Nightly", "Each hour"])):
        assert [row["name"] for row in editor.ok("GET", f"schedules?q={text}")["results"]] == found


def test_a_preview_shows_times_words_and_clock_changes(viewer: Caller) -> None:
    body = {"kind": "cron", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "after": "2026-03-28T00:00:00Z", "count": 3}
    shown = viewer.ok("POST", "schedules/preview", body)
    assert shown["next"] == ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert "02:30" in shown["description"]
    assert any("29 March" in note for note in shown["notes"])
    assert viewer.refused("POST", "schedules/preview", {"kind": "cron", "cron": "61 * * * *"})["fields"]["cron"]
    assert len(viewer.ok("POST", "schedules/preview", {"kind": "interval", "interval_seconds": 60})["next"]) == 5


def test_teams_and_members(people: Any, by_session: Any) -> None:
    owner = by_session(people.owner)
    team = owner.ok("POST", "teams", {"name": "Night Shift"}, 201)
    assert (team["slug"], team["role"]) == ("night-shift", "owner")
    member = owner.ok("POST", "members", {"team": "night-shift", "user": "viewer", "role": "runner"}, 201)
    assert by_session(people.viewer).ok("GET", f"teams/{team['id']}")["role"] == "runner"
    assert owner.ok("PATCH", f"members/{member['id']}", {"role": "editor"})["role"] == "editor"
    myself = next(row for row in owner.ok("GET", "members?team=night-shift")["results"] if row["user"] == "owner")
    owner.refused("PATCH", f"members/{myself['id']}", {"role": "viewer"}, status=409)
    owner.refused("DELETE", f"members/{myself['id']}", status=409)
    owner.ok("DELETE", f"members/{member['id']}", status=204)
    assert owner.refused("POST", "members", {"team": "night-shift", "user": "ghost", "role": "viewer"})["fields"]["user"]
    assert {row["role"] for row in by_session(people.viewer).ok("GET", "teams")["results"]} == {"viewer"}


def test_folders(editor: Caller) -> None:
    top = editor.ok("POST", "folders", {"name": "Reports"}, 201)
    below = editor.ok("POST", "folders", {"name": "Daily", "parent": top["id"]}, 201)
    assert [row["id"] for row in editor.ok("GET", f"folders?parent={top['id']}")["results"]] == [below["id"]]
    assert [row["id"] for row in editor.ok("GET", "folders?parent=0")["results"]] == [top["id"]]
    editor.refused("DELETE", f"folders/{top['id']}", status=409)
    assert editor.refused("POST", "folders", {"name": "Lost", "parent": 999})["fields"]["parent"]


def test_who_writes_in_several_teams_says_for_which(people: Any, by_session: Any) -> None:

    set_member(team=people.other_team, member=people.editor, role=Role.EDITOR, user=people.stranger)
    assert "elsewhere" in by_session(people.editor).refused("POST", "threads", {"name": "Where"})["fields"]["team"][0]
