"""What the engine writes into the record. Each change is one conditional UPDATE; zero rows: somebody was first, and that is that."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Min, OuterRef
from django.utils import timezone

from core.rows import execute, select_column, update_row
from events.services import publish_all
from history.failures import lost
from history.limits import ITS_TURN, choose, limits
from history.models import Artifact, Host, Run, StepRun
from history.retrying import retry_lost
from history.services import milliseconds, run_event
from history.status import ALIVE, BROKEN, Status
from processes.models import OnFailure

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file in a run's directory."""

    path: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended. `started_at` is when its script really started, None when it never did."""

    status: Status
    reason: str
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime = field(default_factory=timezone.now)
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    failure: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended as a whole."""

    status: Status
    reason: str
    exit_code: int | None
    log_bytes: int


def renew(host_key: str, boot_id: str) -> None:
    """The host lives and vouches for its runs."""
    now = timezone.now()
    if not execute(_SEEN, [now, host_key, boot_id]):
        Host.objects.update_or_create(pk=host_key, defaults={"boot_id": boot_id, "seen_at": now, "started_at": now})
    execute(_VOUCH, [now + LEASE, host_key])


# The best waiting runs, taken by one statement. A directory's name carries the run's number: it is unique within its team.
# MATERIALIZED: a plain subselect PostgreSQL may run again for each row, and each time the locked ones are skipped.
_CLAIM = """
    WITH chosen AS MATERIALIZED (
        SELECT id FROM history_run WHERE status = 'queued' AND {its_turn} {within} AND NOT EXISTS (SELECT 1 FROM history_drain)
        ORDER BY priority DESC, id LIMIT %s {lock}
    )
    UPDATE history_run
    SET status = 'running', host_key = %s, claim_token = %s, started_at = %s, lease_expires_at = %s,
        output_dir = safe_name || '/' || %s || '_' || number
    WHERE status = 'queued' AND id IN (SELECT id FROM chosen)
    RETURNING *
"""
_BEGIN_FIRST = """
    UPDATE history_steprun SET status = 'running', started_at = %s, isolation = %s, isolation_reason = %s
    WHERE status = 'queued' AND run_id IN ({places}) AND stage = (
        SELECT min(stage) FROM history_steprun other
        WHERE other.run_id = history_steprun.run_id AND status = 'queued' AND on_failure <> 'rescue'
    ) AND on_failure <> 'rescue'
    RETURNING *
"""
# A run all of whose steps wait for another attempt takes up no place until its time has come.
_COUNT_ALIVE = """
    SELECT count(*) FROM history_run run WHERE host_key = %s AND status IN ('running', 'paused') AND (
        not_before IS NULL OR not_before <= %s
        OR EXISTS (SELECT 1 FROM history_steprun step WHERE step.run_id = run.id AND step.status IN ('running', 'paused'))
    )
"""
_SEEN = "UPDATE history_host SET seen_at = %s WHERE key = %s AND boot_id = %s"
_VOUCH = "UPDATE history_run SET lease_expires_at = %s WHERE host_key = %s AND status IN ('running', 'paused')"
_ANY_ALIVE = "SELECT 1 FROM history_run WHERE status IN ('running', 'paused') LIMIT 1"
_ANY_WAITING = "SELECT 1 FROM history_run WHERE status = 'queued' AND NOT EXISTS (SELECT 1 FROM history_drain) LIMIT 1"
_TOLD = """
    SELECT id FROM history_run WHERE host_key = %s AND status IN ('running', 'paused')
        AND (stop_requested_at IS NOT NULL OR (pause_requested_at IS NOT NULL) <> (status = 'paused'))
"""
_IS_ALIVE = "status IN ('running', 'paused')"


def any_alive() -> bool:
    return bool(select_column(_ANY_ALIVE))


def any_waiting() -> bool:
    return bool(select_column(_ANY_WAITING))


def claim(host_key: str, most: int, *, isolation: str, isolation_reason: str = "") -> list[StepRun]:
    """Take the best waiting runs for this host, as many as keep it at `most` at once; returns the begun steps of their first stage.

    One worker of a host claims at a time (`engine.turn`), so the count holds; hosts beside each other take different runs.
    """
    if not any_waiting():
        return []
    with transaction.atomic():
        now = timezone.now()
        free = most - select_column(_COUNT_ALIVE, [host_key, now])[0]
        if free <= 0:
            return []
        stamp = f"{timezone.localtime(now):%Y-%m-%d_%H-%M-%S}"
        lock = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
        statement = _CLAIM.format(lock=lock, its_turn=ITS_TURN, within=_within_limits(free))
        taken = Run.objects.raw(statement, [free, host_key, uuid.uuid4().hex, now, now + LEASE, stamp])
        runs = {run.pk: run for run in taken}
        if not runs:
            return []
        places = ", ".join(["%s"] * len(runs))
        steps = list(StepRun.objects.raw(_BEGIN_FIRST.format(places=places), [now, isolation, isolation_reason, *runs]))
        publish_all([run_event(run) for run in runs.values()])
    for step in steps:
        step.run = runs[step.run_id]
    return sorted(steps, key=lambda step: (-step.run.priority, step.run_id, step.position))


def _within_limits(most: int) -> str:
    """The condition that keeps the claim to what the limits of teams, threads and processes let start; nothing when there are none."""
    bounds = limits()
    return f"AND id IN ({', '.join(map(str, choose(bounds, most))) or 'NULL'})" if bounds else ""


def begin_steps(run: Run, steps: Sequence[StepRun], *, progress: float, isolation: str, isolation_reason: str = "") -> bool:
    """Mark the steps of a stage as running, before they are started: a crash in between is mended by asking again.

    False when somebody else began them: it is his to start them.
    """
    now = timezone.now()
    waiting = StepRun.objects.filter(pk__in=[step.pk for step in steps], status=Status.QUEUED)
    if not waiting.update(status=Status.RUNNING, started_at=now, isolation=isolation, isolation_reason=isolation_reason):
        return False
    for step in steps:
        step.status, step.started_at = Status.RUNNING, now
    changes = {"progress": progress} | ({"not_before": _next_attempt(run), "reason": ""} if run.not_before else {})
    if update_row(Run, run.pk, changes, where=_IS_ALIVE):
        for name, value in changes.items():
            setattr(run, name, value)
    publish_all([run_event(run)])
    return True


def _next_attempt(run: Run) -> datetime | None:
    """When the first of its waiting steps is tried again."""
    found: datetime | None = run.steps.filter(status=Status.QUEUED).aggregate(first=Min("not_before"))["first"]
    return found


def try_again(step: StepRun, at: datetime) -> None:
    """Put a step whose end was just recorded back in line for its next attempt; how this one ended stays in the record."""
    moments = {name: moment.isoformat() if moment else None for name in ("started_at", "finished_at") for moment in [getattr(step, name)]}
    ended = {"attempt": step.attempt, "status": step.status, "reason": step.reason, "exit_code": step.exit_code, **moments}
    changes = {
        "status": Status.QUEUED,
        "reason": f"Attempt {step.attempt} of {step.retries + 1}: {step.reason}",
        "attempt": step.attempt + 1,
        "earlier_attempts": [*step.earlier_attempts, ended],
        "not_before": at,
        "started_at": None,
        "finished_at": None,
        "exit_code": None,
        "failure": {},
        "outputs": {},
    }
    if StepRun.objects.filter(pk=step.pk, attempt=step.attempt).update(**changes):
        for name, value in changes.items():
            setattr(step, name, value)
        step.run.not_before = min(step.run.not_before or at, at)
        Run.objects.filter(pk=step.run_id).update(not_before=step.run.not_before)


def wait(step: StepRun, until: datetime, reason: str) -> None:
    """A step that was begun cannot start yet: it is back in line, and its attempt does not count. Until then it takes up no place.

    The reason is the run's until it goes on.
    """
    changes = {"status": Status.QUEUED, "started_at": None, "not_before": until}
    with transaction.atomic():
        if not StepRun.objects.filter(pk=step.pk, status=Status.RUNNING, attempt=step.attempt).update(**changes):
            return
        step.status, step.started_at, step.not_before = Status.QUEUED, None, until
        step.run.not_before, step.run.reason = _next_attempt(step.run), reason
        Run.objects.filter(pk=step.run_id, status__in=ALIVE).update(not_before=step.run.not_before, reason=reason)
        publish_all([run_event(step.run)])


def put_off(host_key: str, environment_keys: Collection[str], until: datetime) -> None:
    """This host's steps that would be due by then go on waiting: the environments they run in are not there yet."""
    alive = StepRun.objects.filter(run__host_key=host_key, run__status__in=ALIVE)
    waiting = alive.filter(status=Status.QUEUED, not_before__lt=until, environment_key__in=environment_keys)
    found = dict(waiting.values_list("pk", "run_id"))
    StepRun.objects.filter(pk__in=found, status=Status.QUEUED).update(not_before=until)
    for run in Run.objects.filter(pk__in=set(found.values())):
        Run.objects.filter(pk=run.pk, not_before__isnull=False).update(not_before=_next_attempt(run))


def is_gone(host_key: str) -> bool:
    """Nothing has been heard of this host for so long that its runs are given up."""
    return not Host.objects.filter(pk=host_key, seen_at__gte=timezone.now() - 2 * LEASE).exists()


def due_again(host_key: str, most: int) -> list[int]:
    """This host's runs of which a step is to be tried again by now, the longest due first, as many as there are places for."""
    alive = Run.objects.filter(host_key=host_key, status__in=ALIVE)
    due = list(alive.filter(not_before__lte=timezone.now()).order_by("not_before").values_list("pk", flat=True))
    if not due:
        return []
    busy = alive.filter(Exists(StepRun.objects.filter(run=OuterRef("pk"), status__in=ALIVE))).count()
    return due[: max(0, most - busy)]


def end_step(step: StepRun, end: StepEnd, files: Iterable[FoundFile] = (), outputs: dict[str, Any] | None = None) -> bool:
    """Record a step's end with what it left and put out; False when it was recorded before."""
    changes = {
        "status": end.status,
        "reason": end.reason,
        "exit_code": end.exit_code,
        "started_at": end.started_at or step.started_at,
        "finished_at": max(end.finished_at, end.started_at or end.finished_at),
        "cpu_seconds": end.cpu_seconds,
        "peak_memory_bytes": end.peak_memory_bytes,
    }
    if not update_row(StepRun, step.pk, changes, where=_IS_ALIVE):
        return False
    for name, value in changes.items():
        setattr(step, name, value)
    more = {name: value for name, value in (("outputs", outputs), ("failure", end.failure)) if value}
    if more:
        StepRun.objects.filter(pk=step.pk).update(**more)
        for name, found in more.items():
            setattr(step, name, found)
    left = [Artifact(run_id=step.run_id, step=step, **asdict(file)) for file in files]
    Artifact.objects.bulk_create(
        left,
        update_conflicts=True,
        unique_fields=["run", "path"],
        update_fields=["step", "size_bytes", "modified_at"],
    )
    return True


def finish_run(run: Run, steps: Sequence[StepRun], end: RunEnd) -> bool:
    """Record a run's end; steps that never started are skipped. False when it had ended before or another claim holds it."""
    now = timezone.now()
    changes = {
        "status": end.status,
        "reason": end.reason,
        "exit_code": end.exit_code,
        "finished_at": max(now, run.started_at or now),
        "progress": 1.0 if end.status is Status.SUCCESS else run.progress,
        "peak_memory_bytes": max((step.peak_memory_bytes or 0 for step in steps), default=0) or None,
        "cpu_seconds": sum(step.cpu_seconds or 0 for step in steps),
        "log_bytes": end.log_bytes,
        "lease_expires_at": None,
    }
    if run.pause_requested_at is not None:
        changes["paused_ms"] = run.paused_ms + milliseconds(run.pause_requested_at, now)
    if signature := _signature(steps, end.status):
        changes["failure_signature"] = signature
    if not update_row(Run, run.pk, changes, where=f"{_IS_ALIVE} AND claim_token = %s", arguments=[run.claim_token]):
        return False
    for name, value in changes.items():
        setattr(run, name, value)
    _skip([step for step in steps if step.status == Status.QUEUED], now)
    publish_all([run_event(run)])
    return True


def _skip(left: Sequence[StepRun], now: datetime) -> None:
    """Steps that will not run any more, each with its reason."""
    reasons: dict[str, list[int]] = defaultdict(list)
    for step in left:
        if step.not_before is not None:
            reason = f"{step.reason} The run ended before it was tried again.".strip()
        elif step.on_failure == OnFailure.RESCUE:
            reason = "It runs only if an earlier step failed."
        else:
            reason = "The process ended before this step."
        reasons[reason].append(step.pk)
    for reason, ids in reasons.items():
        StepRun.objects.filter(pk__in=ids, status=Status.QUEUED).update(status=Status.SKIPPED, reason=reason, finished_at=now)


def _signature(steps: Sequence[StepRun], status: Status) -> str:
    """Of the failure that the run ended by; "" for a good end."""
    if status not in BROKEN:
        return ""
    deciding = (step for step in steps if step.status == status and step.failure and step.on_failure != OnFailure.CONTINUE)
    return next((step.failure["signature"] for step in deciding), "")


def lose_abandoned(own_host: str, is_tried_again: Callable[[StepRun, StepEnd], bool]) -> int:
    """End runs whose host has long stopped vouching for them; returns how many. A host's own runs it looks after itself.

    Another run goes on with one of which each step that was lost, or waited for that, shall be tried again.
    """
    now = timezone.now()
    abandoned = Run.objects.filter(status__in=ALIVE, lease_expires_at__lt=now - LEASE).exclude(host_key=own_host)
    return sum(_lose(run, is_tried_again) for run in abandoned.select_related("team", "user").prefetch_related("steps"))


def _lose(run: Run, is_tried_again: Callable[[StepRun, StepEnd], bool]) -> bool:
    reason = f"Host {run.host_key} has not been heard of since {run.lease_expires_at:%Y-%m-%d %H:%M:%S} UTC."
    end = StepEnd(Status.LOST, reason, failure=lost(reason).as_record())
    steps = list(run.steps.all())
    cut_short = [step for step in steps if step.status in ALIVE]
    # One that failed before and was passed over had its attempts; whether to try it again, too, is for a person to say.
    is_clean = not any(step.status in BROKEN for step in steps)
    # With none cut short it may be one that waited for its next attempt.
    is_left = bool(cut_short) or any(step.status == Status.QUEUED and step.attempt > 1 for step in steps)
    goes_on = (
        is_clean and is_left and run.stop_requested_at is None and all(step.thread_id and is_tried_again(step, end) for step in cut_short)
    )
    with transaction.atomic():
        for step in cut_short:
            end_step(step, end)
        if not finish_run(run, steps, RunEnd(Status.LOST, reason, None, run.log_bytes)):
            return False
        if goes_on:
            retry_lost(run, steps)
    return True


def told(host_key: str) -> set[int]:
    """Ids of this host's living runs that shall stop, stand still or go on, and do not yet."""
    return set(select_column(_TOLD, [host_key]))


def mark_paused(run: Run, *, is_paused: bool) -> bool:
    """The scripts of a living run were told to stand still, or to go on; False when that was written down before."""
    before, after = (Status.RUNNING, Status.PAUSED) if is_paused else (Status.PAUSED, Status.RUNNING)
    rows = Run.objects.filter(pk=run.pk, status=before, pause_requested_at__isnull=not is_paused)
    with transaction.atomic():
        if not rows.update(status=after):
            return False
        StepRun.objects.filter(run=run, status=before).update(status=after)
        run.status = after
        publish_all([run_event(run)])
    return True


def alive_ids(host_key: str) -> list[int]:
    """Ids of this host's living runs."""
    return list(Run.objects.filter(host_key=host_key, status__in=ALIVE).values_list("id", flat=True))


def request_stop_of_all(host_key: str, *, by: str) -> None:
    """Mark all living runs of the host as to be stopped; waiting ones wait on."""
    Run.objects.filter(host_key=host_key, status__in=ALIVE, stop_requested_at=None).update(
        stop_requested_at=timezone.now(), stop_requested_by=by
    )
