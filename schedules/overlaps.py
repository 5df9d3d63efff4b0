"""What a schedule's runs that have not ended mean for those that are due."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from history.models import Run
from history.services import stop_for
from history.status import ALIVE, Status
from schedules.models import Overlap, Schedule


@dataclass(slots=True)
class Standing:
    """The runs of schedules that have not ended, by the schedules' ids; those that are just being queued count too."""

    runs: dict[int, list[Run]] = field(default_factory=lambda: defaultdict(list))
    coming: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def of(cls, schedules: Iterable[Schedule]) -> "Standing":
        """Two queries by small indexes, none when all of them allow what they like."""
        found = cls()
        ids = [schedule.pk for schedule in schedules if schedule.overlap != Overlap.ALLOW]
        if ids:
            waiting = Run.objects.filter(schedule_id__in=ids, status=Status.QUEUED)
            alive = Run.objects.filter(schedule_id__in=ids, status__in=ALIVE)
            for run in [*alive.order_by("pk"), *waiting.order_by("pk")]:
                found.runs[run.schedule_id or 0].append(run)
        return found

    def refusal(self, schedule: Schedule) -> str:
        """Why a due time of the schedule comes to nothing now; empty when it starts."""
        runs, coming = self.runs[schedule.pk], self.coming[schedule.pk]
        unfinished = len(runs) + coming
        if schedule.overlap == Overlap.SKIP and unfinished:
            return f"{_named(runs)} of this schedule had not ended."
        waiting = [run for run in runs if run.status == Status.QUEUED]
        if schedule.overlap == Overlap.QUEUE and unfinished > 1 and (waiting or coming):
            return f"{_named(waiting)} of this schedule waited already."
        return ""

    def admit(self, schedule: Schedule) -> bool:
        """Another run of the schedule is queued; returns whether it has to wait for earlier ones."""
        is_in_turn = schedule.overlap != Overlap.ALLOW and bool(self.runs[schedule.pk] or self.coming[schedule.pk])
        self.coming[schedule.pk] += 1
        return is_in_turn

    def replace(self, schedules: Sequence[Schedule]) -> None:
        """Stop what others take the place of."""
        for schedule in schedules:
            if schedule.overlap == Overlap.REPLACE:
                stop_for(self.runs[schedule.pk], by=f"schedule {schedule.name}")


def _named(runs: Sequence[Run]) -> str:
    return f"Run #{runs[0].number}" if runs else "An earlier run"
