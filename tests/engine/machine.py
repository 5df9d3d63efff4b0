"""What a script may reach at each level, and what this machine can do of isolation: the rest is skipped, and the skip says why."""

import os
from pathlib import Path

import pytest

from engine.host import landlock
from engine.isolation import BUBBLEWRAP, LANDLOCK, USER, bubblewrap

ORDINARY, ROOT = "ordinary user", "root"
# Pythons that any user may start, for the platform's own may lie in somebody's home.
ANYBODYS = [path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()]

# The table: what a script reaches at a level. Nothing else may ever be reached.
REACHED: dict[tuple[str, str], set[str]] = {
    (ROOT, BUBBLEWRAP): set(),
    (ROOT, USER): {"processes"},
    (ROOT, LANDLOCK): {"processes", "mode"},
    (ORDINARY, BUBBLEWRAP): set(),
    (ORDINARY, LANDLOCK): {"processes", "mode"},
}
# At `plain` it reaches these at least: so the attempts are worth something.
REACHED_PLAIN = {"secret", "neighbour", "outside", "code", "link", "mode", "signal", "processes", "network", "keeper"}


def reachable(who: str, level: str) -> set[str]:
    """What of the table holds for the kernel of this machine."""
    is_old = level == LANDLOCK and landlock.version() < landlock.SCOPES_SINCE
    return REACHED[who, level] | ({"signal"} if is_old else set())


def need(who: str, level: str) -> None:
    """Skip, and say why, what this machine cannot do."""
    if who == ROOT and os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    if level == BUBBLEWRAP and bubblewrap() is None:
        pytest.skip("bubblewrap is not installed")
    if level == LANDLOCK and landlock.version() == 0:
        pytest.skip("the kernel has no Landlock")
