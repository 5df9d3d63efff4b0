"""Files of an earlier attempt, for a run that goes on from where that failed."""

import os
import shutil

from core import layout
from core.files import open_beneath, plain_files
from engine.collect import MAX_FILES, is_output, is_working_state
from history.models import Artifact, Run
from history.status import Status

_DONE = "carried"


def carry_over(run: Run, user: int | None) -> None:
    """Copy what the earlier attempt left into this one's directory, once, before its first step starts; OSError when that fails.

    Copies, no links: what a script does to them leaves the earlier record alone. `user` is who the scripts run as, None for ours.
    """
    mark = layout.control_folder(run.pk) / _DONE
    if run.retry_of_id is None or mark.exists():
        return
    goes_on = any(step.status == Status.SUCCESS or step.earlier_attempts for step in run.steps.all())
    earlier = Run.objects.filter(pk=run.retry_of_id).values_list("output_dir", flat=True).first()
    if goes_on and earlier and layout.run_directory(earlier).is_dir():
        # Recorded files and what `threadkit` keeps: inputs are laid anew, the log is the earlier run's.
        wanted = set(Artifact.objects.filter(run=run.retry_of_id).values_list("path", flat=True))
        for path, _ in plain_files(layout.runs_folder(), earlier, MAX_FILES):
            if path in wanted or (is_working_state(path) and not is_output(path)):
                _copy(f"{earlier}/{path}", run.output_dir, path, user)
    mark.touch(mode=0o600)


def _copy(source: str, directory: str, path: str, user: int | None) -> None:
    target = layout.run_directory(directory) / path
    _make_folders(layout.run_directory(directory), path, user)
    with open(open_beneath(layout.runs_folder(), source), "rb") as original:
        status = os.fstat(original.fileno())
        # A crash may have left half a copy.
        target.unlink(missing_ok=True)
        with open(target, "xb") as copy:
            shutil.copyfileobj(original, copy, 1024 * 1024)
    os.chmod(target, status.st_mode & 0o777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    _give(target, user)


def _make_folders(directory: "os.PathLike[str]", path: str, user: int | None) -> None:
    folder = os.fspath(directory)
    for part in path.split("/")[:-1]:
        folder = os.path.join(folder, part)
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
            _give(folder, user)


def _give(path: "str | os.PathLike[str]", user: int | None) -> None:
    if user is not None:
        os.chown(path, user, user, follow_symlinks=False)
