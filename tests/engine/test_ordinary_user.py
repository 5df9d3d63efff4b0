"""A platform that is an ordinary user as a whole: it works at each level, and scripts get out of none that keeps them in."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import layout
from engine.host import escapes
from engine.isolation import BUBBLEWRAP, LANDLOCK, PLAIN, USER
from tests.engine.machine import ORDINARY, REACHED_PLAIN, need, reachable
from tests.ordinary import NOBODY, as_ordinary
from tests.platform import Platform, platform

pytestmark = [pytest.mark.engine, pytest.mark.once]

ESCAPES = Path(escapes.__file__).read_text().partition('if __name__ == "__main__":')[0]
# Of each kind of process that the platform is made of.
KINDS = ("manage.py up", "pyscheduler web", "pyscheduler clock", "pyscheduler cluster", "pusher")


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Not started yet. Its data path lies where an ordinary user may pass, and nobody else may look into it."""
    before = as_ordinary(tmp_path_factory.mktemp("hold"))
    with tempfile.TemporaryDirectory(prefix="pysched-ordinary-") as name:
        if before:
            os.chown(name, NOBODY, NOBODY)
        # Of a service's user who has no home.
        with platform(Path(name), {"HOME": "/nonexistent", "TMPDIR": "/tmp"}, before) as handle:
            yield handle


@pytest.fixture(params=[BUBBLEWRAP, LANDLOCK, PLAIN])
def level(request: pytest.FixtureRequest, ordinary: Platform) -> Iterator[str]:
    """The platform runs, and this is the level it was told to use."""
    need(ORDINARY, request.param)
    if request.param == BUBBLEWRAP:
        tried = subprocess.run([*ordinary.before, "bwrap", "--unshare-user", "--ro-bind", "/", "/", "true"], capture_output=True, text=True)
        if tried.returncode:
            pytest.skip(f"this machine allows an ordinary user no namespaces: {tried.stderr.strip()}")
    ordinary.environment["PYSCHED_ISOLATION"] = request.param
    ordinary.up("--no-demo")
    yield request.param
    ordinary.end("up")


def found_by(running: Platform, source: str, *, network: bool) -> Any:
    """What a script prints as JSON."""
    run = running.finished(running.run_script(source, network=network))
    assert (run["status"], run["reason"]) == ("success", ""), running.log(run)
    return json.loads(running.log(run))


def targets_of(running: Platform, neighbour: Any) -> dict[str, Any]:
    """Real things of the platform that runs."""
    data = running.folder
    outside = [data, data / "media" / "process_runs", "/tmp", "/var/tmp"]
    return {
        "secrets": [str(data / "secret_key")],
        "database": str(data / "pyscheduler.sqlite3"),
        "neighbour": str(data / "media" / "process_runs" / running.get(f"runs/{neighbour['id']}")["output_dir"] / "secret"),
        "outside": [f"{folder}/escaped-{running.port}" for folder in outside],
        "code": [str(folder) for folder in (data / "code").iterdir()],
        "keeper": str(data / layout.keeper_folder().name),
        "port": running.port,
    }


def reached(running: Platform, targets: dict[str, Any], pid: int, *, network: bool) -> set[str]:
    """As `engine.canary` asks, of one process of the platform that runs."""
    found = found_by(running, f"{ESCAPES}\nneeds()\nprint(json.dumps(escapes({targets!r}, {pid})))\n", network=network)
    made = [Path(path) for path in targets["outside"] if os.path.exists(path)]
    for path in made:
        path.unlink()
    # In a sandbox it may write where it seems to be outside.
    return {name for name, succeeded in (found | {"outside": bool(made)}).items() if succeeded}


def test_scripts_of_an_ordinary_users_platform_get_out_of_no_level(ordinary: Platform, level: str) -> None:
    who = ordinary.finished(ordinary.run_script("import os\nopen('secret', 'w').write('x')\nprint(os.getuid())\n", "neighbour"))
    assert (who["status"], int(ordinary.log(who))) == ("success", NOBODY if ordinary.before else os.getuid())
    targets = targets_of(ordinary, who)
    pids = [*(ordinary.until(lambda kind=kind: ordinary.pids(kind))[0] for kind in KINDS), ordinary.until(ordinary.keeper)[0]]
    if level == PLAIN:
        assert reached(ordinary, targets, pids[0], network=True) >= REACHED_PLAIN
    else:
        assert [reached(ordinary, targets, pid, network=False) - reachable(ORDINARY, level) for pid in pids] == [set()] * len(pids)


def test_users_of_their_own_are_for_a_platform_of_root(ordinary: Platform) -> None:
    ordinary.environment["PYSCHED_ISOLATION"] = USER
    assert ordinary.start("up", "--no-demo").wait(120) != 0
    assert "the platform does not run as root, so it cannot give runs users of their own" in ordinary.output().splitlines()[-1]
