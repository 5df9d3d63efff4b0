"""All calls of the API with a body that is good for each, and whom each serves: what several tests go through."""

from dataclasses import dataclass, field
from typing import Any

from accounts.models import Membership
from accounts.roles import Role
from accounts.services import create_api_key
from core import layout
from environments.models import Environment
from history.models import Artifact, Run
from history.services import queue_run
from history.status import Trigger
from processes.services import StepPlan, create_process
from schedules.pauses import pause_schedule
from schedules.services import create_schedule
from threads.models import Thread
from threads.services import create_folder, create_thread
from threads.variables import set_variable

ALL = "whoever is logged in"
OPEN = "everybody"
SPECIAL = "see its own test"


@dataclass(frozen=True)
class Call:
    """`path` names things of the world in braces. `needs`: a role of the team, or who else. `stranger`: what a stranger is told."""

    method: str
    path: str
    needs: Role | str
    status: int = 200
    body: dict[str, Any] | None = field(default=None, hash=False)
    stranger: int = 404

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


VIEWER, RUNNER, EDITOR, OWNER = Role.VIEWER, Role.RUNNER, Role.EDITOR, Role.OWNER
# A stranger who names a team or a thread in a body is told that there is none: 400, beside the field.
NAMED = 400

CALLS = [
    Call("GET", "health", OPEN),
    Call("GET", "isolation", SPECIAL),
    Call("POST", "isolation", SPECIAL),
    Call("GET", "maintenance", ALL),
    Call("POST", "maintenance", SPECIAL, body={"reason": "New disks"}),
    Call("DELETE", "maintenance", SPECIAL, 204),
    Call("GET", "version", ALL),
    Call("GET", "stats", ALL),
    Call("GET", "schema", ALL),
    Call("GET", "docs", ALL),
    Call("POST", "auth/login", OPEN, body={"username": "owner", "password": "secret"}),
    Call("POST", "auth/logout", SPECIAL, 204),
    Call("GET", "teams", ALL),
    Call("POST", "teams", ALL, 201, {"name": "New"}),
    Call("GET", "teams/{team}", VIEWER),
    Call("PATCH", "teams/{team}", OWNER, body={"name": "Renamed"}),
    Call("GET", "members", ALL),
    Call("POST", "members", OWNER, 201, {"team": "weather", "user": "stranger", "role": "viewer"}, NAMED),
    Call("GET", "members/{member}", VIEWER),
    Call("PATCH", "members/{member}", OWNER, body={"role": "runner"}),
    Call("DELETE", "members/{member}", OWNER, 204),
    Call("GET", "api-keys", ALL),
    Call("POST", "api-keys", ALL, 201, {"name": "Mine", "team": None, "scopes": ["read"], "days": 30}),
    Call("GET", "api-keys/{key}", SPECIAL),
    Call("DELETE", "api-keys/{key}", SPECIAL, 204),
    Call("GET", "audit", SPECIAL),
    Call("GET", "folders", ALL),
    Call("POST", "folders", EDITOR, 201, {"team": "weather", "name": "Below", "parent": "{folder}"}, NAMED),
    Call("GET", "folders/{folder}", VIEWER),
    Call("DELETE", "folders/{folder}", EDITOR, 204),
    Call("GET", "threads", ALL),
    Call(
        "POST",
        "threads",
        EDITOR,
        201,
        {
            "team": "weather",
            "name": "New",
            "source": "print(1)\n",
            "folder": None,
            "type": "data",
            "description": "",
            "timeout_seconds": 60,
            "enabled": True,
        },
        NAMED,
    ),
    Call("GET", "threads/{thread}", VIEWER),
    Call(
        "PUT",
        "threads/{thread}",
        EDITOR,
        body={
            "team": "weather",
            "name": "Other",
            "source": "print(2)\n",
            "folder": "{folder}",
            "type": "other",
            "description": "",
            "timeout_seconds": 60,
            "enabled": True,
        },
    ),
    Call("PATCH", "threads/{thread}", EDITOR, body={"name": "Other", "source": "print(3)\n"}),
    Call("DELETE", "threads/{thread}", EDITOR, 204),
    Call("POST", "threads/{thread}/run", RUNNER, 201, {"parameters": {"a": 1}, "priority": 5}),
    Call("GET", "threads/free/trigger", RUNNER, 202),
    Call("POST", "threads/free/trigger", RUNNER, 202, {"parameters": {"a": 1}, "priority": 5}),
    Call("GET", "threads/{thread}/draft", VIEWER),
    Call("PATCH", "threads/{thread}/draft", EDITOR, body={"source": "half", "revision": 1}),
    Call("POST", "threads/{thread}/publish", EDITOR, 201, {"message": "Better"}),
    Call("GET", "threads/{thread}/versions", VIEWER),
    Call("GET", "threads/{thread}/versions/1", VIEWER),
    Call("POST", "threads/{thread}/versions/1/restore", EDITOR, 201, {}),
    Call("GET", "threads/{thread}/environment", VIEWER),
    # It asks for none, so there is nothing to rebuild.
    Call("POST", "threads/{thread}/environment/rebuild", EDITOR, 409, {}),
    Call("GET", "environments", ALL),
    Call("GET", "environments/{environment}", VIEWER),
    Call("GET", "variables", ALL),
    Call("POST", "variables", EDITOR, 201, {"team": "weather", "thread": "{thread}", "name": "TOKEN", "value": "x", "secret": True}, NAMED),
    Call("GET", "variables/{variable}", VIEWER),
    Call("PATCH", "variables/{variable}", EDITOR, body={"value": "other", "secret": False}),
    Call("DELETE", "variables/{variable}", EDITOR, 204),
    Call("GET", "processes", ALL),
    Call(
        "POST",
        "processes",
        EDITOR,
        201,
        {
            "team": "weather",
            "name": "New",
            "description": "",
            "enabled": True,
            "steps": [
                {"position": 1, "thread": "{thread}", "stage": 1, "parameters": {"a": 1}, "on_failure": "continue", "timeout_seconds": None}
            ],
        },
        NAMED,
    ),
    Call("GET", "processes/{process}", VIEWER),
    Call("PUT", "processes/{process}", EDITOR, body={"name": "Other", "steps": []}),
    Call("PATCH", "processes/{process}", EDITOR, body={"enabled": False}),
    Call("DELETE", "processes/{process}", EDITOR, 204),
    Call("POST", "processes/{process}/run", RUNNER, 201, {"parameters": {"a": 1}, "priority": -5}),
    Call("GET", "processes/nightly/trigger", RUNNER, 202),
    Call("POST", "processes/nightly/trigger", RUNNER, 202, {"parameters": {"a": 1}}),
    Call("GET", "schedules", ALL),
    Call(
        "POST",
        "schedules",
        EDITOR,
        201,
        {
            "team": "weather",
            "name": "New",
            "target_type": "thread",
            "target": "{thread}",
            "kind": "cron",
            "cron": "0 7 * * *",
            "interval_seconds": None,
            "run_at": None,
            "timezone": "Europe/Berlin",
            "enabled": True,
            "priority": 0,
            "parameters": {},
            "starts_at": "2031-01-01T00:00",
            "ends_at": None,
            "jitter_seconds": 5,
            "overlap": "queue",
            "missed": "skip",
            "retries": 1,
            "timeout_seconds": None,
        },
        NAMED,
    ),
    Call("GET", "schedules/status", ALL),
    Call("GET", "schedules/templates", ALL),
    Call(
        "POST",
        "schedules/preview",
        ALL,
        body={
            "kind": "interval",
            "cron": "",
            "interval_seconds": 60,
            "run_at": None,
            "timezone": "UTC",
            "after": "2026-03-29T00:00:00+01:00",
            "count": 3,
        },
    ),
    Call("GET", "schedules/{schedule}", VIEWER),
    Call(
        "PUT",
        "schedules/{schedule}",
        EDITOR,
        body={"name": "Other", "target_type": "process", "target": "{process}", "kind": "once", "run_at": "2099-01-01T00:00:00Z"},
    ),
    Call("PATCH", "schedules/{schedule}", EDITOR, body={"kind": "interval", "interval_seconds": 60}),
    Call("DELETE", "schedules/{schedule}", EDITOR, 204),
    Call("POST", "schedules/{schedule}/toggle", EDITOR, body={"enabled": False}),
    Call("POST", "schedules/{schedule}/clone", EDITOR, 201, {}),
    Call("POST", "schedules/{schedule}/skip-next", EDITOR, body={"skip": True}),
    Call("GET", "schedules/{schedule}/pauses", VIEWER),
    Call("POST", "schedules/{schedule}/pauses", EDITOR, 201, {"ends_at": "2099-01-01T00:00:00Z", "reason": "New disks"}),
    Call("DELETE", "schedules/{schedule}/pauses/{pause}", EDITOR, 204),
    Call("POST", "schedules/stop", SPECIAL, 201, {"reason": "New disks"}),
    Call("POST", "schedules/start", SPECIAL, 409, {}),
    Call("POST", "schedules/{schedule}/run", RUNNER, 201, {}),
    Call("GET", "schedules/{schedule}/runs", VIEWER),
    Call("GET", "runs", ALL),
    Call("GET", "runs/{run}", VIEWER),
    Call("GET", "runs/{run}/changes", VIEWER),
    Call("POST", "runs/{run}/stop", RUNNER, body={}),
    Call("GET", "runs/{run}/resources", VIEWER),
    # It has not started yet.
    Call("POST", "runs/{run}/retry", RUNNER, 409, {}),
    Call("POST", "runs/{run}/pause", RUNNER, 409, {}),
    Call("POST", "runs/{run}/resume", RUNNER, 409, {}),
    Call("GET", "runs/{run}/log", VIEWER),
    Call("GET", "runs/{run}/files", VIEWER),
    Call("GET", "runs/{run}/files/out/table.csv", VIEWER),
]


@dataclass(frozen=True)
class World:
    ids: dict[str, int]

    def path(self, call: Call) -> str:
        return call.path.format(**self.ids)

    def body(self, call: Call) -> Any:
        return self._filled(call.body)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._filled(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner) for inner in value]
        if isinstance(value, str) and value.startswith("{"):
            return self.ids[value.strip("{}")]
        return value


def build(people: Any) -> World:
    """One of each thing, in the team of the four roles."""
    team, editor = people.team, people.editor
    folder = create_folder(team=team, user=editor, name="Reports")
    thread = create_thread(team=team, user=editor, name="Free", source="print('free')\n")
    used = create_thread(team=team, user=editor, name="Used", source="print('used')\n")
    process = create_process(team=team, user=editor, name="Nightly", steps=[StepPlan(thread=used, stage=1)])
    schedule = create_schedule(team=team, user=editor, name="Daily", target=process, kind="cron", cron="0 7 * * *")
    run = queue_run(target=process, user=people.runner, trigger=Trigger.MANUAL)
    variable = set_variable(team=team, user=editor, name="REGION", value="weather", is_secret=True)
    key, _ = create_api_key(user=people.runner, name="Runner's", by=people.runner, team=team)
    member = Membership.objects.get(user=people.viewer, team=team)
    environment = Environment.objects.create(key="0" * 64, python_version="3.13.0", packages={"six": "1.17.0"}, lock="six==1.17.0")
    Thread.objects.filter(pk=used.pk).update(environment=environment)
    _with_file(run)
    things = {
        "team": team,
        "folder": folder,
        "thread": thread,
        "process": process,
        "schedule": schedule,
        "pause": pause_schedule(schedule=schedule, user=editor, reason="Stock-taking"),
        "run": run,
        "key": key,
        "variable": variable,
        "environment": environment,
        "member": member,
    }
    return World({name: thing.pk for name, thing in things.items()})


def _with_file(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(output_dir="nightly/now")
    path = layout.run_directory("nightly/now") / "out" / "table.csv"
    path.parent.mkdir(parents=True)
    path.write_text("a,b\n1,2\n")
    Artifact.objects.create(run=run, path="out/table.csv", size_bytes=8, modified_at=run.queued_at)
