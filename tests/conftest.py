"""Standing people and makers for all tests.

The database is SQLite, or with PYSCHED_TEST_DATABASE=postgres a PostgreSQL server made here.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import pytest

_resources = ExitStack()


# Nothing of an installation beside the tests is read or written by them.
os.environ["PYSCHED_DATA_PATH"] = _resources.enter_context(tempfile.TemporaryDirectory(prefix="pysched-test-", ignore_cleanup_errors=True))
os.environ.setdefault("PYSCHED_SECRET_KEY", "a key for the tests alone, long enough to be taken")
os.environ["PYSCHED_RATE_LIMIT_ENABLED"] = "false"
if os.environ.get("PYSCHED_TEST_DATABASE") == "postgres":
    from tests import postgres

    os.environ["PYSCHED_DATABASE_URL"] = _resources.enter_context(postgres.server())

# Named here and not in pyproject.toml: pytest-django would read the settings before the lines above have said which.
os.environ["DJANGO_SETTINGS_MODULE"] = "pyscheduler.settings"
django.setup()


def pytest_unconfigure() -> None:
    _resources.close()


@pytest.fixture(autouse=True)
def data_folder(settings: Any, tmp_path: Path) -> Path:
    """Each test has a data path and media folder of its own."""
    settings.DATA_PATH = tmp_path / "data"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.DATA_PATH.mkdir()
    settings.MEDIA_ROOT.mkdir()
    settings.HOST_KEY = "testhost"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Each test's platform is as well as it is itself."""
    from history import limits
    from operations.health import memory

    memory.forget()
    limits.forget()


@dataclass(frozen=True)
class People:
    """The standing people: four members of one team by role, a stranger with a team of his own, the operator."""

    owner: Any
    editor: Any
    runner: Any
    viewer: Any
    stranger: Any
    operator: Any
    team: Any
    other_team: Any

    def named(self, role: str) -> Any:
        return getattr(self, role)


@pytest.fixture
def people(db: None) -> People:
    from accounts.models import User
    from accounts.roles import Role
    from accounts.services import create_team, set_member

    made = {
        name: User.objects.create_user(name, f"{name}@example.org", "secret")
        for name in ("owner", "editor", "runner", "viewer", "stranger")
    }
    operator = User.objects.create_superuser("operator", "operator@example.org", "secret")
    team = create_team(name="Weather", user=made["owner"])
    for role in (Role.EDITOR, Role.RUNNER, Role.VIEWER):
        set_member(team=team, member=made[role.value], role=role, user=made["owner"])
    other_team = create_team(name="Elsewhere", user=made["stranger"])
    return People(**made, operator=operator, team=team, other_team=other_team)


@pytest.fixture
def make_thread(people: People) -> Callable[..., Any]:
    from threads.services import create_thread

    def make(name: str = "Hello", source: str | None = "print('hello')\n", **more: Any) -> Any:
        more.setdefault("team", people.team)
        more.setdefault("user", people.editor)
        return create_thread(name=name, source=source, **more)

    return make


@pytest.fixture
def make_process(people: People, make_thread: Callable[..., Any]) -> Callable[..., Any]:
    """A process of the given threads, one stage each unless `stages` says otherwise."""
    from processes.services import StepPlan, create_process

    def make(name: str = "Nightly", threads: list[Any] | None = None, stages: list[int] | None = None, **more: Any) -> Any:
        threads = threads or [make_thread()]
        stages = stages or list(range(1, len(threads) + 1))
        steps = [StepPlan(thread=thread, stage=stage) for thread, stage in zip(threads, stages, strict=True)]
        return create_process(team=people.team, user=people.editor, name=name, steps=steps, **more)

    return make


@pytest.fixture
def make_run(people: People, make_thread: Callable[..., Any]) -> Callable[..., Any]:
    """A queued run."""
    from history.services import queue_run
    from history.status import Trigger

    def make(target: Any = None, user: Any = None, **more: Any) -> Any:
        return queue_run(target=target or make_thread(), user=user or people.runner, trigger=more.pop("trigger", Trigger.MANUAL), **more)

    return make


@pytest.fixture
def as_user(client: Any) -> Callable[[Any], Any]:
    """The test client, logged in."""

    def enter(user: Any) -> Any:
        client.force_login(user)
        return client

    return enter
