"""How far a script is kept from the rest: the one place where a level becomes a command line.

Levels come here as functions from the plain command to the isolated one. `plain` is a clean environment, an own session,
resource limits and no new privileges, which the supervisor applies at every level.
"""

from collections.abc import Callable
from dataclasses import dataclass

Wrap = Callable[[list[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Level:
    """A level with the words that tell people what it means."""

    name: str
    meaning: str
    wrap: Wrap


PLAIN = Level("plain", "clean environment and limits; the script could read what the platform's user may read", lambda command: command)
LEVELS = {level.name: level for level in (PLAIN,)}


def level_in_force() -> Level:
    """The highest level that this host can do."""
    return PLAIN
