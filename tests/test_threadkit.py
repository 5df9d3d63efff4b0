"""`threadkit` on every Python that this machine has, by real children; and what it keeps, in detail."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from glob import glob
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

from core.interpreter import interpreter
from engine import environment
from engine.environment import TOOLKIT

pytestmark = pytest.mark.once


def _pythons() -> list[str]:
    """This one, and those of pyenv and the system that are 3.8 or newer."""
    found = glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python")) + glob("/usr/bin/python3.*")
    minor = {path: re.search(r"3\.(\d+)(\.\d+/bin/python)?$", path) for path in found}
    return [sys.executable, *sorted(path for path, match in minor.items() if match and int(match[1]) >= 8)]


class Step:
    """A step of a run as its scripts see it; `attempt` may be set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.attempt = folder, 1

    def run(self, source: str, python: str = sys.executable, *, on_platform: bool = True) -> "subprocess.CompletedProcess[str]":
        state = self.folder / ".pyscheduler" / "1-fetch"
        told = {"PYSCHED_STATE": str(state), "PYSCHED_RUN_DIR": str(self.folder), "PYSCHED_RUN_ID": "7", "PYSCHED_STEP": "fetch"}
        inputs = {"PYSCHED_INPUT": str(self.folder / "names.csv"), "PYSCHED_ATTEMPT": str(self.attempt), "PYSCHED_PARAMETERS": '{"a": 1}'}
        given = told | inputs if on_platform else {}
        script = self.folder.parent / "script.py"
        script.write_text("import threadkit\n" + source)
        return subprocess.run(
            [python, "-W", "error", str(script)],
            capture_output=True, text=True, timeout=120, cwd=self.folder, env={"PYTHONPATH": str(TOOLKIT), "LANG": "C.UTF-8", **given},
        )  # fmt: skip

    def said(self, source: str, **more: Any) -> str:
        done = self.run(source, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def outcomes(self, name: str = "rows-1-fetch-names.csv") -> list[list[str]]:
        with open(self.folder / name, newline="") as file:
            return list(csv.reader(file))[1:]


@pytest.fixture
def step(tmp_path: Path) -> Step:
    (tmp_path / "run").mkdir()
    step = Step(tmp_path / "run")
    (step.folder / "names.csv").write_text("\ufeffname,price\r\nOslo,1\r\nBern,2\r\n\r\nRome,x\r\n", encoding="utf-8")
    return step


ALL = """
print(threadkit.parameters())
threadkit.progress(1, 2, "half")
print(threadkit.restore(default="nothing yet"))
threadkit.checkpoint({"page": 3})
for row in threadkit.rows(columns=["price"]):
    with row:
        print(row.number, row["name"], float(row["price"]))
threadkit.output("count", 3)
with threadkit.dataset("prices", source="here") as prices:
    with open(prices / "a.csv", "w") as file:
        file.write("name\\n1\\n")
print(open("prices/a.csv").read().split())
"""


@pytest.mark.parametrize("python", _pythons())
def test_all_of_it_works_on_each_python(step: Step, python: str) -> None:
    done = step.run(ALL, python)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["{'a': 1}", "nothing yet", "1 Oslo 1.0", "2 Bern 2.0", "['name', '1']"]
    assert "ValueError: could not convert string to float: 'x'" in done.stderr
    assert [line[:2] for line in step.outcomes()] == [["1", "ok"], ["2", "ok"], ["3", "failed"]]
    assert json.loads((step.folder / "prices" / "manifest.json").read_bytes())["files"][0]["rows"] == 1
    step.attempt = 2
    assert step.said(ALL.replace('["price"]', '["price"], resume=True'), python=python).splitlines()[1] == "{'page': 3}"
    assert [line[:2] for line in step.outcomes()[3:]] == [["3", "failed"]]


def test_outside_the_platform_nothing_is_kept_but_the_files_one_asked_for(step: Step) -> None:
    before = sorted(os.listdir(step.folder))
    source = ALL.replace("threadkit.rows(", "threadkit.rows('names.csv', ")
    for _ in range(2):
        assert step.said(source, on_platform=False).splitlines()[:2] == ["{}", "nothing yet"]
    assert sorted(os.listdir(step.folder)) == sorted([*before, "prices", "prices@1"])


# Rows


def test_an_attempt_begins_with_the_row_in_which_the_one_before_died(step: Step) -> None:
    first = "for row in threadkit.rows():\n    print(row.number)\n    if row.number == 2: import os, signal; os.kill(os.getpid(), 9)\n"
    assert step.run(first).returncode == -9
    assert [line[:2] for line in step.outcomes()] == [["1", "ok"]]
    second = "rows = threadkit.rows()\nfor row in rows: print(row.number)\nprint(rows.ok, rows.passed_over)"
    assert step.said(second).split() == ["2", "3", "2", "1"]
    assert step.said("print(list(threadkit.rows()))").strip() == "[]"
    assert len(step.said("print([row.number for row in threadkit.rows(resume=False)])").split()) == 3


def test_an_exception_is_a_failure_of_its_row(step: Step) -> None:
    done = step.run("for row in threadkit.rows():\n    if row.number == 2: raise KeyError('city, of \"x\"')\n")
    assert done.returncode == 1
    assert step.outcomes() == [["1", "ok", ""], ["2", "failed", "KeyError: 'city, of \"x\"'"]]
    step.said("import sys\nfor row in threadkit.rows(): sys.exit(0)\n")
    assert len(step.outcomes()) == 2, "who leaves the script within a row says nothing of it"


def test_rows_can_be_skipped_and_failed_with_a_reason(step: Step) -> None:
    source = """
todo = threadkit.rows()
for row in todo:
    if row["name"] == "Oslo":
        row.skip("not today")
    elif row["name"] == "Bern":
        row.fail("no answer,\\nagain")
print(todo.ok, todo.failed, todo.skipped)
"""
    assert step.said(source) == "1 1 1\n"
    assert step.outcomes() == [["1", "skipped", "not today"], ["2", "failed", "no answer, again"], ["3", "ok", ""]]
    assert step.said("print([row['name'] for row in threadkit.rows()])") == "['Bern']\n"


def test_a_second_pass_is_not_the_first_one_resumed(step: Step) -> None:
    assert step.said("print(*[sum(1 for row in threadkit.rows()) for _ in range(2)])") == "3 3\n"
    assert len(step.outcomes("rows-1-fetch-names-2.csv")) == 3


def test_another_content_begins_anew(step: Step) -> None:
    count = "print(sum(1 for row in threadkit.rows()))"
    assert step.said(count) == "3\n"
    (step.folder / "names.csv").write_text("name,price\nParis,1\n")
    assert step.said(count) == "1\n"


@pytest.mark.parametrize(
    ("content", "call", "words"),
    [
        (b"name,price\n", "columns=['name', 'city', 'zip']", "names.csv has no column 'city', 'zip'; it has 'name', 'price'"),
        (b"name;price\n", "columns=['name']", "it seems to be separated by ';': rows(delimiter=';')"),
        (b"name,name\n", "", "more than one column 'name'"),
        (b"", "", "names.csv is empty: its first line must name the columns"),
        (b"name\nZ\xfcrich\n", "", "names.csv is not in the encoding utf-8: name its own"),
        (b"name\n\"a" + b"b" * 200_000, "", "names.csv cannot be read after row 0: field larger"),
    ],
)  # fmt: skip
def test_a_csv_that_cannot_be_used_is_told_in_words(step: Step, content: bytes, call: str, words: str) -> None:
    (step.folder / "names.csv").write_bytes(content)
    done = step.run(f"for row in threadkit.rows({call}): pass")
    assert done.returncode == 1
    assert words in done.stderr


def test_a_row_of_another_length_is_passed_over_with_the_reason(step: Step) -> None:
    (step.folder / "names.csv").write_text("name,price\nOslo,1\nBern\nRome,2,3\nParis,4\n")
    done = step.run("print([row['name'] for row in threadkit.rows()])")
    assert done.stdout == "['Oslo', 'Paris']\n"
    assert "Row 2 of names.csv is passed over: it has 1 value, the header has 2." in done.stderr
    assert [line[1] for line in step.outcomes()] == ["ok", "failed", "failed", "ok"]


def test_rows_tell_how_far_they_are_unless_the_script_does(step: Step) -> None:
    (step.folder / "names.csv").write_text("name\n" + "x" * 1000 + "\n" * 1 + ("y" * 1000 + "\n") * 100)
    telling = "import os\nr, w = os.pipe()\nos.environ['PYSCHED_CHANNEL'] = str(w)\n{}for row in threadkit.rows(): pass\n"
    telling += "print(os.read(r, 9999).decode())"
    assert '"message": "row 1"' in step.said(telling.format(""))
    assert "row" not in step.said(telling.format("threadkit.progress(0.5)\n"))


# Checkpoints and outputs


def test_a_checkpoint_is_whole_or_the_one_before(step: Step) -> None:
    step.said("threadkit.checkpoint([1, 2])")
    assert step.run("threadkit.checkpoint([1, 2, {3}])").returncode == 1
    assert step.said("print(threadkit.restore())") == "[1, 2]\n"
    assert os.listdir(step.folder / ".pyscheduler" / "1-fetch") == ["checkpoint.json"]


def test_many_checkpoints_under_kills_never_leave_half_a_one(step: Step) -> None:
    source = "state = threadkit.restore(default=[0] * 20000)\nprint(len(state), flush=True)\nwhile True: threadkit.checkpoint(state)\n"
    (step.folder.parent / "script.py").write_text("import threadkit\n" + source)
    environment = {"PYTHONPATH": str(TOOLKIT), "PYSCHED_STATE": str(step.folder / "state")}
    for number in range(8):
        with subprocess.Popen([sys.executable, str(step.folder.parent / "script.py")], env=environment, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"20000\n"
            time.sleep(0.01 * number)
            child.kill()


def test_outputs_are_kept_by_attempt_and_have_names_and_a_limit(step: Step) -> None:
    step.said("threadkit.output('rows', 1)\nthreadkit.output('rows', [2])")
    lines = (step.folder / ".pyscheduler" / "1-fetch" / "outputs-1").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [["rows", 1], ["rows", [2]]]
    for call in ("'a b', 1", "'a', float('nan')", "'a', {1}", "'a', 'x' * 60000"):
        assert step.run(f"threadkit.output({call})").returncode == 1


# Data sets

WRITE = """
with threadkit.dataset("data/prices", source="web") as prices:
    (prices / "sub").mkdir()
    (prices / "sub" / "a.csv").write_text('name,note\\n1,"two\\nlines"\\n2,x')
    (prices / "b.bin").write_bytes(b"abc")
    prices.metadata["number"] = {number}
    {end}
"""


def test_a_data_set_has_a_manifest_and_earlier_versions_stay(step: Step) -> None:
    for number in (1, 2, 3):
        step.said(WRITE.format(number=number, end=""))
    data = step.folder / "data"
    assert sorted(os.listdir(data)) == ["prices", "prices@1", "prices@2"]
    for name, number in (("prices@1", 1), ("prices@2", 2), ("prices", 3)):
        manifest = json.loads((data / name / "manifest.json").read_bytes())
        assert (manifest["version"], manifest["metadata"]) == (number, {"source": "web", "number": number})
    assert (manifest["run"], manifest["step"], manifest["attempt"]) == ("7", "fetch", "1")
    assert manifest["files"] == [
        {"path": "b.bin", "sha256": hashlib.sha256(b"abc").hexdigest(), "bytes": 3},
        {"path": "sub/a.csv", "sha256": _sum(data / "prices/sub/a.csv"), "bytes": 27, "rows": 2},
    ]


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "end", ["raise KeyError", "import sys; sys.exit(3)", "(prices / 'link').symlink_to('b.bin')", "(prices / 'manifest.json').touch()"]
)
def test_what_goes_wrong_leaves_the_data_set_there_was(step: Step, end: str) -> None:
    step.said(WRITE.format(number=1, end=""))
    assert step.run(WRITE.format(number=2, end=end)).returncode in (1, 3)
    data = step.folder / "data"
    assert os.listdir(data) == ["prices"]
    assert json.loads((data / "prices" / "manifest.json").read_bytes())["metadata"]["number"] == 1


def test_a_killed_attempt_leaves_nothing_to_be_taken_for_a_data_set_and_the_next_clears_it_away(step: Step) -> None:
    assert step.run(WRITE.format(number=1, end="import os; os.kill(os.getpid(), 9)")).returncode == -9
    [left] = os.listdir(step.folder / "data")
    assert left.startswith(".pyscheduler")
    step.attempt = 2
    step.said(WRITE.format(number=2, end=""))
    assert os.listdir(step.folder / "data") == ["prices"]


@pytest.mark.parametrize("name", ["", "..", ".pyscheduler", "a/.."])
def test_a_data_set_needs_a_name(step: Step, name: str) -> None:
    assert "cannot be the name of a data set" in step.run(f"threadkit.dataset({name!r}).__enter__()").stderr


def test_scripts_need_not_compile_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = tmp_path / "kit"
    shutil.copytree(TOOLKIT, kit, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(environment, "TOOLKIT", kit)
    environment.compile_toolkit()
    words = [interpreter(), "-v", "-c", "import threadkit"]
    told = subprocess.run(words, env={"PYTHONPATH": str(kit)}, capture_output=True, text=True, check=True).stderr
    for name in ("sitecustomize", "threadkit/__init__", "threadkit/_state"):
        assert f"code object from '{cache_from_source(str(kit / name) + '.py')}'" in told
