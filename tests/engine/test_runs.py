"""The way of a run, on real parts."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import layout
from core.errors import NotFound
from history.files import open_artifact
from history.models import Artifact, Run
from history.services import request_stop
from history.status import Status
from processes.models import OnFailure
from processes.services import StepPlan, create_process
from tests.engine.conftest import Engine, directory_of, log_of, processes_of
from threads.uploads import Upload

pytestmark = pytest.mark.engine

Make = Callable[..., Any]


def test_a_script_runs_and_leaves_its_log_and_files(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = "print('hello')\nopen('out.txt', 'w').write('data')\n"
    run = engine.finish(make_run(make_thread("Report", source)))
    assert (run.status, run.exit_code, run.reason) == (Status.SUCCESS, 0, "")
    assert log_of(run) == b"hello\n"
    assert run.output_dir.startswith("report/")
    assert (directory_of(run) / "run.log").read_bytes() == b"hello\n"
    assert [(file.path, file.size_bytes) for file in run.artifacts.all()] == [("out.txt", 4)]
    assert run.peak_memory_bytes and run.cpu_seconds and run.duration_ms is not None


def test_a_script_finds_what_the_contract_promises(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = (
        "import json, os, sys\nimport threadkit\n"
        "seen = {'env': dict(os.environ), 'argv': sys.argv[1:], 'cwd': os.getcwd(), 'kit': threadkit.parameters()}\n"
        "json.dump(seen, open('seen.json', 'w'))\n"
    )
    thread = make_thread("Seen", source=None, script=Upload("seen.py", source.encode()), input_file=Upload("pages.csv", b"a,b\n1,2\n"))
    run = engine.finish(make_run(thread, parameters={"max_pages": 3, "deep": True, "skip": False, "tag": ["a", "b"]}))
    assert run.status == Status.SUCCESS, log_of(run)
    seen = json.loads((directory_of(run) / "seen.json").read_text())
    env = seen["env"]
    assert seen["cwd"] == env["PYSCHED_RUN_DIR"] == str(directory_of(run))
    assert (env["PYSCHED_RUN_ID"], env["PYSCHED_STEP"], env["PYSCHED_ATTEMPT"]) == (str(run.pk), "seen", "1")
    assert Path(env["PYSCHED_INPUT"]).read_text() == "a,b\n1,2\n"
    assert (directory_of(run) / "pages.csv").read_text() == "a,b\n1,2\n"
    assert seen["argv"] == ["--deep", "--max-pages=3", "--tag=a", "--tag=b"]
    assert seen["kit"] == json.loads(env["PYSCHED_PARAMETERS"]) == run.parameters
    assert not [
        name for name in env if name in ("PYSCHED_SECRET_KEY", "PYSCHED_DATA_PATH", "DJANGO_SETTINGS_MODULE", "PYSCHED_DATABASE_URL")
    ]
    assert [file.path for file in run.artifacts.all()] == ["seen.json"]


def test_a_script_sees_no_package_of_the_platform(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(
        make_run(
            make_thread(
                "Spy", "import importlib.util as u\nprint([n for n in ('django', 'engine', 'pyscheduler', 'core') if u.find_spec(n)])\n"
            )
        )
    )
    assert log_of(run) == b"[]\n"


def test_steps_share_the_directory_and_run_in_order(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    first = make_thread("Write", "open('table.csv', 'w').write('x')\nprint('wrote')\n")
    second = make_thread("Read", "print(open('table.csv').read())\n")
    run = engine.finish(make_run(make_process(threads=[first, second])))
    assert run.status == Status.SUCCESS
    assert log_of(run).decode().splitlines() == [
        "--- Step 1: Write, version 1 ---", "wrote", "--- Step 2: Read, version 1 ---", "x",
    ]  # fmt: skip
    assert run.progress == 1
    first_step, second_step = run.steps.all()
    assert first_step.finished_at <= second_step.started_at


def test_steps_of_a_stage_run_side_by_side(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    """Each waits for the other's file: one after the other they would never end."""
    source = (
        "import os, time\nme, other = '{}', '{}'\nopen(me, 'w').close()\nwhile not os.path.exists(other): time.sleep(0.01)\nprint('met')\n"
    )
    threads = [make_thread("A", source.format("a", "b")), make_thread("B", source.format("b", "a"))]
    run = engine.finish(make_run(make_process(threads=threads, stages=[1, 1])))
    assert run.status == Status.SUCCESS
    assert {b"[A] met", b"[B] met"} <= set(log_of(run).splitlines())


def test_a_failure_stops_the_process_and_says_where(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    bad = make_thread("Bad", "raise ValueError('no rows')\n")
    run = engine.finish(make_run(make_process(threads=[bad, make_thread("After")])))
    assert (run.status, run.exit_code) == (Status.FAILED, 1)
    assert run.reason == "Step 1 (Bad): Exit code 1. ValueError: no rows"
    assert [step.status for step in run.steps.all()] == [Status.FAILED, Status.SKIPPED]


def test_a_process_goes_on_where_it_is_told_to(engine: Engine, people: Any, make_thread: Make, make_run: Make) -> None:
    steps = [StepPlan(make_thread("Bad", "raise SystemExit(3)"), 1, on_failure=OnFailure.CONTINUE), StepPlan(make_thread("After"), 2)]
    run = engine.finish(make_run(create_process(team=people.team, user=people.editor, name="Brave", steps=steps)))
    assert run.status == Status.SUCCESS
    assert run.reason == "It continued after Bad failed."
    assert [step.status for step in run.steps.all()] == [Status.FAILED, Status.SUCCESS]


def test_a_script_over_its_time_is_ended(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Slow", "import time; print('a', flush=True); time.sleep(60)", timeout_seconds=1)))
    assert run.status == Status.TIMEOUT
    assert run.reason == "It ran longer than its limit of 1 second and was stopped."
    assert processes_of(run) == []


HOSTILE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(300)
    os._exit(0)
print('ready', flush=True)
time.sleep(300)
"""


def test_a_stop_ends_the_whole_tree(engine: Engine, people: Any, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Hostile", HOSTILE)))
    assert len(processes_of(run)) >= 3
    request_stop(run=run, user=people.runner)
    engine.finish(run)
    assert (run.status, run.reason) == (Status.STOPPED, "Stopped by runner.")
    assert processes_of(run) == []


def test_a_stop_before_the_start_starts_nothing(engine: Engine, people: Any, make_thread: Make, make_run: Make) -> None:
    run = make_run(make_thread("Never", "print('ran')"))
    request_stop(run=run, user=people.runner)
    engine.finish(run)
    assert run.status == Status.STOPPED
    assert log_of(run) == b""


def test_what_a_script_leaves_running_ends_with_it(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)\nprint('bye')\n"
    )
    run = engine.finish(make_run(make_thread("Parent", source)))
    assert run.status == Status.SUCCESS
    assert run.reason == "1 process it left running was stopped."
    assert processes_of(run) == []


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", Status.FAILED, "Ended by SIGSEGV (Segmentation fault)."),
        ("import os; os.close(1); os.close(2)", Status.SUCCESS, ""),
        ("", Status.SUCCESS, ""),
        ("import os, shutil; shutil.rmtree(os.getcwd(), ignore_errors=True)", Status.SUCCESS, ""),
        ("raise SystemExit(7)", Status.FAILED, "Exit code 7."),
        ("raise SystemExit('no data today')", Status.FAILED, "Exit code 1."),
    ],
    ids=["signal", "closes-stdout", "prints-nothing", "deletes-its-directory", "exit-code", "exit-message"],
)
def test_odd_ends_are_recorded_in_words(
    engine: Engine, make_thread: Make, make_run: Make, source: str, status: Status, reason: str
) -> None:
    run = engine.finish(make_run(make_thread("Odd", source or "pass")))
    assert (run.status, run.reason) == (status, reason)
    assert (directory_of(run) / "run.log").exists()


def test_binary_output_is_kept_byte_for_byte(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Binary", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)")))
    assert log_of(run) == bytes(range(256)) * 1000


def test_a_million_lines_are_cut_with_a_notice_and_the_script_goes_on(
    engine: Engine, settings: Any, make_thread: Make, make_run: Make
) -> None:
    settings.LOG_LIMIT_BYTES = 1024 * 1024
    source = "import sys\nfor n in range(1_000_000): sys.stdout.write(f'line {n}\\n')\nopen('end', 'w').write('reached')\n"
    run = engine.finish(make_run(make_thread("Chatty", source)), seconds=180)
    assert run.status == Status.SUCCESS
    assert run.reason == "Its log was cut off at the size limit."
    log = log_of(run)
    assert b"[The log was cut here: it reached its limit of 1048576 bytes. The script goes on.]\n" in log
    assert log.endswith(b"line 999998\nline 999999\n")
    # What is kept goes by pieces, of two reads of the pipe at most.
    assert len(log) < 2 * 1024 * 1024 + 140_000
    assert (directory_of(run) / "end").read_text() == "reached"


def test_a_full_directory_ends_the_run(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.RUN_DIRECTORY_LIMIT_BYTES = 2 * 1024 * 1024
    source = "import time\nfor n in range(8): open(f'part{n}', 'wb').write(b'x' * 1024 * 1024)\ntime.sleep(60)\n"
    run = engine.finish(make_run(make_thread("Hoarder", source)))
    assert run.status == Status.FAILED
    assert run.reason.startswith("It filled its directory beyond its limit of ")


def test_too_much_memory_ends_the_run(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.DEFAULT_MEMORY_LIMIT_MB = 64
    run = engine.finish(make_run(make_thread("Greedy", "import time\ndata = bytearray(150 * 1024 * 1024)\ntime.sleep(60)\n")))
    assert run.status == Status.FAILED
    assert run.reason.startswith("It used more memory than its limit of ")


def test_progress_reaches_the_platform(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = "import threadkit, time\nthreadkit.progress(3, 4, 'pages')\nprint('told', flush=True)\ntime.sleep(0.3)\n"
    run = engine.finish(make_run(make_thread("Teller", source)))
    assert json.loads((layout.control_folder(run.pk) / "progress").read_text()) == {"position": 1, "share": 0.75, "message": "pages"}


def test_priority_goes_before_age(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.MAX_RUNS = 1
    thread = make_thread()
    runs = [make_run(thread, priority=priority) for priority in (0, 5, 0)]
    for run in runs:
        engine.finish(run)
    order = sorted(runs, key=lambda run: run.started_at)
    assert [run.number for run in order] == [2, 1, 3]


def test_no_more_run_at_once_than_allowed(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.MAX_RUNS = 2
    thread = make_thread("Nap", "import time; time.sleep(0.3)")
    runs = [engine.finish(run) for run in [make_run(thread) for _ in range(5)]]
    at_once = [sum(other.started_at <= run.started_at < other.finished_at for other in runs) for run in runs]
    assert max(at_once) == 2


def test_links_out_of_the_directory_are_no_artifacts(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = "import os\nos.symlink('/etc/passwd', 'link')\nos.mkfifo('pipe')\nos.symlink('/etc', 'folder')\nopen('fine', 'w').write('1')\n"
    run = engine.finish(make_run(make_thread("Sly", source)))
    assert list(Artifact.objects.filter(run=run).values_list("path", flat=True)) == ["fine"]


def test_a_script_gains_no_privileges_and_has_a_session_of_its_own(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = (
        "import os, resource\nstatus = open('/proc/self/status').read()\n"
        "print('NoNewPrivs:\\t1' in status, os.getsid(0) in (1, os.getpid()), resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
    )
    run = engine.finish(make_run(make_thread("Humble", source)))
    assert log_of(run) == b"True True 0\n"


def test_signals_of_the_terminal_do_not_reach_a_supervisor(engine: Engine, make_thread: Make, make_run: Make) -> None:
    from tests.engine.conftest import supervisor_pid

    run = engine.started(make_run(make_thread("Calm", "import time; print('up', flush=True); time.sleep(2)")))
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(supervisor_pid(run), number)
    engine.finish(run)
    assert run.status == Status.SUCCESS


def test_a_process_shows_how_many_of_its_steps_are_done(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    first = make_thread("First", "print('first')")
    second = make_thread("Second", "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n")
    run = make_run(make_process(threads=[first, second]))
    engine.until(lambda: Run.objects.get(pk=run.pk).progress == 0.5)
    run.refresh_from_db()
    (directory_of(run) / "go").touch()
    assert engine.finish(run).progress == 1


HOSTILE_ENDS = {
    "paths-too-long": "import os\nfor _ in range(18):\n    os.mkdir('x' * 250)\n    os.chdir('x' * 250)\nopen('deep', 'w').close()\n",
    "log-name-is-a-directory": "import os\nos.mkdir('run.log')\n",
    "log-name-is-a-circular-link": "import os\nos.symlink('run.log', 'run.log')\n",
    "directory-is-a-file": "import os, shutil\nd = os.getcwd()\nshutil.rmtree(d)\nopen(d, 'w').close()\n",
    "directory-is-a-dangling-link": "import os, shutil\nd = os.getcwd()\nshutil.rmtree(d)\nos.symlink('/nowhere', d)\n",
    "directory-without-permission": "import os\nos.chmod('.', 0)\n",
}


@pytest.mark.parametrize("source", HOSTILE_ENDS.values(), ids=HOSTILE_ENDS.keys())
def test_what_a_script_does_to_its_directory_never_hides_its_end(
    engine: Engine, settings: Any, make_thread: Make, make_run: Make, source: str
) -> None:
    settings.ISOLATION = "plain"  # A sandbox would not let it.
    run = engine.finish(make_run(make_thread("Vandal", "print('was here')\n" + source)))
    assert (run.status, log_of(run)) == (Status.SUCCESS, b"was here\n")


def test_a_directory_swapped_for_a_link_leads_nowhere(
    engine: Engine, settings: Any, data_folder: Path, make_thread: Make, make_run: Make
) -> None:
    settings.ISOLATION = "plain"  # A sandbox would not let it.
    (data_folder / "secret").mkdir()
    (data_folder / "secret" / "key").write_text("secret")
    source = f"import os\nopen('key', 'w').close()\nd = os.getcwd()\nos.rename(d, d + '-away')\nos.symlink('{data_folder}/secret', d)\n"
    run = engine.finish(make_run(make_thread("Swap", source)))
    assert run.status == Status.SUCCESS
    assert list(run.artifacts.all()) == []
    Artifact.objects.create(run=run, path="key", size_bytes=0, modified_at=run.started_at)
    with pytest.raises(NotFound):
        open_artifact(run, "key")
    assert not (data_folder / "secret" / "run.log").exists()


@pytest.mark.parametrize(
    "report",
    ["b'{\"share\": 1' + b'0' * 400 + b'}\\n'", "b'[' * 60000 + b'\\n'", "b'\\xff\\0 nonsense\\n'", 'b\'{"share": "x"}\\n\''],
    ids=["huge-number", "deep", "bytes", "wrong-type"],
)
def test_rubbish_in_the_progress_channel_does_no_harm(engine: Engine, make_thread: Make, make_run: Make, report: str) -> None:
    source = f"import os\nos.write(int(os.environ['PYSCHED_CHANNEL']), {report})\nprint('fine')\n"
    run = engine.finish(make_run(make_thread("Babbler", source)))
    assert (run.status, log_of(run)) == (Status.SUCCESS, b"fine\n")


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("raise ValueError('a\\0b')", Status.FAILED, "Exit code 1. ValueError: a\N{REPLACEMENT CHARACTER}b"),
        ("import os\nopen('f', 'w').close()\nos.utime('f', (1e12, 1e12))", Status.SUCCESS, ""),
        ("import os, time\nif os.fork() == 0: os._exit(0)\ntime.sleep(0.1)", Status.SUCCESS, ""),
    ],
    ids=["nul-in-the-exception", "file-of-the-far-future", "dead-child-not-waited-for"],
)
def test_odd_things_are_recorded(engine: Engine, make_thread: Make, make_run: Make, source: str, status: Status, reason: str) -> None:
    run = engine.finish(make_run(make_thread("Odd", source)))
    assert (run.status, run.reason) == (status, reason)


def test_a_script_that_writes_its_own_run_log_keeps_it_and_ours_is_whole(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.finish(make_run(make_thread("Logger", "print('first')\nopen('run.log', 'w').write('mine')\nprint('second')\n")))
    assert log_of(run) == b"first\nsecond\n"
    assert (directory_of(run) / "run.log").read_text() == "mine"
    assert (directory_of(run) / "pyscheduler.log").read_bytes() == b"first\nsecond\n"
    assert [file.path for file in run.artifacts.all()] == ["run.log"]


def test_inputs_of_any_step_are_no_output(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    first = make_thread("First", source=None, script=Upload("first.py", b"print(1)\n"), input_file=Upload("pages.csv", b"a\n1\n"))
    second = make_thread("Second", "open('pages.csv', 'a').write('2\\n')\n")
    third = make_thread("Third", "pass")
    quiet = engine.finish(make_run(make_process(threads=[first, third])))
    assert list(quiet.artifacts.all()) == []
    writing = engine.finish(make_run(make_process("Writing", threads=[first, second, third])))
    assert [file.path for file in writing.artifacts.all()] == ["pages.csv"]
