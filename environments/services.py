"""Verbs about environments: ask for one, build it, make it again."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
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
from environments import ondisk, resolver
from environments.models import UNDER_WAY, BuildStatus, Environment, EnvironmentBuild, EnvironmentState
from environments.pythons import OLDEST, Python, choose, found_pythons
from environments.wishes import Wish

# By its name: the builder hands environments on to threads, which are kept by an app above.
START_BUILDER, QUEUE = "threads.building.start_builder", "pyscheduler"
# A resolution serves equal wishes for so long; then a new one finds newer versions.
FRESH = timedelta(days=1)
MAX_LOG = 200_000
Tell = Callable[[EnvironmentBuild], None]
CARE = "The care for environments, which teams share,"


def ask_for(wish: Wish, *, user: User | None, again: bool = False) -> EnvironmentBuild:
    """The build that gives what is wished for: one that is under way, one of today, else a new one that waits to be built.

    `again`: packages are resolved anew. In the caller's transaction, after which a builder is started.
    """
    same = EnvironmentBuild.objects.filter(wish=wish.digest).select_related("environment")
    # Locked: its end waits for the caller's transaction, and so finds who has just joined those that wait for it.
    if found := same.filter(status__in=UNDER_WAY).select_for_update(of=("self",), no_key=True).first():
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
    require_operator(user, CARE)
    host = settings.HOST_KEY if ondisk.last_used(environment.key) is not None else ""
    return make_on(environment, host, user)


def bring_here(key: str, *, since: datetime) -> EnvironmentBuild:
    """The build that makes an environment on this host too, which another host has or had; one that waits, if none does.

    Conflict, in words, when it is known no more, or when it could not be made since then.
    """
    environment = Environment.objects.filter(key=key).first()
    if environment is None:
        raise Conflict(f"Its Python environment {key[:8]} is known no more; rebuild it on the thread's page.")
    newest = EnvironmentBuild.objects.filter(wish=_wish_to_make(key, settings.HOST_KEY)).first()
    if newest and newest.status == BuildStatus.FAILED and newest.finished_at and newest.finished_at > since:
        raise Conflict(f"Its Python environment {key[:8]} cannot be built on host {settings.HOST_KEY}: {newest.error}")
    return make_on(environment, settings.HOST_KEY, None)


def being_made_here() -> list[str]:
    """Keys of the environments that are just being made because this host lacks them."""
    builds = EnvironmentBuild.objects.filter(status__in=UNDER_WAY, only_host=settings.HOST_KEY)
    return list(builds.values_list("environment__key", flat=True))


def _wish_to_make(key: str, host: str) -> str:
    return hashlib.sha256(f"make {key} {host}".encode()).hexdigest()


def make_on(environment: Environment, host: str, user: User | None) -> EnvironmentBuild:
    """The build that makes it from its lock on this host, or on any when none is named, unless it is whole there."""
    wish = _wish_to_make(environment.key, host)
    return EnvironmentBuild.objects.filter(wish=wish, status__in=UNDER_WAY).first() or _new_build(
        wish=wish,
        only_host=host,
        python_version=environment.python_version,
        environment=environment,
        requested_by=user,
    )


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


class Diary:
    """What a build says, kept in its row as it comes, at most every `often` seconds; `tell` lets the pages know."""

    often = 0.3

    def __init__(self, build: EnvironmentBuild, tell: Tell) -> None:
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
    """Ids of builds that wait for this host or any, the oldest first. Any with a worker may take them: the web's own may have none."""
    waiting = EnvironmentBuild.objects.filter(status=BuildStatus.QUEUED, only_host__in=("", settings.HOST_KEY))
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


def carry_out(build: EnvironmentBuild, tell: Tell, hand_over: Tell) -> bool:
    """Build what was claimed, and record how it went; `hand_over` gives a new environment to those who wait for it, in one transaction
    with the record: nobody sees the one without the other.

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
    _end(build, BuildStatus.READY, diary, hand_over)
    return is_new


def _python_for(build: EnvironmentBuild) -> Python:
    python = _like(build.environment) if build.environment else choose(build.python_version, build.requires_python)
    if python is None:
        wanted = " ".join(part for part in (build.python_version, build.requires_python) if part)
        versions = ", ".join(dict.fromkeys(found.version for found in found_pythons())) or "none"
        raise InvalidInput(f"There is no Python {wanted} on this host. Found: {versions}. PYSCHED_PYTHONS can name others.")
    return python


def _like(environment: Environment) -> Python | None:
    """The Python it was made with; on another host its like may lie elsewhere."""
    wanted = (environment.python_version, environment.implementation, environment.platform)
    fitting = [found for found in found_pythons() if (found.version, found.implementation, found.platform) == wanted]
    return next((found for found in fitting if found.path == environment.interpreter), next(iter(fitting), None))


def _built(build: EnvironmentBuild, python: Python, diary: Diary) -> tuple[Environment, bool]:
    layout.environments_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    if build.environment:
        key, text = build.environment.key, build.environment.lock
    else:
        text = _locked(build, python, diary)
        key = ondisk.key_of(python, text)
    is_new = ondisk.make(key, python, text, diary.say)
    environment = _recorded(key, python, text, build.environment)
    if environment.health:
        diary.say(f"Its packages do not fit together:\n{environment.health}")
    return environment, is_new


def _locked(build: EnvironmentBuild, python: Python, diary: Diary) -> str:
    if not build.requirements:
        return ""
    with ondisk.held(layout.environments_folder() / f"resolve-{build.pk}.lock", keep=False) as held:
        return resolver.lock(build.requirements, python, diary.say, held)


def _recorded(key: str, python: Python, lock: str, known: Environment | None) -> Environment:
    found = {
        "state": EnvironmentState.READY,
        "health": ondisk.misfits_of(key),
        "size_bytes": ondisk.size_of(key),
        "checked_at": timezone.now(),
    }
    fields = {
        "python_version": python.version,
        "implementation": python.implementation,
        "platform": python.platform,
        "interpreter": python.path,
        "lock": lock,
        "packages": resolver.packages_of(lock),
    }
    # What it is made of stays as it was first made: another host's Python may lie elsewhere.
    return Environment.objects.update_or_create(key=key, defaults=found if known else fields | found)[0]


def _failed(build: EnvironmentBuild, words: str, diary: Diary) -> bool:
    build.error = words[:20_000]
    _end(build, BuildStatus.FAILED, diary)
    return False


def _end(build: EnvironmentBuild, status: BuildStatus, diary: Diary, hand_over: Tell | None = None) -> None:
    build.status, build.finished_at = status, timezone.now()
    with transaction.atomic():
        build.save(update_fields=["status", "error", "environment", "finished_at"])
        if hand_over:
            hand_over(build)
        diary.write()


def changes_between(before: Environment | None, after: Environment | None) -> list[tuple[str, str, str]]:
    """What differs: package (or Python), version before, version after; empty where it was or is not there."""
    old = {"Python": before.python_version, **before.packages} if before else {}
    new = {"Python": after.python_version, **after.packages} if after else {}
    return [(name, old.get(name, ""), new.get(name, "")) for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]


def known_versions() -> list[str]:
    """Versions that a thread may ask for: series first (`3.12`), the newest first."""
    return list(dict.fromkeys(python.series for python in found_pythons() if python.numbers[:2] >= OLDEST))
