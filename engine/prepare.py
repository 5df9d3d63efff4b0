"""Lay out a step before it starts: its directory, its code, its log, its spec. All of it may be done twice."""

import contextlib
import errno
import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from core import layout
from core.interpreter import interpreter
from engine import environment
from engine.host import records
from engine.isolation import Level
from history.models import Run, StepRun
from history.status import Kind
from threads import blobs
from threads.models import FileRole, ThreadVersion


def open_log(run: Run) -> Path:
    """The run's log, there and linked into the run directory, whatever a script did to that."""
    folder = layout.control_folder(run.pk)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.ended_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    log = layout.log_path(run.pk)
    log.touch(mode=0o600)
    show_log(run)
    return log


def show_log(run: Run) -> None:
    """Put the log under its name into the run directory: the same file where both are on one disk, else a copy.

    OSError when the script left something in its place that is not ours to take away.
    """
    log, directory = layout.log_path(run.pk), layout.run_directory(run.output_dir)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "the run's directory was replaced by a link", str(directory))
    shown = directory / layout.SHOWN_LOG
    with contextlib.suppress(FileNotFoundError):
        there, ours = shown.lstat(), log.stat()
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            return
        shown.unlink()
    try:
        os.link(log, shown)
    except OSError:
        # Exclusive: what lies there by now, a link perhaps, is not written through.
        with open(log, "rb") as source, open(shown, "xb") as copy:
            shutil.copyfileobj(source, copy)


@dataclass(frozen=True, slots=True)
class Code:
    """A version's files as they lie on disk, read-only, shared by all its runs."""

    folder: Path
    script: Path
    input: Path | None
    beside: tuple[str, ...]


@lru_cache(maxsize=512)
def code_of(version_id: int, folder: Path) -> Code:
    """The code of a version, laid out in `folder` when it was not. Versions never change, so it may be remembered.

    FileNotFoundError when the version is gone.
    """
    version = ThreadVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise FileNotFoundError(errno.ENOENT, "the version was deleted before it could run")
    files = list(version.files.all())
    if not folder.exists():
        contents = {version.filename: version.source.encode()} | {file.path: blobs.load(file.digest) for file in files}
        _write_folder(folder, contents)
    input_path = next((folder / file.path for file in files if file.role == FileRole.INPUT), None)
    return Code(folder, folder / version.filename, input_path, tuple(file.path for file in files))


def _write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    """The whole folder appears at once."""
    building = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True, mode=0o755)
    for name, content in contents.items():
        (building / name).write_bytes(content)
        (building / name).chmod(0o444)
    try:
        building.rename(folder)
    except OSError:
        # Another worker was first: its folder has the same content.
        shutil.rmtree(building)


def write_spec(step: StepRun, level: Level, *, is_beside_others: bool) -> Path:
    """Everything the supervisor needs, in the step's folder; returns the folder. OSError when something cannot be laid out."""
    if step.version_id is None:
        raise FileNotFoundError(errno.ENOENT, "the version was deleted before it could run")
    code = code_of(step.version_id, layout.code_folder(step.version_id))
    directory = layout.run_directory(step.run.output_dir)
    inputs = {name: _put_beside(code.folder / name, directory / name) for name in code.beside}
    folder = layout.step_folder(step.run_id, step.position, step.attempt)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [interpreter(), str(code.script), *environment.arguments(step.parameters)]
    control = layout.control_folder(step.run_id)
    spec = {
        "run": step.run_id,
        "position": step.position,
        "attempt": step.attempt,
        "argv": level.wrap(command),
        "environment": environment.variables(step, directory, code.input),
        "directory": str(directory),
        "inputs": inputs,
        "limits": environment.limits(),
        "timeout_seconds": step.timeout_seconds,
        "grace_seconds": settings.STOP_GRACE_SECONDS,
        "memory_limit_bytes": settings.DEFAULT_MEMORY_LIMIT_MB * 1024 * 1024,
        "directory_limit_bytes": settings.RUN_DIRECTORY_LIMIT_BYTES,
        "log": str(control / layout.LOG),
        "log_limit_bytes": settings.LOG_LIMIT_BYTES,
        "log_prefix": f"[{step.name}] " if is_beside_others else "",
        "log_heading": f"--- Step {step.position}: {step.name}, version {step.version_number} ---\n"
        if step.run.kind == Kind.PROCESS
        else "",
        "progress": str(control / layout.PROGRESS),
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
