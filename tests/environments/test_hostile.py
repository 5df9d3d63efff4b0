"""Packages that want to run as the platform, or to be what is run: an editor chooses them, and anybody may have written them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from core import layout
from core.interpreter import interpreter
from environments import ondisk, resolver
from environments.models import BuildStatus, Environment, EnvironmentState
from environments.pythons import choose
from environments.upkeep import check_environment
from tests.environments.conftest import Wheel
from threads.building import build_waiting
from threads.requirements import rebuild_environment


def built(make_thread: Any, requirements: str) -> Any:
    thread = make_thread(requirements=requirements)
    build_waiting()
    thread.refresh_from_db()
    return thread


def mark_of(tmp_path: Path) -> tuple[Path, str]:
    """A file that does not exist, and code that makes it."""
    mark = tmp_path / "mark"
    return mark, f"import os; os.close(os.open({str(mark)!r}, os.O_CREAT | os.O_WRONLY))\n"


@pytest.mark.parametrize("place", ["evil.pth", "sitecustomize.py", "usercustomize.py", "evil-1.0.data/purelib/evil.pth"])
def test_no_code_of_a_package_runs_while_it_is_built_compiled_and_checked(
    place: str, make_wheel: Wheel, make_thread: Any, people: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_COMPILE_BYTECODE", "1")
    mark, code = mark_of(tmp_path)
    make_wheel("evil", {place: code, "evil.py": code})
    thread = built(make_thread, "evil")
    assert thread.environment_build.status == BuildStatus.READY, thread.environment_build.error
    assert check_environment(thread.environment, user=people.operator).health == ""
    # Made again over what lies there, by a resolver that remembers no interpreter.
    (layout.environment_folder(thread.environment_id) / "bin" / "activate").unlink()
    subprocess.run([resolver.find_uv_bin(), "cache", "clean", "--quiet"], env=resolver.variables(), check=True)
    rebuild_environment(thread=thread, user=people.editor)
    build_waiting()
    assert ondisk.health_of(thread.environment_id) == ""
    assert list(layout.environment_folder(thread.environment_id).rglob("evil.*.pyc"))
    assert not mark.exists()
    # And that it would have run where a script starts it.
    subprocess.run([ondisk.python_of(thread.environment_id), "-c", "import evil"], check=True)
    assert mark.exists()


@pytest.mark.parametrize("path", ["scripts/python", "data/bin/python", "data/pyvenv.cfg", "data/bin/activate", "data/lib64"])
def test_a_package_that_replaces_a_part_of_the_environment_is_refused(
    path: str, make_wheel: Wheel, make_thread: Any, tmp_path: Path
) -> None:
    mark, _ = mark_of(tmp_path)
    make_wheel("evil", {f"evil-1.0.data/{path}": f'#!/bin/sh\ntouch {mark}\nexec {interpreter()} "$@"\n'})
    thread = built(make_thread, "evil")
    build = thread.environment_build
    assert build.status == BuildStatus.FAILED
    named = Path(path).name
    assert named in build.error and ("which belongs to the environment itself" in build.error or "reserved name" in build.error)
    assert thread.environment is None
    assert not Environment.objects.exists()
    assert not mark.exists()


def test_what_lies_in_the_environment_decides_nothing_about_it(make_wheel: Wheel, make_thread: Any) -> None:
    """A link to the platform's files would be read by it, and a mark of the package's own would pass half an environment for a whole."""
    thread = built(make_thread, f"# none\n{_nothing(make_wheel)}")
    folder, key = layout.environment_folder(thread.environment_id), thread.environment_id
    frame = ondisk._mark_of(key).frame  # type: ignore[union-attr]
    (folder / "lib" / "passwords.py").symlink_to("/etc/passwd")
    assert "something else than files: lib/passwords.py" in ondisk.inspection.overreach(folder, frame)
    ondisk._mark_path(key).unlink()
    for name in ("ready.json", "used", ondisk._mark_path(key).name):
        (folder / name).write_text("{}")
    assert ondisk.health_of(key) == "It is not on this host."


def _nothing(make_wheel: Wheel) -> str:
    make_wheel("nothing", {"nothing.py": ""})
    return "nothing"


def test_a_check_tells_of_files_that_are_gone_and_of_packages_that_do_not_fit(make_wheel: Wheel, make_thread: Any, people: Any) -> None:
    make_wheel("base", {"base.py": "value = 1\n"})
    make_wheel(
        "above",
        {"above.py": ""},
        'Requires-Dist: base>=1\nRequires-Dist: other ; python_version < "3"\nRequires-Dist: more ; extra == "x"\n',
    )
    thread = built(make_thread, "above")
    environment, folder = thread.environment, layout.environment_folder(thread.environment_id)
    assert (environment.packages, environment.health) == ({"above": "1.0", "base": "1.0"}, "")
    described = next(folder.glob("lib/python*/site-packages/base-1.0.dist-info/METADATA"))
    described.write_text(described.read_text().replace("Version: 1.0", "Version: 0.9"))
    checked = check_environment(environment, user=people.operator)
    assert (checked.state, checked.health) == (EnvironmentState.READY, "above wants base>=1; 0.9 is there.")
    next(folder.glob("lib/python*/site-packages/base.py")).unlink()
    checked = check_environment(environment, user=people.operator)
    assert checked.state == EnvironmentState.BROKEN
    assert checked.health.startswith("On host testhost: Missing or changed since it was made: lib/python")
    assert "site-packages/base.py" in checked.health


def test_what_is_hard_to_compile_takes_no_more_than_the_limits(
    make_wheel: Wheel, make_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel("odd", {"deep.py": "(" * 50_000, "other.py": "value = 1\n"})
    key = built(make_thread, "odd").environment_id
    compiled = list(layout.environment_folder(key).rglob("*.pyc"))
    assert [path.name.partition(".")[0] for path in compiled] == ["other"]
    compiled[0].unlink()
    monkeypatch.setattr(ondisk, "COMPILE_BYTES", 1)
    child = ondisk.compile_bytecode(key)
    assert child and child.wait(60) != 0
    assert not compiled[0].exists()


def test_an_environment_whose_interpreter_became_another_is_told_of(make_wheel: Wheel, make_thread: Any) -> None:
    python = choose()
    assert python
    assert ondisk._start_fault(python.path, python.version) == ""
    assert "was made with 3.99.1" in ondisk._start_fault(python.path, "3.99.1")
    assert "does not start" in ondisk._start_fault("/nowhere/python", python.version)


@pytest.mark.parametrize("said", ['requires-python = "\\u0000"', 'dependencies = ["\\u0000"]', f"requires-python = '{'>=3,' * 100}'",
                                  f"many = {'9' * 5000}", f"deep = {'[' * 3000}{']' * 3000}"],
                         ids=["NUL as a version", "NUL as a package", "long", "digits", "depth"])  # fmt: skip
def test_a_block_that_nobody_can_read_is_told_of_and_the_thread_is_saved(make_thread: Any, said: str) -> None:
    thread = make_thread("Block", f"# /// script\n# {said}\n# ///\nprint(1)\n")
    build = thread.environment_build
    assert build.status == BuildStatus.FAILED
    assert build.error.startswith(("The script's block (PEP 723) cannot be read:", "`requires-python` of the script's", "Line 2 (?) is no"))
