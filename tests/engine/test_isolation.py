"""What scripts cannot get out of: attempts × levels, as root and as an ordinary user; and what a run says of its level."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.roles import Role
from accounts.services import ask_isolation
from core import layout
from engine import canary, keeper
from engine.canary import find_out, known_report, level_in_force
from engine.demands import team_demands
from engine.findings import IsolationUnavailable
from engine.isolation import BUBBLEWRAP, LANDLOCK, PLAIN, USER, Level, refusal
from history.models import Run, StepRun
from history.services import request_stop
from history.status import Status
from tests.conftest import People
from tests.engine.conftest import Engine, directory_of, log_of
from tests.engine.machine import ANYBODYS, ORDINARY, REACHED, REACHED_PLAIN, ROOT, need, reachable

pytestmark = [pytest.mark.engine, pytest.mark.once]

Make = Callable[..., Any]
NOBODY = 65534


@pytest.fixture
def started_keeper(open_place: Path) -> Iterator[None]:
    keeper.ensure_keeper()
    yield
    keeper.quit_keeper()


def _play_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the canary's trial, and all that it lies in, belong to an ordinary user."""
    start = canary._start

    def start_as_nobody(spec: dict[str, Any]) -> dict[str, Any]:
        canary.hand_over(django_settings.DATA_PATH, NOBODY)
        canary.hand_over(django_settings.MEDIA_ROOT, NOBODY)
        run = subprocess.run

        def as_nobody(command: list[str], **options: Any) -> Any:
            who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
            return run([*who, *command], **options)

        with monkeypatch.context() as patch:
            patch.setattr("engine.canary.subprocess.run", as_nobody)
            return start(spec)

    monkeypatch.setattr(canary, "_start", start_as_nobody)
    monkeypatch.setattr(canary, "run_user", lambda level, run_id: None)


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch, started_keeper: None) -> Callable[[str, str], set[str]]:
    """What a script reaches at a level, started by a platform of root or of an ordinary user."""

    def reach(who: str, level: str, **options: Any) -> set[str]:
        need(who, level)
        is_changing_user = os.geteuid() == 0 and (who == ORDINARY or level == USER)
        if is_changing_user:
            if not ANYBODYS:
                pytest.skip("there is no Python that any user may start")
            monkeypatch.setattr(canary, "interpreter", lambda: os.path.realpath(ANYBODYS[0]))
        if is_changing_user and who == ORDINARY:
            _play_ordinary(monkeypatch)
        try:
            found = canary.reached(Level(level), **options)
        except OSError as error:
            if level == BUBBLEWRAP and "namespace" in str(error):
                pytest.skip(f"this machine allows no namespaces: {error}")
            raise
        return {name for name, was_reached in found.items() if was_reached}

    return reach


@pytest.mark.parametrize(("who", "level"), REACHED.keys(), ids=[f"{level}, {who}" for who, level in REACHED])
def test_a_script_reaches_nothing_beyond_its_level(reach: Callable[[str, str], set[str]], who: str, level: str) -> None:
    assert reach(who, level) <= reachable(who, level)


@pytest.mark.parametrize("who", [ROOT, ORDINARY])
def test_without_isolation_the_same_attempts_succeed(reach: Callable[[str, str], set[str]], who: str) -> None:
    assert reach(who, PLAIN) >= REACHED_PLAIN - ({"keeper"} if who == ORDINARY else set())


def _told_by_the_keeper(order: Any) -> bytes:
    """Its answer to a process that bears no filter; nothing when it hangs up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(60)
        folder = os.open(layout.keeper_folder(), os.O_RDONLY)
        connection.connect(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        connection.send(order if isinstance(order, bytes) else json.dumps(order).encode())
        return connection.recv(1000)


def test_the_keeper_obeys_nobody_who_does_not_know_its_key(started_keeper: None, tmp_path: Path) -> None:
    key, step = (layout.keeper_folder() / "key").read_text(), tmp_path / "step"
    step.mkdir()
    for wrong in ({}, {"key": ""}, {"key": None}, {"key": key[:-1]}):
        assert _told_by_the_keeper({"do": "start", "folders": [str(step)], **wrong}) == b""
    for nonsense in (b"{", b"\xff", b"[1]", b"[" * 9000):
        assert _told_by_the_keeper(nonsense) == b""
    assert list(step.iterdir()) == []
    assert json.loads(_told_by_the_keeper({"do": "ping", "key": key})) == {"supervised": 0}


def test_a_network_that_is_on_can_be_reached(reach: Callable[..., set[str]]) -> None:
    assert "network" in reach(ROOT if os.geteuid() == 0 else ORDINARY, BUBBLEWRAP, network=True)


# What runs say


def test_a_run_says_at_which_level_it_ran(engine: Engine, make_thread: Make, make_run: Make) -> None:
    step = engine.finish(make_run(make_thread())).steps.get()
    level = level_in_force()
    assert (step.isolation, step.isolation_reason) == (level.name, level.account)


def test_a_lower_level_comes_with_what_it_lacks(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.ISOLATION = PLAIN
    step = engine.finish(make_run(make_thread())).steps.get()
    assert step.isolation == PLAIN
    assert "can read and change what the platform can" in step.isolation_reason


def test_the_highest_level_that_holds_is_taken_and_the_reason_kept(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "bubblewrap", lambda: None)
    report = find_out()
    assert report.level.name != BUBBLEWRAP
    assert report.level.reason.startswith("bubblewrap cannot be had: bubblewrap is not installed.")
    assert report.remedies[0].startswith("Install it")
    assert known_report() == report


def test_a_finding_is_made_anew_when_what_it_rests_on_has_changed(settings: Any) -> None:
    settings.ISOLATION = PLAIN
    find_out()
    settings.ISOLATION = "auto"
    assert known_report() is None


def test_a_demanded_level_that_cannot_be_had_is_refused_with_the_remedy(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ISOLATION = BUBBLEWRAP
    monkeypatch.setattr(canary, "bubblewrap", lambda: None)
    with pytest.raises(IsolationUnavailable, match=r"bubblewrap is not installed\. Install it: apt install bubblewrap"):
        level_in_force()


def test_below_the_smallest_level_a_run_is_refused(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.ISOLATION, settings.MIN_ISOLATION = PLAIN, LANDLOCK
    run = engine.finish(make_run(make_thread()))
    assert (run.status, log_of(run)) == (Status.FAILED, b"")
    assert "isolation here is plain, and PYSCHED_MIN_ISOLATION asks for landlock at least" in run.reason


# What teams ask for


@pytest.mark.parametrize(
    ("starter", "binds", "is_bound"),
    [
        ("runner", Role.RUNNER, True),
        ("editor", Role.RUNNER, False),
        ("editor", Role.EDITOR, True),
        ("owner", Role.EDITOR, False),
        ("owner", Role.OWNER, True),
        ("operator", Role.EDITOR, False),
        ("stranger", Role.RUNNER, True),
        (None, Role.RUNNER, True),
    ],
)
def test_a_team_asks_it_of_a_role_and_those_below_and_of_schedules(
    people: People, make_run: Make, starter: str | None, binds: Role, is_bound: bool
) -> None:
    ask_isolation(team=people.team, user=people.operator, level=LANDLOCK, binds=binds)
    run = make_run()
    Run.objects.filter(pk=run.pk).update(user=people.named(starter) if starter else None)
    step = StepRun.objects.select_related("run").get(run=run)
    assert team_demands([step], Level(PLAIN)) == ({run.pk: LANDLOCK} if is_bound else {})


def test_where_the_highest_level_is_in_force_no_question_is_put(people: People, make_run: Make, django_assert_num_queries: Any) -> None:
    ask_isolation(team=people.team, user=people.operator, level=BUBBLEWRAP)
    step = StepRun.objects.select_related("run").get(run=make_run())
    with django_assert_num_queries(0):
        assert team_demands([step], Level(BUBBLEWRAP)) == {}


def test_below_what_its_team_asks_for_a_run_does_not_start(
    engine: Engine, settings: Any, people: People, make_thread: Make, make_run: Make
) -> None:
    settings.ISOLATION = PLAIN
    ask_isolation(team=people.team, user=people.operator, level=LANDLOCK, binds=Role.RUNNER)
    thread = make_thread()
    run = engine.finish(make_run(thread))
    assert (run.status, log_of(run)) == (Status.FAILED, b"")
    assert "isolation here is plain, and its team asks for landlock at least" in run.reason
    assert engine.finish(make_run(thread, user=people.editor)).status == Status.SUCCESS


def test_a_refusal_says_why_the_level_is_no_higher_and_what_to_do() -> None:
    level = Level(LANDLOCK, "bubblewrap cannot be had: it is not installed.", remedy="Install it.")
    assert refusal(level, network=True, least=BUBBLEWRAP) == (
        "isolation here is landlock, and its team asks for bubblewrap at least. bubblewrap cannot be had: it is not installed. Install it."
    )
    assert refusal(level, network=True, least=LANDLOCK) == ""


# Control, within each level


@pytest.fixture(params=[BUBBLEWRAP, LANDLOCK])
def level(request: pytest.FixtureRequest, settings: Any) -> str:
    need(ORDINARY, request.param)
    settings.ISOLATION = request.param
    return str(request.param)


def test_a_stop_leaves_a_script_its_grace(engine: Engine, level: str, people: People, make_thread: Make, make_run: Make) -> None:
    source = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('tidied', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(60)\n"
    )
    run = engine.started(make_run(make_thread("Tidy", source)))
    request_stop(run=run, user=people.owner)
    engine.finish(run)
    assert (run.status, log_of(run)) == (Status.STOPPED, b"up\ntidied\n")


def test_a_signal_a_daemon_and_processor_time_are_told_exactly(engine: Engine, level: str, make_thread: Make, make_run: Make) -> None:
    source = (
        "import os, signal, subprocess, time\n"
        "subprocess.Popen(['/bin/sleep', '60'], start_new_session=True)\n"
        "while time.process_time() < 0.5: pass\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    run = engine.finish(make_run(make_thread("Odd", source)))
    step = run.steps.get()
    assert step.exit_code == -signal.SIGSEGV
    assert "1 process it left running was stopped" in step.reason
    assert step.cpu_seconds >= 0.45


def test_temporary_files_work_and_are_gone_afterwards(engine: Engine, level: str, make_thread: Make, make_run: Make) -> None:
    source = "import tempfile\nfile = tempfile.mkstemp()[1]\nopen(file, 'w').write('x')\nopen('kept', 'w').write(file)\n"
    run = engine.finish(make_run(make_thread("Temporary", source)))
    assert run.status == Status.SUCCESS
    assert [file.path for file in run.artifacts.all()] == ["kept"]
    assert not Path((directory_of(run) / "kept").read_text()).exists()


def test_links_pipes_and_devices_are_no_artifacts(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.ISOLATION = PLAIN  # A sandbox would have nothing to link to.
    secret = django_settings.DATA_PATH / "outside"
    secret.write_text("secret")
    source = f"import os\nos.mkfifo('pipe')\nos.link('{secret}', 'hard')\nos.symlink('{secret}', 'soft')\nopen('plain', 'w').close()\n"
    run = engine.finish(make_run(make_thread("Links", source)))
    assert [file.path for file in run.artifacts.all()] == ["plain"]
