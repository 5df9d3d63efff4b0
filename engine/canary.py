"""Which level this host can do: found out by a script that really tries to escape, started as every script is.

What is found is kept per host in the data path until the host is restarted or something that it rests on has changed.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from core import layout
from core.interpreter import interpreter
from core.kernel import boot_id
from engine import environment
from engine.findings import DEEDS, REMEDIES, Attempt, Report
from engine.host import escapes, landlock, records
from engine.isolation import BUBBLEWRAP, LANDLOCK, LEVELS, PLAIN, USER, Level, arrange, bubblewrap, make_way, run_user
from engine.places import Surroundings

logger = logging.getLogger(__name__)
TRIAL = "import sys; sys.path.insert(0, sys.argv[1]); from engine.host.trial import main; main()"
TRIAL_SECONDS = 30
_EVERYBODYS = ("/tmp", "/var/tmp")  # noqa: S108 - where a script must not write

# What a level must keep a script from, by the names of `engine.host.escapes`; of the rest is told.
_FILES = frozenset({"secret", "database", "neighbour", "outside", "code", "link", "environ", "root", "ptrace", "keeper", "network"})
MUST_HOLD = {
    BUBBLEWRAP: _FILES | {"mode", "signal", "privilege", "namespace", "processes"},
    USER: _FILES | {"mode", "signal", "privilege", "namespace"},
    LANDLOCK: _FILES | {"namespace"},
    PLAIN: frozenset(),
}
_PLAIN_GAPS = ("Scripts run as the platform's own user: they can read and change what the platform can.",)


def level_in_force() -> Level:
    """The level for runs on this host; finds it out when it is not known yet. IsolationUnavailable when a demanded one cannot be had."""
    return report_in_force().level


def ensure_demanded() -> None:
    """At the start: IsolationUnavailable when the operator demands a level that this host cannot do.

    Where any level will do, nobody waits: the first run finds out.
    """
    if settings.ISOLATION != "auto":
        level_in_force()


def report_in_force() -> Report:
    kept = known_report()
    if kept is not None:
        return kept
    with _alone():
        # Another worker may have found it out meanwhile.
        return known_report() or find_out()


def known_report() -> Report | None:
    """What is known of this host, if it still holds."""
    try:
        stamp = _file().stat().st_mtime_ns
    except FileNotFoundError:
        return None
    report = _read(_file(), stamp)
    return report if report is not None and report.boot_id == boot_id() and report.basis == _basis() else None


_remembered: dict[Path, tuple[int, Report]] = {}


def _read(path: Path, stamp: int) -> Report | None:
    if path in _remembered and _remembered[path][0] == stamp:
        return _remembered[path][1]
    content = records.read(str(path))
    try:
        attempts = tuple(_attempt(**attempt) for attempt in (content or {})["attempts"])
        report = replace(Report(**(content or {})), attempts=attempts)
    except (KeyError, TypeError):
        return None
    _remembered[path] = (stamp, report)
    return report


def _attempt(gaps: list[str], reached: list[str] | None, **more: Any) -> Attempt:
    return Attempt(gaps=tuple(gaps), reached=None if reached is None else tuple(reached), **more)


def find_out() -> Report:
    """Try the levels now, from the highest down, and keep what comes of it."""
    names = LEVELS if settings.ISOLATION == "auto" else (settings.ISOLATION,)
    attempts: list[Attempt] = []
    for name in names:
        attempts.append(_try(name))
        if not attempts[-1].fault:
            break
        logger.warning("Isolation %s cannot be had: %s", name, attempts[-1].fault)
    report = Report(settings.HOST_KEY, time.time(), boot_id(), _basis(), tuple(attempts))
    _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write(str(_file()), asdict(report))
    return report


def _file() -> Path:
    return layout.data_path("isolation", f"{settings.HOST_KEY.replace('/', '_')}.json")


@contextmanager
def _alone() -> Iterator[None]:
    folder = layout.data_path("isolation")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _basis() -> list[Any]:
    """What the finding rests on; when it changes, the levels are tried anew."""
    sandbox = bubblewrap()
    return [settings.ISOLATION, os.geteuid(), interpreter(), str(settings.BASE_DIR), sandbox, os.stat(sandbox).st_mtime if sandbox else 0]


# Trials


def _try(name: str) -> Attempt:
    if missing := _missing(name):
        return missing
    if name == PLAIN:
        return Attempt(PLAIN, gaps=_PLAIN_GAPS, can_cut_network=False)
    attempt = _tried(Level(name))
    for lesser in _lesser(name):
        if not attempt.fault:
            break
        second = _tried(lesser)
        attempt = attempt if second.fault else second
    return attempt


def _lesser(name: str) -> list[Level]:
    """The same level with something missing that some hosts forbid."""
    without_network = Level(name, can_cut_network=False)
    if name != BUBBLEWRAP:
        return [without_network]
    return [without_network, Level(name, own_proc=False), Level(name, own_proc=False, can_cut_network=False)]


def _missing(name: str) -> Attempt | None:
    """What need not be tried, for a part of it is not here."""
    if name == BUBBLEWRAP and bubblewrap() is None:
        return Attempt(name, "bubblewrap is not installed", "Install it: apt install bubblewrap, or dnf install bubblewrap.")
    if name == USER and os.geteuid() != 0:
        return Attempt(name, "the platform does not run as root, so it cannot give runs users of their own")
    if name == LANDLOCK and landlock.version() == 0:
        return Attempt(name, "the kernel has no Landlock", "Use Linux 5.13 or newer with landlock among its security modules.")
    return None


def _tried(level: Level) -> Attempt:
    attempt = Attempt(level.name, own_proc=level.own_proc, can_cut_network=level.can_cut_network)
    try:
        found = reached(level, network=not level.can_cut_network)
    except OSError as error:
        fault = " ".join(str(error).split())[:300]
        return replace(attempt, fault=fault, remedy=next((remedy for sign, remedy in REMEDIES if sign in fault), ""))
    must_hold = _must_hold(level)
    reached_here = tuple(name for name in DEEDS if found[name])
    attempt = replace(attempt, reached=reached_here)
    broken = [f"it could {DEEDS[name]}" for name in reached_here if name in must_hold]
    if broken:
        remedy = "Close it to other users: chmod o-rwx." if found["database"] or found["secret"] else ""
        return replace(attempt, fault=f"a script tried, and {'; '.join(broken)}", remedy=remedy)
    open_ways = [f"A script tried, and it could {DEEDS[name]}." for name in reached_here if name not in must_hold and name != "network"]
    return replace(attempt, gaps=(*open_ways, *(() if level.can_cut_network else ("The network cannot be cut off.",))))


def _must_hold(level: Level) -> frozenset[str]:
    excused = {"processes"} if not level.own_proc else set()
    return MUST_HOLD[level.name] - excused - (set() if level.can_cut_network else {"network"})


def reached(level: Level, *, network: bool = False) -> dict[str, bool]:
    """What the canary's script reached at this level, by name. OSError when a script cannot even work there."""
    with _scene() as scene, contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        targets = _targets(scene) | {"port": listener.getsockname()[1]}
        made = [Path(path) for path in targets["outside"]]
        user = run_user(level.name, 0)
        directory = scene.runs / "own"
        place = Surroundings(interpreter(), directory, (str(scene.code),), network, user)
        temporary = directory / layout.SCRATCH if level.keeps_temporary else None
        if temporary:
            temporary.mkdir()
        make_way(level)
        hand_over(directory, user)
        spec = {
            "argv": [interpreter(), "-S", str(scene.code / "escapes.py"), json.dumps(targets)],
            "environment": environment.own_places(directory, temporary),
            "directory": str(directory),
            "limits": environment.limits(environment.enforced({})),
            "isolation": arrange(level, place),
            "seconds": TRIAL_SECONDS,
        }
        found = _result(_start(spec))
        # In a sandbox it may write where it seems to be outside.
        return found | {"outside": any(path.exists() for path in made)}


def _start(spec: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [interpreter(), "-I", "-S", "-c", TRIAL, str(settings.BASE_DIR)],
        input=json.dumps(spec),
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CANARY": "a secret of the platform"},
        capture_output=True,
        text=True,
        timeout=2 * TRIAL_SECONDS,
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or f"the trial ended with {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _result(answer: dict[str, Any]) -> dict[str, bool]:
    if answer["status"] != 0:
        lines = answer["output"].strip().splitlines() or [f"it ended with {answer['status']}"]
        raise OSError(lines[-1])
    found: dict[str, bool] = json.loads(answer["output"].strip().splitlines()[-1])
    return found


@dataclass(frozen=True, slots=True)
class _Scene:
    """Folders for a trial: `runs` with the script's directory and a neighbour's, `code`, `private` of the platform."""

    runs: Path
    code: Path
    private: Path


@contextmanager
def _scene() -> Iterator[_Scene]:
    """Laid out where the real ones are, with the same rights; taken away afterwards."""
    parents = (layout.runs_folder(), layout.code_folder(0).parent, layout.data_path("isolation"))
    made = []
    try:
        for parent in parents:
            parent.mkdir(parents=True, exist_ok=True, mode=0o700 if parent == parents[2] else 0o755)
            made.append(Path(tempfile.mkdtemp(prefix=".canary-", dir=parent)))
        scene = _Scene(*made)
        scene.runs.chmod(0o755)
        scene.code.chmod(0o755)
        for name in ("own", "neighbour"):
            (scene.runs / name).mkdir(mode=0o700)
        (scene.runs / "neighbour" / "secret").write_text("of another run")
        hand_over(scene.runs / "neighbour", run_user(USER, 1))
        (scene.private / "secret").write_text("of the platform")
        shutil.copy(escapes.__file__, scene.code / "escapes.py")
        (scene.code / "escapes.py").chmod(0o444)
        yield scene
    finally:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)


def _targets(scene: _Scene) -> dict[str, Any]:
    """What the script shall try to reach: real things of the platform where a success does no harm, else some like them."""
    name = settings.DATABASES["default"]["NAME"] if "sqlite" in settings.DATABASES["default"]["ENGINE"] else None
    mark = f"escaped-{os.getpid()}-{time.time_ns()}"
    return {
        "secrets": [str(scene.private / "secret"), str(layout.data_path("secret_key")), str(layout.keeper_folder() / "key")],
        "database": str(name) if name else None,
        "neighbour": str(scene.runs / "neighbour" / "secret"),
        "outside": [str(scene.runs / mark), str(scene.private / mark), *(f"{folder}/{mark}" for folder in _EVERYBODYS)],
        "code": [str(scene.code)],
        "keeper": str(layout.keeper_folder()),
    }


def hand_over(folder: Path, user: int | None) -> None:
    """Give a folder and what lies in it to a run's user; links are not followed."""
    if user is None:
        return
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(os.path.join(parent, name), user, user, follow_symlinks=False)
