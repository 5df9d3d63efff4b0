"""A second process of an installation, told what to do line by line: what workers, clocks and people do beside the web server."""

import importlib
import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pyscheduler.settings")
ROLES = ("owner", "editor", "runner", "viewer")


def seed() -> dict[str, Any]:
    """One team with its four members, a stranger with a team of his own, the operator; each with a session and a key."""
    from accounts.models import User
    from accounts.roles import Role
    from accounts.services import create_api_key, create_team, set_member

    users = {name: User.objects.create_user(name, f"{name}@example.org", "secret") for name in (*ROLES, "stranger")}
    users["operator"] = User.objects.create_superuser("operator", "operator@example.org", "secret")
    team = create_team(name="Weather", user=users["owner"])
    for role in ROLES[1:]:
        set_member(team=team, member=users[role], role=Role(role), user=users["owner"])
    other = create_team(name="Elsewhere", user=users["stranger"])
    people = {
        name: {"id": user.pk, "session": log_in(user.pk), "key": create_api_key(user=user, name="Test", by=user)[1]}
        for name, user in users.items()
    }
    return {"people": people, "team": team.pk, "other_team": other.pk}


def log_in(user_id: int) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from accounts.models import User

    user = User.objects.get(pk=user_id)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    assert session.session_key
    return session.session_key


def log_out(session: str) -> None:
    from django.contrib.sessions.backends.db import SessionStore

    SessionStore(session).delete()


def publish(topic: str, subject_id: int | None, team_id: int | None, times: int = 1, **state: Any) -> int:
    """The id of the last event."""
    from django.db import transaction

    from events import services
    from events.models import Event

    for number in range(times):
        with transaction.atomic():
            services.publish(topic, subject_id, team_id=team_id, **(state | ({"n": number} if times > 1 else {})))
    return Event.objects.order_by("-pk").values_list("pk", flat=True)[0]


def publish_many(topic: str, first: int, count: int, team_id: int) -> None:
    from events import services
    from events.models import Event

    services.publish_all([Event(topic=topic, subject_id=first + n, team_id=team_id, payload={}) for n in range(count)])


def forget_events(up_to: int) -> None:
    from events.models import Event

    Event.objects.filter(pk__lte=up_to).delete()


def new_run(user_id: int, team_id: int) -> int:
    from accounts.models import Team, User
    from history.services import queue_run
    from history.status import Trigger
    from threads.services import create_thread

    user = User.objects.get(pk=user_id)
    thread = create_thread(team=Team.objects.get(pk=team_id), user=user, name="Hello", source="print('hello')\n")
    return queue_run(target=thread, user=user, trigger=Trigger.MANUAL).pk


def start_run(run_id: int) -> None:
    from django.utils import timezone

    _change_run(run_id, status="running", started_at=timezone.now(), claim_token="t")


def end_run(run_id: int, status: str = "success") -> None:
    from django.utils import timezone

    _change_run(run_id, status=status, finished_at=timezone.now())


def _change_run(run_id: int, **fields: Any) -> None:
    from django.db import transaction

    from events.services import publish_all
    from history.models import Run
    from history.services import run_event

    with transaction.atomic():
        Run.objects.filter(pk=run_id).update(**fields)
        publish_all([run_event(Run.objects.get(pk=run_id))])


def leave_team(user_id: int, team_id: int) -> None:
    from accounts.models import Membership

    Membership.objects.filter(user=user_id, team=team_id).delete()


def reconnect() -> None:
    from django.db import connections

    connections.close_all()


def main() -> None:
    django.setup()
    verbs = vars(importlib.import_module("tests.pen"))
    for line in sys.stdin:
        order = json.loads(line)
        result = verbs[order.pop("do")](**order)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
