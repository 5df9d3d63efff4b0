"""How far a run is and when it will be through: from what it tells, else from how long it took before. Worked out when asked."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.utils import timezone

from core import layout
from history.models import Run
from history.status import Status

EARLIER_RUNS = 10
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Outlook:
    """`progress` from 0 to 1 and the seconds that remain; None when not known."""

    progress: float | None
    seconds: int | None = None

    @property
    def ends_at(self) -> datetime | None:
        return None if self.seconds is None else timezone.now() + timedelta(seconds=self.seconds)


def outlook(run: Run) -> Outlook:
    """Of a run that is running; of another only the progress on record."""
    if run.state != Status.RUNNING or run.duration_ms is None:
        return Outlook(run.progress)
    passed = max(0, run.duration_ms - run.paused_ms) / 1000
    if run.thread_id and (told := _told(run)):
        return Outlook(told, round(passed * (1 - told) / told))
    usual = usual_seconds(run)
    if usual is None:
        return Outlook(run.progress)
    # It is not through before it is: one that takes longer than usual stays just short of it, and nobody knows for how long.
    estimated = run.progress if run.progress is not None else min(0.99, passed / usual) if usual else None
    return Outlook(estimated, round(usual - passed) if passed < usual else None)


def usual_seconds(run: Run) -> float | None:
    """The median of the last ten successful runs of the same thread or process; None when there are none."""
    earlier = Run.objects.filter(thread=run.thread_id, process=run.process_id, team=run.team_id, status=Status.SUCCESS)
    rows = earlier.order_by("-pk").values_list("started_at", "finished_at", "paused_ms")[:EARLIER_RUNS]
    took = [(finished - started).total_seconds() - paused / 1000 for started, finished, paused in rows if started and finished]
    return max(0.0, median(took)) if took and (run.thread_id or run.process_id) else None


def _told(run: Run) -> float | None:
    """What its script tells, or its bar in the log. The file holds nothing that could not have been a script's rubbish."""
    try:
        share = json.loads((layout.control_folder(run.pk) / layout.PROGRESS).read_bytes()[:_MOST_BYTES])["share"]
        return min(1.0, float(share)) if share and float(share) > 0 else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
