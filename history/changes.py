"""What differs between a run and the last one of its target that succeeded, and how often it has failed like this.

Asked when somebody looks, in a few queries whatever the number of steps; nothing of it is kept.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from core.parameters import text_of
from environments.models import Environment
from environments.services import changes_between
from history.models import Run, StepRun
from history.querysets import failed_like
from history.status import Status
from threads.limit_words import limit_name, limit_value
from threads.models import FileRole, ThreadVersion, VersionFile

MOST_COUNTED = 1000
MOST_PACKAGES = 12
PLATFORM_PYTHON = "the platform's Python"


@dataclass(frozen=True, slots=True)
class Change:
    """`what`: steps, code, input, files, environment, parameter, limit, isolation, host. `step` is empty for the run as a whole.

    `thread_id` and `versions` lead to both versions, for code.
    """

    what: str
    before: str
    after: str
    step: str = ""
    detail: str = ""
    thread_id: int | None = None
    versions: tuple[int, int] | None = None

    @property
    def limit(self) -> tuple[str, str, str] | None:
        """Of a limit its name, and both values, as people read them."""
        if self.what != "limit":
            return None
        return limit_name(self.detail), limit_value(self.detail, self.before), limit_value(self.detail, self.after)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`since` is the last success; None when there never was one."""

    since: Run | None
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Alike:
    """The runs of one target that failed in the same way up to now; `count` goes no further than MOST_COUNTED."""

    count: int
    first: Run

    @property
    def is_more(self) -> bool:
        return self.count >= MOST_COUNTED


def of_target(run: Run) -> "QuerySet[Run]":
    """The runs of the same thread or process."""
    rows = Run.objects.filter(team=run.team_id)
    if run.thread_id or run.process_id:
        return rows.filter(thread=run.thread_id, process=run.process_id)
    return rows.none()


def alike(run: Run) -> Alike | None:
    """None for a run that did not fail, or whose target is gone."""
    rows = failed_like(of_target(run), run.failure_signature)
    first = rows.order_by("pk").first() if run.failure_signature else None
    return Alike(rows.order_by("pk")[:MOST_COUNTED].count(), first) if first else None


def since_success(run: Run, steps: Sequence[StepRun]) -> Comparison:
    """Compared with the last run before it that succeeded. `steps` are the run's, in their order."""
    since = of_target(run).filter(status=Status.SUCCESS, pk__lt=run.pk).order_by("-pk").first()
    if since is None:
        return Comparison(None)
    pairs, of_steps = _paired(list(since.steps.order_by("position")), sorted(steps, key=lambda step: step.position))
    contents = _Contents([step for pair in pairs for step in pair if pair[0].version_id != pair[1].version_id])
    found = [*of_steps, *_of_run(since, run)]
    environments = _environments(pairs)
    for before, after in pairs:
        given = since.parameters.keys() | run.parameters.keys()
        found += [*contents.changes(before, after), *_of_step(before, after, environments), *_parameters(before, after, given, after.name)]
    return Comparison(since, found)


def _paired(before: Sequence[StepRun], after: Sequence[StepRun]) -> tuple[list[tuple[StepRun, StepRun]], list[Change]]:
    """Steps of the same thread, first with first; and the change when steps came or went."""
    waiting: dict[Any, list[StepRun]] = {}
    for step in before:
        waiting.setdefault(step.thread_id or step.safe_name, []).append(step)
    pairs = [(found.pop(0), step) for step in after if (found := waiting.get(step.thread_id or step.safe_name))]
    if len(pairs) == len(before) == len(after):
        return pairs, []
    return pairs, [Change("steps", _names(before), _names(after))]


def _names(steps: Sequence[StepRun]) -> str:
    return ", ".join(step.name for step in steps)


def _of_run(before: Run, after: Run) -> Iterator[Change]:
    yield from _parameters(before, after, frozenset(), "")
    if before.host_key != after.host_key and before.host_key and after.host_key:
        yield Change("host", before.host_key, after.host_key)


def _parameters(before: Run | StepRun, after: Run | StepRun, told: Any, step: str) -> Iterator[Change]:
    """By name; `told` are those that the run has for all of its steps."""
    for name in sorted((before.parameters.keys() | after.parameters.keys()) - told):
        old, new = (_value(given.parameters, name) for given in (before, after))
        if old != new:
            yield Change("parameter", old, new, step, detail=name)


def _value(parameters: dict[str, Any], name: str) -> str:
    return text_of(parameters[name])[:200] if name in parameters else ""


def _environments(pairs: Sequence[tuple[StepRun, StepRun]]) -> dict[str, Environment]:
    """By key, those of the steps that ran in another one."""
    keys = {step.environment_key for pair in pairs for step in pair if pair[0].environment_key != pair[1].environment_key}
    return {found.key: found for found in Environment.objects.filter(key__in=keys)} if keys else {}


def _of_step(before: StepRun, after: StepRun, environments: dict[str, Environment]) -> Iterator[Change]:
    if before.environment_key != after.environment_key:
        old, new = (step.environment_key[:12] or PLATFORM_PYTHON for step in (before, after))
        packages = changes_between(environments.get(before.environment_key), environments.get(after.environment_key))
        yield Change("environment", old, new, after.name, _packages(packages))
    if before.isolation != after.isolation and before.isolation and after.isolation:
        yield Change("isolation", before.isolation, after.isolation, after.name)
    for name in sorted(_limits(before).keys() | _limits(after).keys()):
        old, new = (str(_limits(step).get(name, "")) for step in (before, after))
        if old != new:
            yield Change("limit", old, new, after.name, detail=name)


def _packages(changes: Sequence[tuple[str, str, str]]) -> str:
    """The first of them in words: `+idna 3.10, requests 2.31 → 2.32, −six 1.16`."""
    told = []
    for name, old, new in changes[:MOST_PACKAGES]:
        told.append(
            f"{name} {old} \N{RIGHTWARDS ARROW} {new}" if old and new else f"+{name} {new}" if new else f"\N{MINUS SIGN}{name} {old}"
        )
    return ", ".join(told) + (f" and {len(changes) - MOST_PACKAGES} more" if len(changes) > MOST_PACKAGES else "")


def _limits(step: StepRun) -> dict[str, Any]:
    return {"timeout_seconds": step.timeout_seconds, "network": step.network, **step.limits}


class _Contents:
    """Sources and files of the versions that differ: two queries, none when all are the same."""

    def __init__(self, steps: Sequence[StepRun]) -> None:
        ids = {step.version_id for step in steps if step.version_id}
        self.sources = dict(ThreadVersion.objects.filter(pk__in=ids).values_list("pk", "source")) if ids else {}
        self.files: dict[int, dict[tuple[str, str], str]] = {pk: {} for pk in ids}
        for file in VersionFile.objects.filter(version__in=ids) if ids else ():
            # An input is the input whatever it is called.
            key = (file.role, "" if file.role == FileRole.INPUT else file.path)
            self.files[file.version_id][key] = f"{file.path} ({file.size_bytes:,} bytes, {file.digest[:12]})"

    def changes(self, before: StepRun, after: StepRun) -> Iterator[Change]:
        if before.version_number == after.version_number:
            return
        versions = (before.version_number, after.version_number)
        old, new = (f"version {number}" for number in versions)
        yield Change("code", old, new, after.name, self._lines(before, after), after.thread_id, versions)
        had, has = (self.files.get(step.version_id or 0, {}) for step in (before, after))
        for key in sorted(had.keys() | has.keys()):
            if had.get(key) != has.get(key):
                what = "input" if key[0] == FileRole.INPUT else "files"
                yield Change(what, had.get(key, ""), has.get(key, ""), after.name)

    def _lines(self, before: StepRun, after: StepRun) -> str:
        """How many lines came and went; empty when a version is gone, or its script is the same."""
        old, new = (self.sources.get(step.version_id or 0) for step in (before, after))
        if old is None or new is None:
            return ""
        had, has = Counter(old.splitlines()), Counter(new.splitlines())
        return f"+{(has - had).total()} \N{MINUS SIGN}{(had - has).total()} lines" if old != new else "the same script"
