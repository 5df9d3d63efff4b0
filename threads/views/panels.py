"""Parts that a thread's page shares with others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.urls import reverse

from accounts.models import Team
from environments.services import changes_between
from threads.forms import VariableForm
from threads.models import Thread, Variable

# Ids of the form's fields: the settings beside it have a name too.
OF_THREAD = "variable-%s"


@dataclass(frozen=True, slots=True)
class VariableCard:
    """Variables with the form that sets one; `inherited` are those of the team that the thread's own do not replace."""

    id: str
    heading: str
    action: str
    may_edit: bool
    own: Sequence[Variable]
    form: VariableForm
    team: Team | None = None
    inherited: Sequence[Variable] = field(default=())


def environment_of(thread: Thread) -> dict[str, Any]:
    """What a thread runs in, the newest build, and what the last change of environment changed."""
    environment, before = thread.environment, thread.previous_environment
    changes = changes_between(before, environment) if before and environment else []
    return {"environment": environment, "build": thread.environment_build, "package_changes": changes}


def card_of_thread(thread: Thread, *, may_edit: bool, form: VariableForm | None = None) -> VariableCard:
    there = Variable.objects.filter(Q(thread=None) | Q(thread=thread), team=thread.team).select_related("updated_by").defer("sealed")
    own = [variable for variable in there if variable.thread_id]
    names = {variable.name for variable in own}
    return VariableCard(
        id="thread-variables",
        heading="Variables and secrets",
        action=reverse("threads:set_variable", args=[thread.pk]),
        may_edit=may_edit,
        own=own,
        form=form or VariableForm(auto_id=OF_THREAD),
        inherited=[variable for variable in there if not variable.thread_id and variable.name not in names],
    )


def card_of_team(team: Team, variables: Iterable[Variable], *, may_edit: bool, form: VariableForm | None = None) -> VariableCard:
    return VariableCard(
        id=f"variables-{team.slug}",
        heading=team.name,
        action=reverse("threads:variables"),
        may_edit=may_edit,
        own=[variable for variable in variables if variable.team_id == team.pk],
        form=form or VariableForm(auto_id=f"{team.slug}-%s"),
        team=team,
    )
