"""The environment that is measured: the one that `make run` builds, without what only developers need."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "test-output"
# What is measured gets these and no PYTHON… of the caller's: unbuffered output or missing bytecode would be measured too.
CLEAN = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}


@cache
def interpreter() -> str:
    """The interpreter that scripts are run by; bare starts use it too."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


@cache
def users_python() -> str:
    """Python of an environment made from the lock alone: psycopg, which only developers have, costs memory in every process."""
    folder = OUTPUT / "bench-environment"
    OUTPUT.mkdir(exist_ok=True)
    command = [str(ROOT / "scripts" / "uv"), "sync", "--frozen", "--no-dev", "--quiet", "--python", interpreter()]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)}, check=True)
    return str(folder / "bin" / "python")


def has_psycopg(python: str) -> bool:
    done = subprocess.run([python, "-c", "import psycopg"], env=CLEAN, capture_output=True)
    return done.returncode == 0
