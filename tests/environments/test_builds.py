"""Environments of threads: built in the background, shared, kept when a build fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from core import layout
from core.errors import Conflict, Forbidden
from environments import builder, ondisk, services
from environments.models import BuildStatus, Environment, EnvironmentBuild, EnvironmentState
from environments.upkeep import check_environment, collect_unused, look_after_environments, take_daily_turn
from threads.building import build_waiting
from threads.requirements import add_requirement, rebuild_environment
from threads.services import change_thread


def said_by(environment: Environment, code: str) -> str:
    python = layout.environment_folder(environment.key) / "bin" / "python"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_thread_gets_exactly_what_it_asks_for(index: None, make_thread: Any) -> None:
    thread = make_thread(requirements="six==1.16.0  # old on purpose")
    assert thread.environment_build.status == BuildStatus.QUEUED
    assert build_waiting() == 1
    thread.refresh_from_db()
    environment = thread.environment
    assert thread.environment_build.log.endswith("Ready.\n")
    assert environment.packages == {"six": "1.16.0"}
    assert "--hash=sha256:" in environment.lock
    assert said_by(environment, "import six; print(six.__version__)") == "1.16.0"
    assert said_by(environment, "import importlib.util as u; print(u.find_spec('django'), u.find_spec('pip'))") == "None None"
    assert list(layout.environment_folder(environment.key).rglob("six.*.pyc"))
    assert environment.size_bytes > 0


def test_a_hundred_threads_with_equal_requirements_make_one_environment(index: None, make_thread: Any) -> None:
    threads = [make_thread(f"Same {number}", requirements="six==1.17.0") for number in range(99)]
    assert build_waiting() == 1
    late = make_thread("Late", requirements="# as the others\nsix==1.17.0\n")
    for thread in (*threads, late):
        thread.refresh_from_db()
    assert {thread.environment_id for thread in (*threads, late)} == {Environment.objects.get().key}
    # Another wish that comes to the same packages shares it too.
    other = make_thread("Other", requirements="six>=1.17,<1.17.1")
    build_waiting()
    other.refresh_from_db()
    assert other.environment_id == late.environment_id
    assert "share one environment" in other.environment_build.log


def test_a_failed_build_keeps_the_last_good_environment_and_tells_the_resolvers_words(index: None, make_thread: Any, people: Any) -> None:
    thread = make_thread(requirements="six==1.16.0")
    build_waiting()
    change_thread(thread=thread, user=people.editor, requirements="six==99.1")
    build_waiting()
    thread.refresh_from_db()
    assert thread.environment_build.status == BuildStatus.FAILED
    assert "there is no version of six==99.1" in thread.environment_build.error
    assert thread.environment.packages == {"six": "1.16.0"}
    change_thread(thread=thread, user=people.editor, requirements="six==1.17.0\nidna")
    build_waiting()
    thread.refresh_from_db()
    changes = services.changes_between(thread.previous_environment, thread.environment)
    assert [change for change in changes if change[0] == "six"] == [("six", "1.16.0", "1.17.0")]
    assert [name for name, before, _ in changes if not before] == ["idna"]


def test_without_an_index_the_build_says_so(make_thread: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    thread = make_thread(requirements="six")
    build_waiting()
    thread.environment_build.refresh_from_db()
    assert thread.environment_build.status == BuildStatus.FAILED
    assert "http://127.0.0.1:9/simple/six/" in thread.environment_build.error


def test_a_python_that_is_not_there_is_named_with_those_that_are(make_thread: Any) -> None:
    thread = make_thread(python_version="3.99")
    build_waiting()
    thread.environment_build.refresh_from_db()
    assert "There is no Python 3.99 on this host. Found: " in thread.environment_build.error


def test_a_thread_runs_when_its_first_environment_is_there(make_thread: Any, make_run: Any, people: Any) -> None:
    thread = make_thread(python_version=f"{sys.version_info[0]}.{sys.version_info[1]}")
    with pytest.raises(Conflict, match="being built for the first time"):
        make_run(thread)
    build_waiting()
    thread.refresh_from_db()
    assert make_run(thread).steps.get().environment_key == thread.environment.key
    change_thread(thread=thread, user=people.editor, python_version="")
    thread.refresh_from_db()
    assert (thread.environment, thread.environment_build) == (None, None)
    assert make_run(thread).steps.get().environment_key == ""


def test_the_scripts_own_block_is_followed_when_it_changes(make_thread: Any, people: Any) -> None:
    thread = make_thread()
    assert thread.environment_build is None
    source = '# /// script\n# dependencies = ["six"]\n# ///\n'
    changed = change_thread(thread=thread, user=people.editor, source=source)
    assert changed.environment_build.requirements == "six"
    again = change_thread(thread=thread, user=people.editor, source=source + "print(1)\n")
    assert again.environment_build == changed.environment_build
    broken = change_thread(thread=thread, user=people.editor, source=source.replace('"six"]', "six]"))
    assert "(PEP 723) cannot be read" in broken.environment_build.error


def test_a_missing_module_is_added_by_the_package_that_has_it(make_thread: Any, people: Any) -> None:
    thread = make_thread(requirements="# what it needs\nsix")
    changed = add_requirement(thread=thread, package="yaml", user=people.editor)
    assert changed.requirements == "# what it needs\nsix\nPyYAML"
    assert changed.environment_build.requirements == "six\nPyYAML"
    with pytest.raises(Conflict, match="already"):
        add_requirement(thread=changed, package="pyyaml", user=people.editor)


def test_who_may_not_write_builds_nothing(make_thread: Any, people: Any) -> None:
    thread = make_thread(requirements="six")
    with pytest.raises(Forbidden):
        rebuild_environment(thread=thread, user=people.runner)
    with pytest.raises(Forbidden):
        add_requirement(thread=thread, package="idna", user=people.runner)
    with pytest.raises(Conflict, match="platform's own Python"):
        rebuild_environment(thread=make_thread("Plain"), user=people.editor)


@pytest.fixture
def bare(make_thread: Any) -> Any:
    """A thread whose environment has nothing in it: that takes no index."""
    thread = make_thread(python_version=f"{sys.version_info[0]}.{sys.version_info[1]}")
    build_waiting()
    thread.refresh_from_db()
    return thread


def test_a_broken_environment_is_found_and_made_again(bare: Any, people: Any) -> None:
    environment = check_environment(bare.environment, user=people.operator)
    assert (environment.state, environment.health) == (EnvironmentState.READY, "")
    python = layout.environment_folder(environment.key) / "bin" / "python"
    python.unlink()
    environment = check_environment(environment, user=people.operator)
    assert environment.state == EnvironmentState.BROKEN
    assert environment.health == "On host testhost: Missing or changed since it was made: bin/python."
    services.remake_environment(environment, user=people.operator)
    build_waiting()
    environment.refresh_from_db()
    assert environment.state == EnvironmentState.READY
    assert said_by(environment, "print(1)") == "1"
    with pytest.raises(Forbidden):
        check_environment(environment, user=people.owner)


def test_what_nobody_uses_is_taken_off_the_disk_and_can_be_made_again(bare: Any, people: Any) -> None:
    environment = bare.environment
    folder = layout.environment_folder(environment.key)
    used = ondisk._mark_path(environment.key)
    os.utime(used, (0, 0))
    assert collect_unused(days=30) == {}  # A thread has it.
    change_thread(thread=bare, user=people.editor, python_version="")
    ondisk.python_of(environment.key)
    assert collect_unused(days=30) == {}  # A run has just used it.
    os.utime(used, (0, 0))
    assert list(collect_unused(days=30)) == [environment.key]
    assert not used.exists() and not folder.exists()
    with pytest.raises(Conflict, match="not on this host"):
        ondisk.python_of(environment.key)
    environment.refresh_from_db()
    services.remake_environment(environment, user=people.operator)
    build_waiting()
    assert ondisk.python_of(environment.key)


def test_a_host_looks_after_its_environments_once_a_day(bare: Any, people: Any, make_thread: Any) -> None:
    assert not take_daily_turn()
    turn = layout.environments_folder() / "looked-after"
    os.utime(turn, (0, 0))
    assert take_daily_turn()
    assert not take_daily_turn()
    key, ready = bare.environment_id, layout.environments_folder() / "ready"
    (ready / "half").mkdir()
    (layout.environment_folder(key) / "bin" / "python").unlink()
    with ondisk.held(ondisk.lock_of("being-made")):
        (ready / "being-made").mkdir()
        assert look_after_environments() == (1, 1)
    assert sorted(path.name for path in ready.iterdir()) == sorted([key, "being-made"])
    environment = Environment.objects.get()
    assert environment.state == EnvironmentState.BROKEN
    assert build_waiting() == 1
    environment.refresh_from_db()
    assert (environment.state, environment.health) == (EnvironmentState.READY, "")
    assert said_by(environment, "print(1)") == "1"


def test_a_check_says_nothing_of_an_environment_that_another_host_has(bare: Any, people: Any) -> None:
    shutil.rmtree(layout.environments_folder())
    checked = check_environment(bare.environment, user=people.operator)
    assert "not on host testhost" in checked.health
    checked.refresh_from_db()
    assert (checked.state, checked.health) == (EnvironmentState.READY, "")


def test_a_build_whose_builder_died_is_taken_up_and_at_last_given_up(make_thread: Any) -> None:
    build = make_thread(python_version="3.99").environment_build
    for attempt in range(1, builder.MOST_ATTEMPTS + 1):
        assert services.claim_build(build.pk)
        with builder._mark(build.pk) as is_free:
            assert is_free
            builder.take_up_abandoned(lambda host: False)
            build.refresh_from_db()
            assert build.status == BuildStatus.RUNNING  # Its builder lives.
        builder.take_up_abandoned(lambda host: False)
        build.refresh_from_db()
        assert (build.status == BuildStatus.QUEUED) == (attempt < builder.MOST_ATTEMPTS)
    assert build.status == BuildStatus.FAILED
    assert "died 3 times" in build.error


def test_who_sees_no_thread_of_an_environment_does_not_see_it(bare: Any, people: Any) -> None:
    assert list(Environment.objects.visible_to(people.viewer)) == [bare.environment]
    assert list(Environment.objects.visible_to(people.operator)) == [bare.environment]
    assert not Environment.objects.visible_to(people.stranger).exists()
    assert not EnvironmentBuild.objects.visible_to(people.stranger).exists()


PREPARE = """
import django
django.setup()
from accounts.models import User
from accounts.services import create_team
from threads.services import create_thread
user = User.objects.create_superuser("operator")
team = create_team(name="Team", user=user)
for name, requirements in (("One", "six==1.17.0"), ("Two", "six<=1.17.0,>=1.17.0")):
    create_thread(team=team, user=user, name=name, source="pass", requirements=requirements)
"""
TELL = """
import django
django.setup()
from environments.models import Environment, EnvironmentBuild
print(Environment.objects.count(), sorted(build.log.splitlines()[-1] for build in EnvironmentBuild.objects.all()))
"""


@pytest.mark.once
@pytest.mark.engine
def test_two_builders_that_come_to_one_environment_at_once_make_it_once(index: None, tmp_path: Path) -> None:
    base = Path(django_settings.BASE_DIR)
    variables = {name: value for name, value in os.environ.items() if name != "PYSCHED_DATABASE_URL"}
    variables |= {"PYSCHED_DATA_PATH": str(tmp_path / "two"), "PYTHONPATH": str(base)}

    def run(*words: str) -> str:
        return subprocess.run([sys.executable, *words], env=variables, cwd=base, capture_output=True, text=True, check=True).stdout

    run("manage.py", "migrate", "--verbosity=0")
    run("-c", PREPARE)
    command = [sys.executable, "manage.py", "buildenvironments"]
    builders = [subprocess.Popen(command, env=variables, cwd=base, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(child.communicate(timeout=120)[0] for child in builders)
    assert [child.returncode for child in builders] == [0, 0]
    assert run("-c", TELL).strip() == "1 ['It was there already: threads with equal packages share one environment.', 'Ready.']"
    shutil.rmtree(tmp_path / "two")


def test_the_page_and_the_api_tell_how_the_build_goes(make_thread: Any, people: Any, as_user: Any) -> None:
    thread = make_thread(python_version="3.99", user=people.editor)
    page, api = f"/threads/{thread.pk}/environment", f"/api/v1/threads/{thread.pk}"
    client = as_user(people.editor)
    assert "Waiting" in client.get(page).content.decode()
    assert client.post(f"{api}/run", "{}", content_type="application/json").status_code == 409
    build_waiting()
    assert "There is no Python 3.99" in client.get(page).content.decode()
    shown = client.get(api).json()["environment"]
    assert (shown["status"], shown["key"]) == ("failed", None)
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    refused = client.post(f"{page}/set", {"python_version": own, "requirements": "-r /etc/passwd"})
    assert refused.status_code == 422
    assert "is no requirement such as" in refused.content.decode()
    assert client.post(f"{page}/set", {"python_version": own, "requirements": "# none"}).status_code == 302
    build_waiting()
    shown = client.get(f"{api}/environment").json()
    assert (shown["status"], shown["environment"]["packages"], shown["build"]["error"]) == ("ready", {}, "")
    assert f"Python {shown['python_version']}" in client.get("/environments/").content.decode()
    assert client.post(f"{api}/environment/rebuild", "{}", content_type="application/json").status_code == 202


def test_what_a_host_that_is_gone_was_building_another_takes_up(make_thread: Any) -> None:
    build = make_thread(python_version=f"{sys.version_info[0]}.{sys.version_info[1]}").environment_build
    assert services.claim_build(build.pk)
    EnvironmentBuild.objects.update(host_key="elsewhere")
    assert builder.take_up_abandoned(lambda host: False) == 0
    assert builder.take_up_abandoned(lambda host: host == "elsewhere") == 1
    assert build_waiting() == 1


def test_a_build_for_one_host_is_none_of_another(bare: Any, people: Any) -> None:
    services.remake_environment(bare.environment, user=people.operator)
    assert services.being_made_here() == [bare.environment_id]
    EnvironmentBuild.objects.filter(status=BuildStatus.QUEUED).update(only_host="elsewhere")
    assert services.waiting_builds() == []
    assert services.being_made_here() == []


def test_a_build_is_ready_in_the_moment_its_threads_have_it(make_thread: Any) -> None:
    thread = make_thread(python_version=f"{sys.version_info[0]}.{sys.version_info[1]}")

    def dies(build: EnvironmentBuild) -> None:
        assert Environment.objects.exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        builder.build_waiting(lambda build: None, dies)
    thread.environment_build.refresh_from_db()
    assert thread.environment_build.status == BuildStatus.RUNNING
    builder.take_up_abandoned(lambda host: False)
    build_waiting()
    thread.refresh_from_db()
    assert thread.environment_build.status == BuildStatus.READY
    assert thread.environment
