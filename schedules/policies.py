"""What becomes of due times that have come: which start, which do not and why. Pure but for the schedule it reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.text import span_words
from schedules.models import Missed, Schedule
from schedules.timing import Arrears, Timing

Times = Sequence[datetime]

# A due time that starts within so long was not missed.
GRACE = timedelta(seconds=60)
NOT_RUNNING = "The platform was not running at that time."
OVERTAKEN = "The next time of this schedule came before this one could be started."
TOO_MANY = "More were missed than are made up for."


@dataclass(frozen=True, slots=True)
class Skip:
    """Due times that do not start: the first, how many it stands for, and why."""

    due_at: datetime
    reason: str
    covers: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The due times that start, ascending, each with a note for the record; those that do not; the next one."""

    starts: tuple[tuple[datetime, str], ...]
    skips: tuple[Skip, ...]
    following: datetime | None


def due_of(schedule: Schedule, start: datetime) -> datetime:
    """The due time of what starts then: without jitter they are the same."""
    return (schedule.next_due_at if schedule.jitter_seconds else None) or start


def judge(schedule: Schedule, timing: Timing, due: Arrears, now: datetime, paused: Callable[[datetime], str]) -> Verdict:
    """By the schedule's `missed` policy, by its pauses (`paused` says why a due time is covered), and by the wish to leave out one time."""
    late = {at: now - timing.start_of(at) for at in due.times}
    starting, passed = _starting(schedule.missed, due.times, late)
    if schedule.missed == Missed.ALL:
        skips = [Skip(at, TOO_MANY, covers) for at, covers in due.earlier]
    else:
        skips = _passed_over(due, passed, NOT_RUNNING if late[due.times[0]] > GRACE else OVERTAKEN)
    refusals = {at: paused(at) for at in starting}
    skips += [Skip(at, refusal) for at, refusal in refusals.items() if refusal]
    starting = [at for at in starting if not refusals[at]]
    if schedule.skip_next_by and starting:
        skips.append(Skip(starting[0], f"{schedule.skip_next_by} wanted this time left out."))
        starting = starting[1:]
    return Verdict(tuple((at, _note(late[at])) for at in starting), tuple(skips), due.following)


def _starting(missed: str, times: Times, late: Mapping[datetime, timedelta]) -> tuple[Times, Times]:
    """Due times that start, and those that are passed over for having been missed."""
    if missed == Missed.ALL:
        return times, ()
    if missed == Missed.SKIP and late[times[-1]] > GRACE:
        return (), times
    return times[-1:], times[:-1]


def _passed_over(due: Arrears, times: Times, reason: str) -> list[Skip]:
    """A row for each; one that counts them all where they are very many."""
    if due.earlier:
        return [Skip(at, reason, covers + len(times)) for at, covers in due.earlier]
    return [Skip(at, reason) for at in times]


def _note(lateness: timedelta) -> str:
    """Empty within the grace."""
    if lateness <= GRACE:
        return ""
    return f"Started {span_words(lateness.total_seconds())} late: the platform was not running when it was due."
