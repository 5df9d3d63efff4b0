"""Which PyScheduler this is."""

import tomllib
from functools import cache

from django.conf import settings

API_VERSION = "1"


@cache
def version() -> str:
    """As `pyproject.toml` names it: said in one place."""
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())
    return str(project["project"]["version"])
