"""What this machine can do of isolation: the rest is skipped, and the skip says why."""

import os
from pathlib import Path

import pytest

from engine.host import landlock
from engine.isolation import BUBBLEWRAP, LANDLOCK, bubblewrap

ORDINARY, ROOT = "ordinary user", "root"
# Pythons that any user may start, for the platform's own may lie in somebody's home.
ANYBODYS = [path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()]


def need(who: str, level: str) -> None:
    """Skip, and say why, what this machine cannot do."""
    if who == ROOT and os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    if level == BUBBLEWRAP and bubblewrap() is None:
        pytest.skip("bubblewrap is not installed")
    if level == LANDLOCK and landlock.version() == 0:
        pytest.skip("the kernel has no Landlock")
