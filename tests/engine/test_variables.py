"""What scripts get of variables and secrets, and where it is not to be found."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import layout
from engine import keeper
from engine.host import records
from history.models import StepRun
from tests.conftest import People
from tests.engine.conftest import Engine, directory_of, keeper_pid, log_of, processes_of, supervisor_pid
from threads.uploads import Upload
from threads.variables import MAX_VALUE_BYTES, set_variable

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MASK = "********"
SECRET = "s3cr3t-\u00e4-of-the-test\nsecond line"
TELL = """
import os, json
with open("told", "w") as file:  # Not into the log: there secrets are masked.
    json.dump({name: os.environ.get(name) for name in ("WHERE", "WHO", "TOKEN", "PATH")}, file)
"""
USE = """
import os, time
assert os.environ["TOKEN"].startswith("s3cr3t-")
print("used")
while not os.path.exists("go"):
    time.sleep(0.02)
"""


def told(run: Any) -> dict[str, str | None]:
    found: dict[str, str | None] = json.loads((directory_of(run) / "told").read_text())
    return found


def test_a_script_gets_its_teams_variables_and_its_own_before_them(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    thread, other = make_thread(source=TELL), make_thread(name="Other", source=TELL)
    given = {"team": people.team, "user": people.editor}
    set_variable(**given, name="WHERE", value="team")
    set_variable(**given, name="WHO", value="everybody", is_secret=True)
    set_variable(**given, name="WHO", value="me", thread=thread)
    set_variable(**given, name="TOKEN", value=SECRET, is_secret=True, thread=thread)
    set_variable(team=people.other_team, user=people.stranger, name="WHERE", value="elsewhere")
    mine, others = make_run(thread), make_run(other)
    engine.finish(mine)
    engine.finish(others)
    path = told(mine).pop("PATH")
    assert told(mine) == {"WHERE": "team", "WHO": "me", "TOKEN": SECRET, "PATH": path}
    assert told(others) == {"WHERE": "team", "WHO": "everybody", "TOKEN": None, "PATH": path}


def files_with(needle: bytes, *folders: Path) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and needle in path.read_bytes():
                yield path


def test_a_secret_lies_on_no_disk_and_in_no_command_line(
    engine: Engine, people: People, make_thread: Any, make_run: Any, data_folder: Path
) -> None:
    thread = make_thread(source=USE)
    secret = "only-in-memory-4711"
    set_variable(team=people.team, user=people.editor, name="TOKEN", value=f"s3cr3t-{secret}", is_secret=True, thread=thread)
    run = engine.started(make_run(thread))
    [*scripts] = processes_of(run)
    assert any(secret.encode() in Path(f"/proc/{pid}/environ").read_bytes() for pid in scripts)
    assert not any(secret.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in map(str, all_pids()) if readable(pid))
    with contextlib.suppress(PermissionError):  # To an ordinary user it does not even show what it was started with.
        assert secret.encode() not in Path(f"/proc/{supervisor_pid(run)}/environ").read_bytes()
    assert list(files_with(secret.encode(), data_folder)) == []
    (directory_of(run) / "go").touch()
    assert engine.finish(run).status == "success"
    assert list(files_with(secret.encode(), data_folder)) == []
    spec = records.read(str(layout.step_folder(run.pk, 1, 1) / records.SPEC))
    assert spec is not None
    assert "TOKEN" not in spec["environment"]


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def readable(pid: str) -> bool:
    return os.path.exists(f"/proc/{pid}/cmdline")


def test_many_large_secrets_reach_their_scripts(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    """More than fits into one message to the keeper, of the characters that take most room in it."""
    threads = [make_thread(name=f"T{number}", source="import os; print(len(os.environ['BIG']))") for number in range(6)]
    for thread in threads:
        value = '"' * MAX_VALUE_BYTES
        for name in ("BIG", "BIG_TOO"):
            set_variable(team=people.team, user=people.editor, name=name, value=value[:15_900], is_secret=True, thread=thread)
    runs = [make_run(thread) for thread in threads]
    for run in runs:
        engine.finish(run)
    assert {log_of(run) for run in runs} == {b"15900\n"}


def test_a_new_keeper_is_told_the_secrets_again(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    thread = make_thread(source="import os; print(os.environ['TOKEN'])")
    set_variable(team=people.team, user=people.editor, name="TOKEN", value="told-twice", is_secret=True, thread=thread)
    os.kill(keeper_pid(), signal.SIGKILL)
    run = engine.finish(make_run(thread))
    assert run.status == "success", run.reason


def test_a_secret_that_no_key_opens_fails_the_run_in_words(
    engine: Engine, people: People, make_thread: Any, make_run: Any, settings: Any
) -> None:
    thread = make_thread()
    set_variable(team=people.team, user=people.editor, name="TOKEN", value="x", is_secret=True, thread=thread)
    settings.SECRET_KEY = "another key, since somebody lost the first one"
    run = engine.finish(make_run(thread))
    assert run.status == "failed"
    assert "The secret TOKEN cannot be opened" in run.reason
    assert "PYSCHED_SECRET_KEY_FALLBACKS" in run.reason


def test_without_variables_a_request_to_the_keeper_bears_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(keeper, "_ask", lambda request: asked.append(request) or [""] * len(request["folders"]))
    assert keeper.start_steps([keeper.Start(tmp_path)] * 120) == [""] * 120
    assert [len(request["folders"]) for request in asked] == [50, 50, 20]
    assert not any("secrets" in request for request in asked)


# Outputs of a step in the parameters of a later one

PUT_OUT = """
import json, os, pathlib
state = pathlib.Path(os.environ["PYSCHED_STATE"])
state.mkdir(parents=True)
lines = [["rows", 1], ["rows", 12], ["file", "a b.csv"], ["bad name", 1], "nothing", ["x" * 200, 1]]
text = "".join(json.dumps(line) + "\\n" for line in lines)
(state / f"outputs-{os.environ['PYSCHED_ATTEMPT']}").write_text(text + "no json\\n")
"""
TAKE = "import sys, json, os; print(sys.argv[1:], json.loads(os.environ['PYSCHED_PARAMETERS'])['rows'])"


def test_a_step_takes_what_an_earlier_one_put_out(engine: Engine, make_thread: Any, make_process: Any, make_run: Any) -> None:
    first, second = make_thread(name="Fetch it", source=PUT_OUT), make_thread(name="Use", source=TAKE)
    wanted = {
        "rows": "{{steps.fetch-it.outputs.rows}}",
        "note": "read {{ steps.1.outputs.file }} of {{user}}",
        "list": ["{{steps.1.outputs.rows}}"],
    }
    process = make_process(threads=[first, second])
    process.steps.filter(position=2).update(parameters=wanted)
    run = engine.finish(make_run(process))
    assert run.status == "success", run.reason
    assert b"['--list=12', '--note=read a b.csv of {{user}}', '--rows=12'] 12" in log_of(run)
    steps = list(StepRun.objects.filter(run=run).order_by("position"))
    assert steps[0].outputs == {"rows": 12, "file": "a b.csv"}
    assert steps[1].parameters == wanted
    assert not any(path.startswith(layout.STATE) for path in run.artifacts.values_list("path", flat=True))


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("{{steps.fetch.outputs.other}}", "takes the output other of step fetch, which put out file, rows alone and ended as success"),
        ("{{steps.nobody.outputs.rows}}", "takes the output rows of step nobody, and no step of that name has ended before it"),
        ("{{steps.fetch.rows}}", "its parameter a is '{{steps.fetch.rows}}'; write {{steps.NAME.outputs.KEY}}"),
    ],
)
def test_a_missing_output_fails_the_step_in_words(
    engine: Engine, make_thread: Any, make_process: Any, make_run: Any, reference: str, reason: str
) -> None:
    process = make_process(threads=[make_thread(name="Fetch", source=PUT_OUT), make_thread(name="Use", source=TAKE)])
    process.steps.filter(position=2).update(parameters={"a": reference})
    run = engine.finish(make_run(process))
    assert run.status == "failed"
    assert reason in run.reason


KIT = """
import threadkit
for row in threadkit.rows(columns=["city"]):
    print(row["city"])
threadkit.checkpoint(1)
threadkit.output("cities", ["Oslo", "Bern"])
with threadkit.dataset("out") as out:
    (out / "a.txt").write_text("a")
half = threadkit.dataset("half").__enter__()
(half / "b.txt").write_text("b")
"""


def test_what_threadkit_leaves_is_recorded_and_its_own_notes_are_not(
    engine: Engine, people: People, make_thread: Any, make_run: Any, as_user: Any
) -> None:
    thread = make_thread(source=KIT, input_file=Upload("cities.csv", b"city\nOslo\nBern\n"))
    run = engine.finish(make_run(thread))
    assert run.status == "success", run.reason
    paths = set(run.artifacts.values_list("path", flat=True))
    assert paths == {"rows-1-hello-cities.csv", "out/a.txt", "out/manifest.json"}
    client = as_user(people.viewer)
    assert client.get(f"/api/v1/runs/{run.pk}").json()["steps"][0]["outputs"] == {"cities": ["Oslo", "Bern"]}
    assert "1 output<" in client.get(f"/history/{run.pk}").content.decode()


def test_a_secret_that_a_script_puts_out_is_masked(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    source = "import os, threadkit\nthreadkit.output('said', [{'a': 'it is ' + os.environ['TOKEN']}, 1, 'ab'])\n"
    thread = make_thread(source=source)
    for name, value in (("TOKEN", "swordfish"), ("SHORT", "ab")):
        set_variable(team=people.team, user=people.editor, name=name, value=value, is_secret=True, thread=thread)
    run = engine.finish(make_run(thread))
    assert StepRun.objects.get(run=run).outputs == {"said": [{"a": "it is ********"}, 1, "ab"]}


def test_a_secret_gets_out_neither_as_a_number_nor_as_a_name(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    source = """
import os, threadkit
pin = os.environ["PIN"]
threadkit.output("pin", int(pin))
threadkit.output("pin-" + pin, [float(pin), {pin: True}])
threadkit.output("rows", 12)
"""
    thread = make_thread(source=source)
    set_variable(team=people.team, user=people.editor, name="PIN", value="471174", is_secret=True, thread=thread)
    run = engine.finish(make_run(thread))
    assert StepRun.objects.get(run=run).outputs == {"pin": MASK, f"pin-{MASK}": [MASK, {MASK: True}], "rows": 12}


def test_masked_are_the_secrets_that_the_script_was_given(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    source = USE + "import threadkit\nthreadkit.output('said', os.environ['TOKEN'])\nthreadkit.output('other', 'swordfish')\n"
    thread = make_thread(source=source)
    given = {"team": people.team, "user": people.editor, "name": "TOKEN", "is_secret": True, "thread": thread}
    set_variable(**given, value="s3cr3t-of-the-start")
    run = engine.started(make_run(thread))
    set_variable(**given, value="swordfish")
    (directory_of(run) / "go").touch()
    engine.finish(run)
    assert StepRun.objects.get(run=run).outputs == {"said": MASK, "other": "swordfish"}


@pytest.mark.parametrize("trick", ["os.symlink(secret, path)", "os.link(secret, path)", "os.mkfifo(path)", "os.mkdir(path)", "pass"])
def test_outputs_are_read_through_no_link(
    engine: Engine, settings: Any, data_folder: Path, make_thread: Any, make_run: Any, trick: str
) -> None:
    settings.ISOLATION = "plain"  # A sandbox would have nothing to link to.
    secret = data_folder / "secret"
    secret.write_text('["stolen", 1]\n')
    prepare = f"""
import os
secret, path = {str(secret)!r}, os.environ["PYSCHED_STATE"] + "/outputs-1"
os.makedirs(os.environ["PYSCHED_STATE"])
{trick}
"""
    run = engine.finish(make_run(make_thread(source=prepare)))
    assert (run.status, StepRun.objects.get(run=run).outputs) == ("success", {})
