"""Writes what measurements need straight into a platform's database. Run with the platform's environment: `bench.pen TASK ARGUMENTS`."""

import json
import os
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pyscheduler.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from history.models import Run, StepRun  # noqa: E402
from history.orders import RunOrder, plan_run  # noqa: E402
from history.services import queue_runs  # noqa: E402
from history.status import Status, Trigger  # noqa: E402
from schedules.ledger import ring_clock  # noqa: E402
from schedules.models import Schedule  # noqa: E402
from threads.models import Thread  # noqa: E402

BATCH = 2000
# Of a hundred runs; the rest succeeded.
UNUSUAL = {7: Status.FAILED, 23: Status.FAILED, 41: Status.TIMEOUT, 59: Status.STOPPED, 83: Status.FAILED}


def queue(*, thread: int, count: int) -> int:
    """Queue so many runs in one transaction once a line comes in; says before that it is ready."""
    order = RunOrder(target=Thread.objects.get(pk=thread), trigger=Trigger.MANUAL, user=User.objects.get(username="admin"))
    print("ready", flush=True)
    sys.stdin.readline()
    return len(queue_runs([plan_run(order) for _ in range(count)]))


def fill_history(*, threads: list[int], count: int) -> int:
    """So many ended runs, one every ten seconds up to now, of these threads in turn; their numbers go on from what there is."""
    targets = [Thread.objects.select_related("team", "current_version").get(pk=pk) for pk in threads]
    team = targets[0].team
    first, begin = team.run_counter + 1, timezone.now() - timedelta(seconds=10 * count)
    for places in batched(range(count), BATCH):
        runs = Run.objects.bulk_create([_run(targets[at % len(targets)], first + at, begin + timedelta(seconds=10 * at)) for at in places])
        StepRun.objects.bulk_create([_step(run, targets[at % len(targets)]) for at, run in zip(places, runs, strict=True)])
    team.run_counter += count
    team.save(update_fields=["run_counter"])
    return count


def _run(target: Thread, number: int, at: datetime) -> Run:
    status = UNUSUAL.get(number % 100, Status.SUCCESS)
    return Run(
        team_id=target.team_id, number=number, kind="thread", name=target.name, safe_name=target.safe_name, thread=target,
        trigger=Trigger.SCHEDULE, status=status, reason="" if status == Status.SUCCESS else "It ended with exit code 1.",
        queued_at=at, started_at=at, finished_at=at + timedelta(seconds=1 + number % 7), exit_code=int(status != Status.SUCCESS),
        peak_memory_bytes=20_000_000, cpu_seconds=0.1, output_dir=f"{target.safe_name}/{number}", log_bytes=100, claim_token="bench",
    )  # fmt: skip


def _step(run: Run, target: Thread) -> StepRun:
    return StepRun(
        run=run, position=1, stage=1, name=run.name, safe_name=run.safe_name, thread=target, version=target.current_version,
        version_number=1, timeout_seconds=60, status=run.status, started_at=run.started_at, finished_at=run.finished_at,
        exit_code=run.exit_code,
    )  # fmt: skip


def define_schedules(*, thread: int, count: int) -> int:
    """So many daily schedules, due some time from tomorrow on."""
    target, tomorrow = Thread.objects.get(pk=thread), timezone.now() + timedelta(days=1)
    rows = [
        Schedule(
            team_id=target.team_id, name=f"Schedule {number}", thread=target, cron=f"{number % 60} {number // 60 % 24} * * *",
            next_run_at=tomorrow + timedelta(seconds=number),
        )
        for number in range(count)
    ]  # fmt: skip
    return len(Schedule.objects.bulk_create(rows, batch_size=BATCH))


def make_due(*, count: int, at: float) -> list[int]:
    """Have so many schedules, picked at random, come due at this time (seconds of the epoch), and tell the clock; returns their ids."""
    waiting = Schedule.objects.filter(next_run_at__gt=timezone.now() + timedelta(hours=1))
    chosen = random.sample(list(waiting.values_list("pk", flat=True)), count)
    Schedule.objects.filter(pk__in=chosen).update(next_run_at=datetime.fromtimestamp(at, UTC))
    ring_clock()
    return chosen


TASKS: dict[str, Callable[..., Any]] = {task.__name__: task for task in (queue, fill_history, define_schedules, make_due)}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](**json.loads(sys.argv[2]))))
