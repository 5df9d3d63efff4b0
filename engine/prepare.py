"""Lay out a step before it starts: its directory, its code, its log, its spec. All of it may be done twice."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from core import layout
from core.interpreter import interpreter
from engine import environment
from engine.host import records
from engine.isolation import Level, arrange, kernel_limits, make_way, refusal, run_user, task_limit
from engine.places import Surroundings
from environments.ondisk import python_of
from history.models import Run, StepRun
from history.status import Kind
from threads import blobs
from threads.models import FileRole, ThreadVersion

CLAIM = "claim"


def open_control(run: Run) -> None:
    """The run's control folder with its log. One that a database that is gone has left under this id makes way."""
    for shared in (layout.ended_folder(), layout.running_folder()):
        shared.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = layout.control_folder(run.pk)
    if folder.exists() and not is_ours(run):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / CLAIM).write_text(run.claim_token)
    layout.log_path(run.pk).touch(mode=0o600)
    layout.run_directory(run.output_dir).mkdir(parents=True, exist_ok=True, mode=0o700)


def is_ours(run: Run) -> bool:
    """Was the control folder of this run's id made for this claim of it?"""
    try:
        return (layout.control_folder(run.pk) / CLAIM).read_text() == run.claim_token
    except OSError:
        return False


def show_log(run: Run) -> None:
    """Put the log of an ended run into its directory: the same file where both are on one disk, else a copy.

    Not while it runs: a script that writes a file of that name, as some do, would write into the record. If one did, its
    file stays and the log gets another name. OSError when the script left no directory to put it into.
    """
    log, directory = layout.log_path(run.pk), layout.run_directory(run.output_dir)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "the run's directory was replaced by a link", str(directory))
    take_back(directory)
    for name in (layout.SHOWN_LOG, layout.SHOWN_LOG_ELSE):
        with contextlib.suppress(FileExistsError):
            try:
                os.link(log, directory / name)
            except OSError as error:
                if error.errno == errno.EEXIST:
                    raise
                with open(log, "rb") as source, open(directory / name, "xb") as copy:
                    shutil.copyfileobj(source, copy)
            return


@dataclass(frozen=True, slots=True)
class Code:
    """A version's files as they lie on disk, read-only, shared by all its runs."""

    folder: Path
    script: Path
    input: Path | None
    beside: tuple[str, ...]


def _code(version_id: int) -> Code:
    folder = layout.code_folder(version_id)
    if not folder.exists():
        # A script may take away what it can write to.
        code_of.cache_clear()
    return code_of(version_id, folder)


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
    # Whatever our umask: scripts may run as other users.
    building.chmod(0o755)
    try:
        building.rename(folder)
    except OSError:
        # Another worker was first: its folder has the same content.
        shutil.rmtree(building)


def write_spec(step: StepRun, level: Level, given: Mapping[str, str], *, is_beside_others: bool, least: str = "") -> Path:
    """Everything the supervisor needs, in the step's folder; returns the folder. OSError when something cannot be laid out.

    `given` are the variables of team and thread, without secrets: those never lie here. `least` is the level that the team asks for.
    """
    if step.version_id is None:
        raise FileNotFoundError(errno.ENOENT, "the version was deleted before it could run")
    if fault := refusal(level, network=step.network, least=least):
        raise PermissionError(fault)
    code = _code(step.version_id)
    directory = layout.run_directory(step.run.output_dir)
    inputs = {name: _put_beside(code.folder / name, directory / name) for name in code.beside}
    folder = layout.step_folder(step.run_id, step.position, step.attempt)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    python = python_of(step.environment_key) if step.environment_key else interpreter()
    command = [python, str(code.script), *environment.arguments(step.parameters)]
    control = layout.control_folder(step.run_id)
    place = Surroundings(command[0], directory, (str(code.folder),), step.network, run_user(level.name, step.run_id))
    temporary = _own(directory, level, place.user, [name for name, status in inputs.items() if status])
    spec = {
        "run": step.run_id,
        "position": step.position,
        "attempt": step.attempt,
        "claim": step.run.claim_token,
        "argv": command,
        "environment": environment.variables(step, python, directory, code.input, given) | environment.own_places(directory, temporary),
        "directory": str(directory),
        "inputs": inputs,
        **_held_back(step, level, place),
        "timeout_seconds": step.timeout_seconds,
        "grace_seconds": settings.STOP_GRACE_SECONDS,
        "log": str(control / layout.LOG),
        "log_limit_bytes": settings.LOG_LIMIT_BYTES,
        "log_prefix": f"[{step.name}] " if is_beside_others else "",
        "log_heading": _heading(step),
        "progress": str(control / layout.PROGRESS),
        "outputs": layout.kept_outputs(step.position, step.safe_name, step.attempt),
        "ended_folder": str(layout.ended_folder()),
        "running_folder": str(layout.running_folder()),
        "bells": str(layout.bells()),
    }
    records.write(str(folder / records.SPEC), spec)
    return folder


def _held_back(step: StepRun, level: Level, place: Surroundings) -> dict[str, Any]:
    """Of the spec, what keeps the script within its limits and from the rest."""
    of_tree = environment.enforced(step.limits)
    tasks = task_limit(level, place.user, of_tree["process_limit"])
    limits = environment.limits(of_tree) | kernel_limits(level, place.user, tasks)
    return {**of_tree, "limits": limits, "isolation": arrange(level, place, tasks)}


def _own(directory: Path, level: Level, user: int | None, laid: list[str]) -> Path | None:
    """Give the run's user its directory and what was just laid there; returns the folder for temporary files if it needs one."""
    if user is not None:
        make_way(level, directory.parent)
        for path in (directory, *(directory / name for name in laid)):
            os.chown(path, user, user, follow_symlinks=False)
    if not level.keeps_temporary:
        return None
    with _state_folder(directory, user) as state:
        _make_folder(layout.SCRATCH, state, user)
    return directory / layout.STATE / layout.SCRATCH


@contextlib.contextmanager
def _state_folder(directory: Path, user: int | None) -> Iterator[int]:
    """A descriptor of the working state's folder, which an earlier step may have replaced by a link: NotADirectoryError then."""
    with contextlib.ExitStack() as opened:
        base = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        opened.callback(os.close, base)
        _make_folder(layout.STATE, base, user)
        state = os.open(layout.STATE, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base)
        opened.callback(os.close, state)
        yield state


def _make_folder(name: str, parent: int, user: int | None) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        if user is not None:
            os.chown(name, user, user, dir_fd=parent, follow_symlinks=False)


def take_back(directory: Path) -> None:
    """The run is over: its directory belongs to the platform again, and its temporary files go."""
    if os.geteuid() == 0:
        os.chown(directory, 0, 0, follow_symlinks=False)
    if os.path.lexists(directory / layout.STATE / layout.SCRATCH):
        with contextlib.suppress(OSError), _state_folder(directory, None) as state:
            shutil.rmtree(layout.SCRATCH, ignore_errors=True, dir_fd=state)


def _heading(step: StepRun) -> str:
    """What the log says before the step's own words; nothing for a thread that runs by itself, the first time."""
    attempt = f"attempt {step.attempt} of {step.retries + 1}" if step.attempt > 1 else ""
    if step.run.kind == Kind.PROCESS:
        return f"--- Step {step.position}: {step.name}, version {step.version_number}{attempt and f', {attempt}'} ---\n"
    return f"--- {attempt.capitalize()} ---\n" if attempt else ""


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
