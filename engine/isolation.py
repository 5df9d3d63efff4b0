"""How far a script is kept from the rest: the one place where a level becomes a command line.

Levels come here as functions from the plain command to the isolated one. `plain` is a clean environment, an own session,
resource limits and no new privileges, which the supervisor applies at every level.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

Wrap = Callable[[list[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Level:
    """A level by its name, and how it is put around a command."""

    name: str
    wrap: Wrap


PLAIN = Level("plain", lambda command: command)
# The highest first.
LEVELS = (PLAIN,)


def level_in_force() -> Level:
    """The highest level that this host can do, or the one that the operator demands."""
    return next(level for level in LEVELS if settings.ISOLATION in ("auto", level.name))
