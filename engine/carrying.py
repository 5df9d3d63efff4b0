"""Files of an earlier attempt, for a run that goes on from where that failed."""

import errno
import os
import shutil

from core import layout
from core.errors import DomainError
from core.files import open_beneath, plain_files
from core.text import size_words
from engine.collect import MAX_FILES, is_output, is_working_state
from history.models import Artifact, Run
from history.status import Status

_DONE = "carried"
_PIECE = 64 * 1024 * 1024
# Of file systems that cannot, or two that cannot between them.
_NOT_BY_KERNEL = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class TooMuchToCarry(DomainError):
    """What the earlier attempt left does not fit into the new one's directory."""


def carry_over(run: Run, user: int | None, most: int | None) -> None:
    """Copy what the earlier attempt left into this one's directory, once, before its first step starts; OSError when that fails.

    Copies, no links: what a script does to them leaves the earlier record alone. `user` is who the scripts run as, None for ours;
    `most` how many bytes the directory may take: TooMuchToCarry, and nothing is copied, when that or the disk has no room for all.
    """
    mark = layout.control_folder(run.pk) / _DONE
    if run.retry_of_id is None or mark.exists():
        return
    goes_on = any(step.status == Status.SUCCESS or step.earlier_attempts for step in run.steps.all())
    earlier = Run.objects.filter(pk=run.retry_of_id).values_list("output_dir", flat=True).first()
    if goes_on and earlier and layout.run_directory(earlier).is_dir():
        files = _wanted(run.retry_of_id, earlier)
        _check_room(run, sum(status.st_blocks * 512 for _, status in files), most)
        for path, _ in files:
            _copy(f"{earlier}/{path}", run.output_dir, path, user)
    mark.touch(mode=0o600)


def _wanted(run_id: int, directory: str) -> list[tuple[str, os.stat_result]]:
    """Recorded files and what `threadkit` keeps: inputs are laid anew, the log is the earlier run's."""
    recorded = set(Artifact.objects.filter(run=run_id).values_list("path", flat=True))
    files = plain_files(layout.runs_folder(), directory, MAX_FILES)
    return [(path, status) for path, status in files if path in recorded or (is_working_state(path) and not is_output(path))]


def _check_room(run: Run, needed: int, most: int | None) -> None:
    free = shutil.disk_usage(layout.run_directory(run.output_dir)).free
    if most is not None and needed > most:
        room = f"its directory may take {size_words(most)}"
    elif needed > free:
        room = f"the disk has {size_words(free)} left"
    else:
        return
    raise TooMuchToCarry(f"what the earlier attempt left takes {size_words(needed)}, and {room}; retry it from the start")


def _copy(source: str, directory: str, path: str, user: int | None) -> None:
    target = layout.run_directory(directory) / path
    _make_folders(layout.run_directory(directory), path, user)
    with open(open_beneath(layout.runs_folder(), source), "rb") as original:
        status = os.fstat(original.fileno())
        # A crash may have left half a copy.
        target.unlink(missing_ok=True)
        with open(target, "xb") as copy:
            _copy_content(original.fileno(), copy.fileno(), status.st_size)
    os.chmod(target, status.st_mode & 0o777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    _give(target, user)


def _copy_content(source: int, target: int, size: int) -> None:
    """Holes stay holes. The kernel copies; where the file system can, both share the room until one of them is changed."""
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:
            break  # Nothing but a hole is left.
        end = min(os.lseek(source, at, os.SEEK_HOLE), size)
        while at < end and (copied := _copy_piece(source, target, min(end - at, _PIECE), at)):
            at += copied
        if at < end:
            break  # It became shorter.
    os.truncate(target, size)


def _copy_piece(source: int, target: int, count: int, at: int) -> int:
    try:
        return os.copy_file_range(source, target, count, at, at)
    except OSError as error:
        if error.errno not in _NOT_BY_KERNEL:
            raise
        return os.pwrite(target, os.pread(source, min(count, 1 << 20), at), at)


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
