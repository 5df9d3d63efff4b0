"""Lay out a step before it starts: its directory, its code, its log, its spec. All of it may be done twice."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from core import layout
from engine import environment
from engine.host import records
from engine.isolation import Level
from history.models import Run, StepRun
from threads import blobs
from threads.models import FileRole, ThreadVersion

LOG_NAME = "run.log"


def make_run_directory(run: Run) -> str:
    """A new directory `<safe name>/<date-time>_<number>` below `process_runs` with the log in it; returns its relative path."""
    moment = timezone.localtime(run.started_at or timezone.now())
    parent = layout.runs_folder() / run.safe_name
    parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    name = f"{moment:%Y-%m-%d_%H-%M-%S}_{run.number}"
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        with contextlib.suppress(FileExistsError):
            (parent / f"{name}{suffix}").mkdir(mode=0o700)
            return f"{run.safe_name}/{name}{suffix}"
    raise FileExistsError(errno.EEXIST, "no free directory name", str(parent / name))


def open_log(run: Run) -> Path:
    """The run's log, there and linked into the run directory, whatever a script did to that."""
    folder = layout.control_folder(run.pk)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / "log"
    log.touch(mode=0o600)
    show_log(run)
    return log


def show_log(run: Run) -> None:
    """Put the log under its name into the run directory: the same file where both are on one disk, else a copy."""
    log = layout.control_folder(run.pk) / "log"
    directory = layout.run_directory(run.output_dir)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    shown = directory / LOG_NAME
    with contextlib.suppress(FileNotFoundError):
        if os.path.samefile(log, shown):
            return
    with contextlib.suppress(OSError):
        shown.unlink()
    try:
        os.link(log, shown)
    except OSError:
        shutil.copyfile(log, shown)


def lay_out_code(version: ThreadVersion) -> Path:
    """The version's files in a folder of their own, read-only; made once and shared by all its runs."""
    folder = layout.code_folder(version.pk)
    if folder.exists():
        return folder
    building = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True, mode=0o755)
    contents = {version.filename: version.source.encode()} | {file.path: blobs.load(file.digest) for file in version.files.all()}
    for name, content in contents.items():
        (building / name).write_bytes(content)
        (building / name).chmod(0o444)
    try:
        building.rename(folder)
    except OSError:
        # Another worker was first: its folder has the same content.
        shutil.rmtree(building)
    return folder


def write_spec(run: Run, step: StepRun, level: Level, *, stage_size: int, step_count: int) -> Path:
    """Everything the supervisor needs, in the step's folder; returns the folder. FileNotFoundError when the code is gone."""
    version = step.version
    if version is None:
        raise FileNotFoundError(errno.ENOENT, "the version was deleted before it could run", step.name)
    directory = layout.run_directory(run.output_dir)
    code = lay_out_code(version)
    files = list(version.files.all())
    inputs = {file.path: _put_beside(code / file.path, directory / file.path) for file in files}
    input_path = next((code / file.path for file in files if file.role == FileRole.INPUT), None)
    folder = layout.step_folder(run.pk, step.position, step.attempt)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [environment.interpreter(), str(code / version.filename), *environment.arguments(step.parameters)]
    spec = {
        "run": run.pk,
        "position": step.position,
        "attempt": step.attempt,
        "argv": level.wrap(command),
        "environment": environment.variables(
            run_id=run.pk,
            directory=directory,
            step=step.safe_name,
            attempt=step.attempt,
            input_path=input_path,
            parameters=step.parameters,
        ),
        "directory": str(directory),
        "limits": environment.limits(),
        "timeout_seconds": step.timeout_seconds,
        "grace_seconds": settings.STOP_GRACE_SECONDS,
        "memory_limit_bytes": settings.DEFAULT_MEMORY_LIMIT_MB * 1024 * 1024,
        "directory_limit_bytes": settings.RUN_DIRECTORY_LIMIT_BYTES,
        "log": str(layout.control_folder(run.pk) / "log"),
        "log_limit_bytes": settings.LOG_LIMIT_BYTES,
        "log_prefix": f"[{step.name}] " if stage_size > 1 else "",
        "log_heading": f"--- Step {step.position} of {step_count}: {step.name}, version {step.version_number} ---\n" if step_count > 1 else "",
        "progress": str(layout.control_folder(run.pk) / "progress"),
        "inputs": inputs,
        "ended_folder": str(layout.ended_folder()),
        "bells": str(layout.bells()),
    }
    records.write(str(folder / records.SPEC), spec)
    return folder


def _put_beside(source: Path, target: Path) -> list[int] | None:
    """A version's file in the working directory, where scripts look for it; never over one that a step wrote.

    Returns its size and time, by which it is told later whether it is still the same; None for a step's own.
    """
    try:
        with open(source, "rb") as content, open(target, "xb") as copy:
            shutil.copyfileobj(content, copy, 1024 * 1024)
    except FileExistsError:
        return None
    status = target.stat()
    return [status.st_size, status.st_mtime_ns]
