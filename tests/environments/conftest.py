"""Real environments, by the real resolver and the index that this machine has."""

import os
import subprocess
from functools import cache
from typing import Any

import pytest
from uv import find_uv_bin

from environments import resolver


@cache
def _fault_of_index() -> str:
    words = [find_uv_bin(), "pip", "compile", "-", "--no-header", "--quiet"]
    variables = {name: value for name, value in resolver.variables().items() if name != "UV_CACHE_DIR"}
    done = subprocess.run(words, input="six", capture_output=True, text=True, env=variables, cwd="/", timeout=120, check=False)
    return done.stderr if done.returncode else ""


@pytest.fixture
def index(data_folder: Any) -> None:
    """Packages can be had; without an index the test is left out, but in CI that is a fault."""
    if fault := _fault_of_index():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no package index is reachable: {fault[-300:]}")
