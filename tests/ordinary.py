"""How a test that runs as root starts a platform of an ordinary user; one that does not is an ordinary user already."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
_BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]


def as_ordinary(hold: Path) -> list[str]:
    """What to put before a command; skips, and says why, where it cannot be done. `hold` is an empty folder.

    Python may lie in root's home, closed to all others: then the command sees that home without anything but the Python in it.
    """
    if os.geteuid() != 0:
        return []
    if not os.stat(ROOT / "manage.py").st_mode & 0o004:
        pytest.skip(f"{ROOT} is not to be read by other users")
    before = [*_opened(hold), *_BECOME]
    done = subprocess.run([*before, sys.executable, "-c", "import django"], capture_output=True, text=True, cwd="/")
    if done.returncode:
        pytest.skip(f"this machine does not let a test play an ordinary user: {done.stderr.strip()[-300:]}")
    return before


def _opened(hold: Path) -> list[str]:
    closed: dict[Path, set[Path]] = {}
    for path in {Path(sys.base_prefix).resolve(), Path(sys.prefix).absolute(), ROOT}:
        if (above := _closed_above(path)) is not None:
            closed.setdefault(above, set()).add(path)
    if not closed:
        return []
    lines = [line for above, needed in closed.items() for line in _shown_alone(above, sorted(needed), hold)]
    script = "\n".join(["set -e", *lines, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def _closed_above(path: Path) -> Path | None:
    """The topmost folder on the way to the path that others may not pass."""
    return next((folder for folder in [*reversed(path.parents), path] if not os.stat(folder).st_mode & 0o001), None)


def _shown_alone(above: Path, needed: list[Path], hold: Path) -> list[str]:
    """Lines of shell that leave of a closed folder what is needed of it, and open it; for the command alone."""
    places = [(shlex.quote(str(path)), shlex.quote(str(hold / str(number)))) for number, path in enumerate(needed)]
    lines = [f"mkdir -p {place} && mount --bind {path} {place}" for path, place in places]
    lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(above))}")
    return lines + [f"mkdir -p {path} && mount --move {place} {path}" for path, place in places]
