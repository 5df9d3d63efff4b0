"""Which files a step left in its run's directory."""

from datetime import UTC, datetime
from typing import Any

from core import layout
from core.files import plain_files
from history.ledger import FoundFile
from history.models import Run

MAX_FILES = 10_000


def found_files(run: Run, inputs: dict[str, Any]) -> list[FoundFile]:
    """Regular files below the run's directory, links not followed; neither the log nor inputs that are as they were laid."""
    return [
        FoundFile(path, status.st_size, _moment(status.st_mtime))
        for path, status in plain_files(layout.runs_folder(), run.output_dir, MAX_FILES)
        if not is_working_state(path)
        and inputs.get(path) != [status.st_size, status.st_mtime_ns]
        and len(path) <= 1000
        and path.isprintable()
    ]


def is_working_state(path: str) -> bool:
    """Of `threadkit`: what it keeps between attempts, and data sets that were never finished."""
    return layout.STATE in path and any(part.startswith(layout.STATE) for part in path.split("/"))


def is_output(path: str) -> bool:
    """Does a file of the working state hold what an attempt has put out? Another run's attempts put out their own."""
    return path.rpartition("/")[2].startswith(layout.OUTPUTS)


def _moment(seconds: float) -> datetime:
    """A file's time as a calendar has it: scripts may set any."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), 253_000_000_000.0), UTC)
