"""What a script may ask for, and how it is read."""

from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.interpreter import interpreter
from environments import resolver
from environments.packages import package_for
from environments.pythons import choose, found_pythons
from environments.wishes import check_python, clean_requirements, satisfies, wish_of

pytestmark = pytest.mark.once

BLOCK = """# /// script
# requires-python = ">=3.9"
# dependencies = [
#   "six>=1.16",
# ]
# ///
print(1)
"""


def test_settings_and_the_scripts_own_block_count_together() -> None:
    wish = wish_of("3.12", "idna # names\n\nsix>=1.16", BLOCK)
    assert (wish.python_version, wish.requires_python, wish.requirements) == ("3.12", ">=3.9", "idna\nsix>=1.16")
    assert wish_of("", "# nothing", "print(1)\n").is_empty


@pytest.mark.parametrize("line", ["six", "six==1.17.0", "requests[socks]>=2.31,<3", "six ; python_version < '3.9'", "six~=1.0 # why",
                                  "six (>=1.0)", "six===1.17.0",
                                  "a-b_c.d[e,f] != 1.0.*, >=1 ; sys_platform == 'linux'",
                                  "six @ https://example.org/six-1.17.0-py2.py3-none-any.whl"])  # fmt: skip
def test_requirements_may_say(line: str) -> None:
    assert clean_requirements(line) == line.split(" #")[0]


@pytest.mark.parametrize("line", ["-r /etc/passwd", "--index-url https://evil.example", "-e .", "./six", "/tmp/six.whl",
                                  "six==${PYSCHED_SECRET_KEY}",
                                  "six @ file:///etc/passwd", "git+https://example.org/six", "six @ git+https://example.org/six",
                                  "six @ https://example.org/six.tar.gz", "six \\", "six six", "six; $HOME", "six >= `id`",
                                  "six==1.17.0 --index-url https://evil.example", "six>=1 -r /etc/passwd", "six==1.17.0 --hash=sha256:00",
                                  "six @ https://example.org/six.whl --index-url https://evil.example", "six>=1,<2 ./other",
                                  "six @ https://example.org/${PYSCHED_SECRET_KEY}.whl", "six @ http://example.org/six.whl",
                                  "six @ https:///six.whl", "six @ https://example.org/six.tar.gz?as=six.whl", "six; python_version",
                                  "six; " + "(" * 5000])  # fmt: skip
def test_requirements_reach_neither_files_nor_variables_nor_options(line: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_requirements(f"six\n{line}")
    assert "Line 2" in refused.value.fields["requirements"][0]


def test_a_block_that_cannot_be_read_is_told_in_words() -> None:
    with pytest.raises(InvalidInput, match=r"PEP 723.* cannot be read"):
        wish_of("", "", BLOCK.replace("= [", "= (["))


@pytest.mark.parametrize(
    ("requires", "fits"),
    [(">=3.9", True), (">=3.9,<3.12", True), ("<3.11", False), ("==3.11.*", True), ("==3.11", False), ("~=3.10", True), ("~=3.11.8", False),
     ("!=3.11.*", False), ("", True)],
)  # fmt: skip
def test_what_a_script_requires_of_python(requires: str, fits: bool) -> None:
    assert satisfies("3.11.7", requires) is fits


def test_what_a_script_requires_of_python_may_be_wrong() -> None:
    with pytest.raises(InvalidInput, match="cannot be read: newer than 3"):
        satisfies("3.11.7", "newer than 3")


def test_a_python_is_asked_for_by_its_version() -> None:
    assert check_python("3.12") == "3.12"
    for version in ("2.7", "3", "3.12.x", "/usr/bin/python3"):
        with pytest.raises(InvalidInput):
            check_python(version)


def test_a_python_counts_when_it_runs(settings: object, tmp_path: Path) -> None:
    shim, broken = tmp_path / "python3.12", tmp_path / "python3.11"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    broken.symlink_to("nowhere")
    settings.PYTHONS = [str(shim), str(broken)]  # type: ignore[attr-defined]
    found = found_pythons()
    assert interpreter() in [python.path for python in found]
    assert not {str(shim), str(broken)} & {python.path for python in found}
    assert found == found_pythons()


def test_without_a_wish_it_is_the_platforms_own_python() -> None:
    own = choose()
    assert own
    assert own.path == interpreter()
    assert choose("3.99") is None


def test_equal_resolutions_are_equal_texts() -> None:
    one = resolver.sorted_lock("six==1.17.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nidna==3.1 \\\n    --hash=sha256:cc\n")
    assert one == resolver.sorted_lock("idna==3.1 --hash=sha256:cc\nsix==1.17.0    --hash=sha256:aa --hash=sha256:bb")
    assert resolver.packages_of(one) == {"idna": "3.1", "six": "1.17.0"}


def test_the_resolver_gets_the_operators_index_and_nothing_of_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSCHED_SECRET_KEY", "x" * 40)
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:word@mirror.example/simple")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    given = resolver.variables()
    assert given["UV_DEFAULT_INDEX"] == "https://user:word@mirror.example/simple"
    assert resolver.index_in_use() == "https://mirror.example/simple"
    assert not [name for name in given if name.startswith("PYSCHED")]


@pytest.mark.parametrize(("module", "package"), [("yaml", "PyYAML"), ("bs4", "beautifulsoup4"), ("PIL.Image", "pillow"),
                                                 ("cv2", "opencv-python-headless"),
                                                 ("sklearn", "scikit-learn"), ("google.protobuf", "protobuf"),
                                                 ("requests", "requests")])  # fmt: skip
def test_what_is_imported_is_known_by_its_package(module: str, package: str) -> None:
    assert package_for(module) == package
