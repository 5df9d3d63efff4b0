"""What the engine writes into the record. Each change is one conditional UPDATE; zero rows: somebody was first, and that is that."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from events.services import publish_all
from history.models import Artifact, Host, Run, StepRun
from history.services import run_event
from history.status import ALIVE, Status

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file in a run's directory."""

    path: str
    size_bytes: int
    modified_at: datetime


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
    if not Host.objects.filter(pk=host_key, boot_id=boot_id).update(seen_at=now):
        Host.objects.update_or_create(pk=host_key, defaults={"boot_id": boot_id, "seen_at": now, "started_at": now})
    Run.objects.filter(host_key=host_key, status__in=ALIVE).update(lease_expires_at=now + LEASE)


def claim(host_key: str, most: int) -> list[Run]:
    """Take the best waiting runs for this host, at most as many as keep it at `most` at once; their first stage is begun."""
    if not Run.objects.filter(status=Status.QUEUED).exists():
        return []
    with transaction.atomic():
        # Workers of one host take turns here: two who count at once would both fill the same places.
        Host.objects.select_for_update().filter(pk=host_key).first()
        free = most - Run.objects.filter(host_key=host_key, status__in=ALIVE).count()
        if free <= 0:
            return []
        waiting = Run.objects.filter(status=Status.QUEUED).order_by("-priority", "id").select_for_update(skip_locked=True)
        ids = list(waiting.values_list("id", flat=True)[:free])
        token, now = uuid.uuid4().hex, timezone.now()
        Run.objects.filter(pk__in=ids, status=Status.QUEUED).update(
            status=Status.RUNNING, host_key=host_key, claim_token=token, lease_expires_at=now + LEASE, started_at=now
        )
        runs = list(Run.objects.filter(pk__in=ids, claim_token=token).order_by("-priority", "id"))
        StepRun.objects.filter(run__in=runs, stage=1, status=Status.QUEUED).update(status=Status.RUNNING, started_at=now)
        publish_all([run_event(run) for run in runs])
    return runs


def begin_steps(run: Run, steps: Sequence[StepRun]) -> bool:
    """Mark the steps of a stage as running, before they are started: a crash in between is mended by asking again.

    False when somebody else began them: it is his to start them.
    """
    now = timezone.now()
    waiting = StepRun.objects.filter(pk__in=[step.pk for step in steps], status=Status.QUEUED)
    if not waiting.update(status=Status.RUNNING, started_at=now):
        return False
    for step in steps:
        step.status, step.started_at = Status.RUNNING, now
    publish_all([run_event(run)])
    return True


def set_output_dir(run: Run, output_dir: str) -> None:
    Run.objects.filter(pk=run.pk).update(output_dir=output_dir)
    run.output_dir = output_dir


def end_step(
    step: StepRun,
    *,
    status: Status,
    reason: str,
    exit_code: int | None,
    started_at: datetime | None,
    finished_at: datetime,
    cpu_seconds: float | None,
    peak_memory_bytes: int | None,
    files: Iterable[FoundFile] = (),
) -> bool:
    """Record a step's end with the files it left; False when it was recorded before."""
    changes = {
        "status": status,
        "reason": reason,
        "exit_code": exit_code,
        "started_at": started_at or step.started_at,
        "finished_at": max(finished_at, started_at or finished_at),
        "cpu_seconds": cpu_seconds,
        "peak_memory_bytes": peak_memory_bytes,
    }
    if not StepRun.objects.filter(pk=step.pk, status__in=ALIVE).update(**changes):
        return False
    for name, value in changes.items():
        setattr(step, name, value)
    Artifact.objects.bulk_create(
        [
            Artifact(run_id=step.run_id, step=step, path=file.path, size_bytes=file.size_bytes, modified_at=file.modified_at)
            for file in files
        ],
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
    if not Run.objects.filter(pk=run.pk, status__in=ALIVE, claim_token=run.claim_token).update(**changes):
        return False
    for name, value in changes.items():
        setattr(run, name, value)
    left = [step.pk for step in steps if step.status == Status.QUEUED]
    if left:
        StepRun.objects.filter(pk__in=left, status=Status.QUEUED).update(
            status=Status.SKIPPED, reason="The process ended before this step.", finished_at=now
        )
    publish_all([run_event(run)])
    return True


def publish_step_change(run: Run) -> None:
    publish_all([run_event(run)])


def lose_abandoned(own_host: str) -> int:
    """End runs whose host has long stopped vouching for them; returns how many. A host's own runs it looks after itself."""
    now = timezone.now()
    abandoned = Run.objects.filter(status__in=ALIVE, lease_expires_at__lt=now - LEASE).exclude(host_key=own_host)
    lost = 0
    for run in abandoned.prefetch_related("steps"):
        reason = f"Host {run.host_key} has not been heard of since {run.lease_expires_at:%Y-%m-%d %H:%M:%S} UTC."
        with transaction.atomic():
            steps = list(run.steps.all())
            for step in steps:
                if step.status in ALIVE:
                    end_step(
                        step, status=Status.LOST, reason=reason, exit_code=None, started_at=None,
                        finished_at=now, cpu_seconds=None, peak_memory_bytes=None,
                    )  # fmt: skip
            lost += finish_run(run, steps, RunEnd(Status.LOST, reason, None, run.log_bytes))
    return lost


def stopping(host_key: str) -> Iterable[int]:
    """Ids of this host's living runs that shall stop."""
    return Run.objects.filter(host_key=host_key, status__in=ALIVE, stop_requested_at__isnull=False).values_list("id", flat=True)


def alive_ids(host_key: str) -> list[int]:
    """Ids of this host's living runs."""
    return list(Run.objects.filter(host_key=host_key, status__in=ALIVE).values_list("id", flat=True))


def request_stop_of_all(host_key: str, *, by: str) -> None:
    """Mark all living runs of the host as to be stopped; waiting ones wait on."""
    Run.objects.filter(host_key=host_key, status__in=ALIVE, stop_requested_at=None).update(stop_requested_at=timezone.now(), stop_requested_by=by)
