"""What a script has to reach, whatever keeps it from the rest."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where one step runs. `readable` are its code and the like; `user` is who it runs as, None for the platform's own user."""

    interpreter: str
    directory: Path
    readable: tuple[str, ...]
    network: bool = True
    user: int | None = None


@lru_cache(maxsize=256)
def python_folders(interpreter: str) -> tuple[str, ...]:
    """Folders that a Python needs to start: its environment, if it is one, and the installation that this was made from.

    Without what lies in the system's own folders, which all scripts may read.
    """
    environment = Path(interpreter).parent.parent
    folders = [environment] if (environment / "pyvenv.cfg").exists() else []
    folders += [Path(os.path.realpath(interpreter)).parent.parent, *_home(environment / "pyvenv.cfg")]
    found = dict.fromkeys(str(folder) for folder in folders)
    return tuple(folder for folder in found if not f"{folder}/".startswith("/usr/") and folder != "/")


def _home(configuration: Path) -> list[Path]:
    """The installation an environment names as its home, by the way it names it."""
    try:
        lines = configuration.read_text().splitlines()
    except OSError:
        return []
    return [Path(line.partition("=")[2].strip()).parent for line in lines if line.partition("=")[0].strip() == "home"]
