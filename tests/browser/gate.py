"""Scripts that go on when the test says so, so that every state between can be looked at."""

from pathlib import Path
from typing import Any

from tests.platform import Platform

# The beginning of such a script. It waits for a file in its own working directory: all that an isolated script sees.
WAIT = """import os, time
def wait(name):
    while not os.path.exists(name):
        time.sleep(0.02)
    os.remove(name)
"""


def directory_of(site: Platform, run_id: int) -> Path:
    """The run's working directory, as soon as there is one."""

    def there() -> Any:
        given = site.get(f"runs/{run_id}")["output_dir"]
        folder = site.folder / "media" / "process_runs" / given
        return folder if given and folder.is_dir() else None

    folder: Path = site.until(there)
    return folder


def let_on(site: Platform, run_id: int, name: str) -> None:
    """Open the gate of that name."""
    (directory_of(site, run_id) / name).touch()
