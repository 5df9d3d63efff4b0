"""Which Python runs, and compiles, what people wrote."""

import sys
from functools import cache
from pathlib import Path


@cache
def interpreter() -> str:
    """The interpreter that the platform's own environment was made from: scripts see none of the platform's packages."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
