"""Verbs about environments: ask for one, build it, check it, collect those that nobody uses."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django_q.tasks import async_task

from accounts.access import require_operator
from accounts.models import User
from core import layout
from core.errors import Conflict, InvalidInput
from environments import resolver
from environments.models import UNDER_WAY, BuildStatus, Environment, EnvironmentBuild, EnvironmentState
from environments.pythons import OLDEST, Python, choose, found_pythons
from environments.wishes import Wish

# By its name: the builder hands environments on to threads, which are kept by an app above.
START_BUILDER, QUEUE = "threads.building.start_builder", "pyscheduler"
# A resolution serves equal wishes for so long; then a new one finds newer versions.
FRESH = timedelta(days=1)
MAX_LOG = 200_000
UNUSED_DAYS = 30
_WHAT = "The care for environments, which teams share,"
_START_SECONDS = 20
READY, LOCK, USED = "ready.json", "requirements.lock", "used"


def ask_for(wish: Wish, *, user: User | None, again: bool = False) -> EnvironmentBuild:
    """The build that gives what is wished for: one that is under way, one of today, else a new one that waits to be built.

    `again`: packages are resolved anew. In the caller's transaction, after which a builder is started.
    """
    same = EnvironmentBuild.objects.filter(wish=wish.digest).select_related("environment")
    if found := same.filter(status__in=UNDER_WAY).first():
        return found
    fresh = same.filter(status=BuildStatus.READY, environment__state=EnvironmentState.READY, finished_at__gt=timezone.now() - FRESH)
    if not again and (found := fresh.first()):
        return found
    return _new_build(
        wish=wish.digest,
        python_version=wish.python_version,
        requires_python=wish.requires_python,
        requirements=wish.requirements,
        requested_by=user,
    )


def remake_environment(environment: Environment, *, user: User) -> EnvironmentBuild:
    """A build that makes this very one again where it is broken or was collected; one that is whole stays as it is. For operators."""
    require_operator(user, _WHAT)
    wish = hashlib.sha256(f"remake {environment.key}".encode()).hexdigest()
    if found := EnvironmentBuild.objects.filter(wish=wish, status__in=UNDER_WAY).first():
        return found
    return _new_build(wish=wish, python_version=environment.python_version, environment=environment, requested_by=user)


def _new_build(**fields: Any) -> EnvironmentBuild:
    try:
        with transaction.atomic():
            build = EnvironmentBuild.objects.create(**fields)
            # Its message is in the same transaction: a worker gets it once this is committed, and starts a builder.
            async_task(START_BUILDER, cluster=QUEUE)
            return build
    except IntegrityError:
        # Somebody asked for the same at the same moment: the constraint lets one build of a wish be under way.
        return EnvironmentBuild.objects.get(wish=fields["wish"], status__in=UNDER_WAY)


def refused_build(words: str, *, user: User | None) -> EnvironmentBuild:
    """A wish that cannot be understood, as a build that failed with these words."""
    now = timezone.now()
    digest = hashlib.sha256(words.encode()).hexdigest()
    return EnvironmentBuild.objects.create(
        wish=digest, status=BuildStatus.FAILED, error=words, requested_by=user, started_at=now, finished_at=now
    )


def python_of(key: str) -> str:
    """The interpreter of an environment on this host; Conflict when it is not there. No question to the database."""
    folder = layout.environment_folder(key)
    try:
        # When it was last used is this file's time: a run costs no row.
        os.utime(folder / USED)
    except FileNotFoundError:
        raise Conflict(f"Its Python environment {key[:8]} is not on this host; rebuild it on the thread's page.") from None
    return str(folder / "bin" / "python")


def last_used(key: str) -> float | None:
    """When a run last used it, in seconds since the epoch; None when it is not on this host."""
    try:
        return (layout.environment_folder(key) / USED).stat().st_mtime
    except OSError:
        return None


class Diary:
    """What a build says, kept in its row as it comes, at most every `often` seconds; `tell` lets the pages know."""

    often = 0.3

    def __init__(self, build: EnvironmentBuild, tell: Callable[[EnvironmentBuild], None]) -> None:
        self.build = build
        self._tell = tell
        self._written = 0.0

    def say(self, line: str) -> None:
        if len(self.build.log) < MAX_LOG:
            # Where the platform's data lies is not for everybody.
            self.build.log += line.replace(f"{layout.environments_folder()}/ready/", "") + "\n"
        if time.monotonic() - self._written > self.often:
            self.write()

    def write(self) -> None:
        self._written = time.monotonic()
        with transaction.atomic():
            EnvironmentBuild.objects.filter(pk=self.build.pk).update(log=self.build.log)
            self._tell(self.build)


def waiting_builds() -> list[int]:
    """Ids of builds that wait, the oldest first. Any host with a worker may take them: the web's own may have none."""
    waiting = EnvironmentBuild.objects.filter(status=BuildStatus.QUEUED)
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:20])


def claim_build(pk: int) -> EnvironmentBuild | None:
    """The build, from now on the caller's; None when somebody was first."""
    mine = EnvironmentBuild.objects.filter(pk=pk, status=BuildStatus.QUEUED)
    now = timezone.now()
    ours = {"status": BuildStatus.RUNNING, "host_key": settings.HOST_KEY, "attempt": F("attempt") + 1}
    if not mine.update(**ours, started_at=now, log="", error=""):
        return None
    return EnvironmentBuild.objects.select_related("environment").get(pk=pk)


def release_build(build: EnvironmentBuild, *, is_last: bool) -> None:
    """Its builder is dead: it waits again, or `is_last` it has failed."""
    rows = EnvironmentBuild.objects.filter(pk=build.pk, status=BuildStatus.RUNNING)
    if is_last:
        rows.update(status=BuildStatus.FAILED, finished_at=timezone.now(), error=f"Its builder died {build.attempt} times; rebuild it.")
    else:
        rows.update(status=BuildStatus.QUEUED, started_at=None)


def carry_out(build: EnvironmentBuild, tell: Callable[[EnvironmentBuild], None]) -> bool:
    """Build what was claimed, and record how it went. The caller hands a new environment on to those who wait for it.

    Whatever goes wrong is the build's error. False when the bytecode need not be compiled: the environment was there.
    """
    diary = Diary(build, tell)
    try:
        python = _python_for(build)
        diary.say(f"Python {python.version}")
        environment, is_new = _built(build, python, diary)
    except resolver.ResolverRefused as error:
        return _failed(build, str(error), diary)
    except (InvalidInput, OSError, subprocess.SubprocessError) as error:
        return _failed(build, getattr(error, "message", "") or str(error), diary)
    diary.say("Ready." if is_new else "It was there already: threads with equal packages share one environment.")
    build.environment = environment
    _end(build, BuildStatus.READY, diary)
    return is_new


def _python_for(build: EnvironmentBuild) -> Python:
    if build.environment:
        there = (found for found in found_pythons() if found.path == build.environment.interpreter)
        python = next((found for found in there if found.version == build.environment.python_version), None)
    else:
        python = choose(build.python_version, build.requires_python)
    if python is None:
        wanted = " ".join(part for part in (build.python_version, build.requires_python) if part)
        versions = ", ".join(dict.fromkeys(found.version for found in found_pythons())) or "none"
        raise InvalidInput(f"There is no Python {wanted} on this host. Found: {versions}. PYSCHED_PYTHONS can name others.")
    return python


def _built(build: EnvironmentBuild, python: Python, diary: Diary) -> tuple[Environment, bool]:
    layout.environments_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    if build.environment:
        key, text = build.environment.key, build.environment.lock
    else:
        text = _locked(build, python, diary)
        key = key_of(python, text)
    with _held(layout.environments_folder() / f"{key}.lock") as held:
        is_new = not _is_whole(key)
        if is_new:
            _make(key, python, text, diary, held)
        return _recorded(key, python, text), is_new


def _locked(build: EnvironmentBuild, python: Python, diary: Diary) -> str:
    if not build.requirements:
        return ""
    with _held(layout.environments_folder() / f"resolve-{build.pk}.lock", keep=False) as held:
        return resolver.lock(build.requirements, python, diary.say, held)


def key_of(python: Python, lock: str) -> str:
    """What makes an environment this one: the exact Python, what wheels it takes, the lock, and where they came from."""
    parts = [python.version, python.implementation, python.platform, python.path, resolver.index_in_use(), resolver.sorted_lock(lock)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _make(key: str, python: Python, lock: str, diary: Diary, held: int) -> None:
    """Builds in place, for scripts in `bin` name their interpreter by its path. The mark comes last: without it, it is none."""
    folder = layout.environment_folder(key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    lock_file = layout.environments_folder() / f"{key}.txt"
    lock_file.write_text(f"{lock}\n" if lock else "")
    resolver.make(folder, lock_file, python, diary.say, held)
    lock_file.replace(folder / LOCK)
    if fault := _start_fault(key):
        raise resolver.ResolverRefused(fault)
    (folder / USED).touch()
    part = folder / f".{READY}"
    part.write_text(json.dumps({"key": key, "python": python.version, "interpreter": python.path}))
    part.replace(folder / READY)


def _is_whole(key: str) -> bool:
    folder = layout.environment_folder(key)
    return (folder / READY).exists() and (folder / USED).exists() and not health_of(key)


def health_of(key: str) -> str:
    """What is wrong with an environment on this host; empty when its interpreter starts and its packages fit together."""
    folder = layout.environment_folder(key)
    if not (folder / READY).exists():
        return "It is not on this host."
    if fault := _start_fault(key):
        return fault
    try:
        return resolver.check(str(folder / "bin" / "python"))
    except subprocess.TimeoutExpired:
        return "The check of its packages took too long."


def _start_fault(key: str) -> str:
    try:
        words = [str(layout.environment_folder(key) / "bin" / "python"), "-I", "-c", ""]
        done = subprocess.run(words, capture_output=True, text=True, env={}, timeout=_START_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Its interpreter does not start: {error}"
    return f"Its interpreter does not start: {done.stderr.strip()[-500:]}" if done.returncode else ""


def _recorded(key: str, python: Python, lock: str) -> Environment:
    now = timezone.now()
    fields = {
        "python_version": python.version,
        "implementation": python.implementation,
        "platform": python.platform,
        "interpreter": python.path,
        "lock": lock,
        "packages": resolver.packages_of(lock),
        "state": EnvironmentState.READY,
        "health": "",
        "size_bytes": size_of(key),
        "checked_at": now,
    }
    return Environment.objects.update_or_create(key=key, defaults=fields)[0]


def size_of(key: str) -> int:
    """Bytes on disk."""
    total = 0
    for folder, _, names in os.walk(layout.environment_folder(key)):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue  # Compiling renames its files.
    return total


def _failed(build: EnvironmentBuild, words: str, diary: Diary) -> bool:
    build.error = words[:20_000]
    _end(build, BuildStatus.FAILED, diary)
    return False


def _end(build: EnvironmentBuild, status: BuildStatus, diary: Diary) -> None:
    build.status, build.finished_at = status, timezone.now()
    build.save(update_fields=["status", "error", "environment", "finished_at"])
    diary.write()


@contextmanager
def _held(path: Path, *, keep: bool = True) -> Iterator[int]:
    """The file's lock, waited for. Children that are given its number hold it too: a builder's death does not free it under them."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
    if not keep:
        path.unlink(missing_ok=True)


def check_environment(environment: Environment, *, user: User) -> Environment:
    """Look whether it still works on this host, and record what was found. For operators; takes about half a second."""
    require_operator(user, _WHAT)
    health = health_of(environment.key)
    state = EnvironmentState.BROKEN if health else EnvironmentState.READY
    rows = Environment.objects.filter(pk=environment.pk).exclude(state=EnvironmentState.COLLECTED)
    rows.update(health=health, state=state, checked_at=timezone.now(), size_bytes=size_of(environment.key))
    environment.refresh_from_db()
    return environment


def collect_unused(*, days: int, user: User | None = None) -> list[Environment]:
    """Take those off the disk that no thread uses and no run used for so many days; their rows stay. For operators, or the platform."""
    if user:
        require_operator(user, _WHAT)
    unused: dict[str, Any] = {"threads": None}
    collected = []
    for environment in Environment.objects.filter(**unused).exclude(state=EnvironmentState.COLLECTED):
        used = last_used(environment.key)
        if used is None or used <= time.time() - days * 86400:
            _take_off(environment)
            collected.append(environment)
    return collected


def _take_off(environment: Environment) -> None:
    """The mark goes first: half an environment is none."""
    folder = layout.environment_folder(environment.key)
    with _held(layout.environments_folder() / f"{environment.key}.lock"):
        for name in (READY, USED):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        Environment.objects.filter(pk=environment.pk).update(state=EnvironmentState.COLLECTED, size_bytes=0)


def compile_bytecode(environment: Environment) -> "subprocess.Popen[bytes]":
    """Starts what makes imports quick, at the lowest priority: runs need not wait for it, each file appears whole."""
    folder = layout.environment_folder(environment.key)
    words = ["nice", "-n", "19", str(folder / "bin" / "python"), "-I", "-m", "compileall", "-q", str(folder / "lib")]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=nowhere, stdout=nowhere, stderr=nowhere, env={"PATH": os.defpath}, umask=0o022)


def note_size(environment: Environment) -> None:
    """Record what it takes on disk now."""
    Environment.objects.filter(pk=environment.pk).update(size_bytes=size_of(environment.key))


def changes_between(before: Environment | None, after: Environment | None) -> list[tuple[str, str, str]]:
    """What differs: package (or Python), version before, version after; empty where it was or is not there."""
    old = {"Python": before.python_version, **before.packages} if before else {}
    new = {"Python": after.python_version, **after.packages} if after else {}
    return [(name, old.get(name, ""), new.get(name, "")) for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]


def known_versions() -> list[str]:
    """Versions that a thread may ask for: series first (`3.12`), the newest first."""
    return list(dict.fromkeys(python.series for python in found_pythons() if python.numbers[:2] >= OLDEST))
