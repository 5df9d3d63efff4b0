"""Real environments, by the real resolver and the index that this machine has."""

import os
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
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


Wheel = Callable[..., None]


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_folder: Any) -> Wheel:
    """Lays a package, of files that the test gives, into the only index there is."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    empty = tmp_path / "index"
    empty.mkdir()
    for name in ("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", empty.as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))

    def make(name: str, files: Mapping[str, str], requires: str = "") -> None:
        about = f"{name}-1.0.dist-info"
        described = {
            **files,
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},,\n" for path in [*described, f"{about}/RECORD"])
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            for path, content in {**described, f"{about}/RECORD": record}.items():
                wheel.writestr(path, content)

    return make
