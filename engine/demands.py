"""How far teams want scripts kept apart before they run at all."""

from collections.abc import Iterable

from accounts.access import is_bound
from accounts.models import Team
from engine.isolation import LEVELS, Level
from history.models import Run, StepRun


def team_demands(steps: Iterable[StepRun], level: Level) -> dict[int, str]:
    """The least level, by run, that its team asks of who started it; a run of which nothing is asked is not in it.

    Nobody can ask for more than the highest level: where that is in force no question is put.
    """
    if level.name == LEVELS[0]:
        return {}
    runs = {step.run_id: step.run for step in steps}
    teams = Team.objects.exclude(min_isolation="").in_bulk({run.team_id for run in runs.values()})
    return {pk: teams[run.team_id].min_isolation for pk, run in runs.items() if run.team_id in teams and _asks(teams[run.team_id], run)}


def _asks(team: Team, run: Run) -> bool:
    # A schedule's run is nobody's: what binds anyone binds it.
    return run.user is None or is_bound(run.user, team)
