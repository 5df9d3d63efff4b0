"""How runs are found quickly by id, however many there are: the parts of the history that indexes have in order."""

from collections.abc import Collection

from django.db.models import QuerySet

from accounts.models import Team, User
from accounts.querysets import teams_of
from core.paging import Part, by_id
from core.text import natural
from history.models import Run

# Above these, one ordered walk through all rows is no worse than so many heads of parts.
MOST_TEAMS = 20
MOST_PARTS = 100


class Scope:
    """What one person may see of the history. The teams are asked for once."""

    def __init__(self, user: User, team: Team | None = None) -> None:
        self.user = user
        found = [team.pk] if team else list(teams_of(user).values_list("pk", flat=True)[: MOST_TEAMS + 1])
        self.teams = found if len(found) <= MOST_TEAMS else []

    def runs(self) -> "QuerySet[Run]":
        rows = Run.objects.visible_to(self.user)
        # An operator sees all anyway; naming the teams is what lets the indexes by team serve.
        return rows.filter(team__in=self.teams) if self.teams else rows

    def parts(self, statuses: Collection[str] = (), failure: str = "") -> list[Part]:
        """For `core.paging`: these runs by team and, when they are narrowed to them, by failure or status. None where it would not help."""
        if failure:
            return [{"team": pk, "failure_signature": failure} for pk in self.teams]
        if len(self.teams) * len(statuses) > MOST_PARTS:
            return []
        if not statuses:
            return [{"team": pk} for pk in self.teams]
        return [{"team": pk, "status": status} for pk in self.teams for status in sorted(statuses)]

    def newest(self, count: int, statuses: Collection[str]) -> list[Run]:
        """The newest runs in one of the statuses, with their teams and people."""
        rows = self.runs().filter(status__in=statuses).select_related("team", "user")
        return by_id(rows, count, self.parts(statuses))


def failed_like(rows: "QuerySet[Run]", signature: str) -> "QuerySet[Run]":
    """Those that failed by this signature."""
    # The index leaves out runs without one; SQLite takes it only when the query says so too.
    return rows.filter(failure_signature=signature).exclude(failure_signature="")


def named(rows: "QuerySet[Run]", text: str) -> "QuerySet[Run]":
    """Those whose name has the text in it, or the one of the number when it is `#NUMBER`; all for an empty text."""
    number = natural(text[1:]) if text.startswith("#") else None
    if number is not None:
        return rows.filter(number=number)
    return rows.filter(name__icontains=text) if text else rows
