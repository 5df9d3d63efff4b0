"""Where things lie on disk, below the data path and the media folder. No Django model, no I/O but `mkdir`."""

from pathlib import Path

from django.conf import settings

# A run's log and progress in its control folder, and the log's name in the run's directory.
LOG, PROGRESS, SHOWN_LOG = "log", "progress", "run.log"
# In a step's folder there: what it used over time.
RESOURCES = "resources.json"
# Its name there when a script has written a file of the first name.
SHOWN_LOG_ELSE = "pyscheduler.log"
# What `threadkit` keeps in the run's directory between attempts, a folder per step; no result of the run.
STATE = ".pyscheduler"
# Of that, the beginning of the names of files with what an attempt has put out.
OUTPUTS = "outputs-"
# Of that, temporary files where a script has no `/tmp` of its own.
SCRATCH = "tmp"


def data_path(*parts: str) -> Path:
    return Path(settings.DATA_PATH, *parts)


def bells() -> Path:
    """Sockets of the processes that wait; private to the platform's user."""
    return data_path("bells")


def keeper_folder() -> Path:
    """The keeper's socket, lock and journal."""
    return data_path("keeper")


def ended_folder() -> Path:
    """One link per ended step, laid by its supervisor, taken away once the end is recorded."""
    return data_path("ended")


def running_folder() -> Path:
    """One link per supervised step of this host, laid by its keeper, taken away by the supervisor's end."""
    return data_path("running")


def control_folder(run_id: int) -> Path:
    """What the platform knows of a run while it runs, out of the script's reach: log, spec, state and exit records."""
    return data_path("control", str(run_id // 1000), str(run_id))


def log_path(run_id: int) -> Path:
    """The log of a run: raw bytes as its scripts printed them."""
    return control_folder(run_id) / LOG


def step_folder(run_id: int, position: int, attempt: int) -> Path:
    return control_folder(run_id) / f"step-{position}-{attempt}"


def code_folder(version_id: int) -> Path:
    """A version's files as scripts see them: written once, then read-only, shared by all its runs."""
    return data_path("code", str(version_id))


def environments_folder() -> Path:
    """Environments of scripts by their keys, with their locks and what the resolver keeps."""
    return data_path("environments")


def environment_folder(key: str) -> Path:
    """A Python environment: written once, then read alone, shared by all threads that come to it."""
    return environments_folder() / "ready" / key


def blob_path(digest: str) -> Path:
    """Uploaded content by its SHA-256."""
    return Path(settings.MEDIA_ROOT, "threads", digest[:2], digest)


def runs_folder() -> Path:
    return Path(settings.MEDIA_ROOT, "process_runs")


def kept_state(output_dir: str, position: int, safe_name: str) -> Path:
    """The folder in a run's directory in which `threadkit` keeps what a step remembers from one attempt to the next."""
    return run_directory(output_dir) / STATE / f"{position}-{safe_name}"


def kept_outputs(position: int, safe_name: str, attempt: int) -> str:
    """Below a run's directory, the file in which an attempt of a step has put out values."""
    return f"{STATE}/{position}-{safe_name}/{OUTPUTS}{attempt}"


def run_directory(output_dir: str) -> Path:
    """The working directory of a run's scripts; `output_dir` is relative to `process_runs`."""
    return runs_folder() / output_dir
