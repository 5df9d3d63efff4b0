"""The four roles and the scopes of keys, in one place. A scope is a role's ceiling: a key never exceeds its person."""

from django.db import models


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    RUNNER = "runner", "Runner"
    EDITOR = "editor", "Editor"
    OWNER = "owner", "Owner"

    @property
    def rank(self) -> int:
        return RANKS[self]

    def covers(self, other: "Role") -> bool:
        """A role may do whatever the roles below it may."""
        return self.rank >= other.rank


RANKS = {Role.VIEWER: 1, Role.RUNNER: 2, Role.EDITOR: 3, Role.OWNER: 4}
MEANINGS = {
    Role.VIEWER: "see everything of the team",
    Role.RUNNER: "see, run and stop",
    Role.EDITOR: "see, run, and write threads, processes and schedules",
    Role.OWNER: "everything, members and keys included",
}


class Scope(models.TextChoices):
    READ = "read", "Read"
    RUN = "run", "Run and stop"
    WRITE = "write", "Write threads, processes and schedules"
    MANAGE = "manage", "Manage members and keys"


SCOPE_ROLES = {Scope.READ: Role.VIEWER, Scope.RUN: Role.RUNNER, Scope.WRITE: Role.EDITOR, Scope.MANAGE: Role.OWNER}


def ceiling(scopes: list[str]) -> Role:
    """The highest role that these scopes allow; VIEWER for none."""
    roles = [SCOPE_ROLES[Scope(scope)] for scope in scopes if scope in Scope]
    return max(roles, key=lambda role: role.rank, default=Role.VIEWER)


# Of whose runs a team may ask for a least isolation: a role and those below it.
BOUND = {Role.RUNNER: "runners", Role.EDITOR: "runners and editors", Role.OWNER: "everybody"}
