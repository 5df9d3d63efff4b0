"""What real scripts print: by which stream, in which order, and what of it is a secret."""

import json
from typing import Any

import pytest

from core import layout
from core.marks import ERR, OUT, RECORD
from engine.host import records
from engine.host.masking import MASK
from history import logs
from history.models import Run
from history.status import Status
from tests.conftest import People
from tests.engine.conftest import Engine
from threads.variables import set_variable

pytestmark = pytest.mark.engine

ODD = """
import contextlib, io, multiprocessing, os, subprocess, sys
def work(how):
    print("child", how, file=sys.stderr)
if __name__ == "__main__":
    own = [sys.executable, "-c", "import sys; print('x', file=sys.stderr)"]
    assert subprocess.run(own, stderr=subprocess.PIPE).stderr == b"x\\n"
    assert subprocess.run(own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout == b"x\\n"
    for how in ("spawn", "fork"):
        child = multiprocessing.get_context(how).Process(target=work, args=(how,))
        child.start(); child.join()
        assert child.exitcode == 0
    with contextlib.redirect_stderr(io.StringIO()) as caught:
        print("caught", file=sys.stderr)
    assert caught.getvalue() == "caught\\n"
    kept = os.dup(2)
    with open("redirected", "w+b") as file:
        os.dup2(file.fileno(), 2)
        print("file", file=sys.stderr)
        os.dup2(kept, 2)
        file.seek(0)
        assert file.read() == b"file\\n"
    print("said")
    sys.stdout.close()
    sys.stderr.buffer.write(b"raw\\n")
    raise SystemExit("the end")
"""


def told(run: Run, stream: int) -> bytes:
    """What came by one stream, put together by the marks beside the log."""
    path = logs.log_path(run)
    content, marks = path.read_bytes(), path.with_name(path.name + records.MARKS).read_bytes()
    return b"".join(content[start : start + size] for start, _, size, by in RECORD.iter_unpack(marks) if by == stream)


def test_ten_thousand_lines_keep_their_order_and_their_stream(engine: Engine, make_thread: Any, make_run: Any) -> None:
    source = "import sys\nfor n in range(5000):\n    print('out', n)\n    print('bad', n, file=sys.stderr)\n"
    run = engine.finish(make_run(make_thread(source=source)))
    assert logs.log_path(run).read_bytes() == b"".join(b"out %d\nbad %d\n" % (n, n) for n in range(5000))
    assert told(run, OUT) == b"".join(b"out %d\n" % n for n in range(5000))
    assert told(run, ERR) == b"".join(b"bad %d\n" % n for n in range(5000))


def test_scripts_that_turn_their_streams_about_get_what_they_would_without_us(engine: Engine, make_thread: Any, make_run: Any) -> None:
    run = engine.finish(make_run(make_thread(source=ODD)))
    assert logs.log_path(run).read_bytes() == b"child spawn\nchild fork\nsaid\nraw\nthe end\n"
    assert told(run, ERR) == b"child spawn\nchild fork\nraw\nthe end\n"
    assert (run.status, run.exit_code) == (Status.FAILED, 1)


def test_a_secret_reaches_no_log(engine: Engine, people: People, make_thread: Any, make_run: Any) -> None:
    source = """
import base64, os, sys, threadkit, time
token = os.environ["TOKEN"]
print(token)
print(base64.b64encode(b"user:" + token.encode()).decode(), file=sys.stderr)
for piece in (token[:5], token[5:]):
    print(piece, end="", flush=True)
    time.sleep(0.1)
threadkit.progress(0.5, message=token)
raise SystemExit(f"\\nno {token}")
"""
    thread = make_thread(source=source)
    set_variable(team=people.team, user=people.editor, name="TOKEN", value="s3cr3t-of-the-test", is_secret=True, thread=thread)
    run = engine.finish(make_run(thread))
    lines = logs.log_path(run).read_bytes().splitlines()
    assert (lines[0], lines[2], lines[3]) == (MASK, MASK, b"no " + MASK)
    assert MASK in lines[1]
    folder = logs.log_path(run).parent
    assert not [path for path in folder.rglob("*") if path.is_file() and b"s3cr3t-of" in path.read_bytes()]
    assert "s3cr3t" not in run.reason
    assert "s3cr3t" not in str(list(run.steps.values()))


BROKEN = "import os; os.write(int(os.environ['PYSCHED_CHANNEL']), b'{\"share\": \"much\"}\\n')"


@pytest.mark.parametrize(("tells", "share"), [("", 0.3), ("threadkit.progress(0.9)", 0.9), (BROKEN, 0.3)])
def test_a_bar_moves_the_progress_unless_the_script_tells_it(
    engine: Engine, make_thread: Any, make_run: Any, tells: str, share: float
) -> None:
    source = f"""
import sys, threadkit, time
{tells}
time.sleep(0.2)
for part in (10, 20, 30):
    print(f"\\r{{part:3d}}%|##   | {{part}}/100", end="", file=sys.stderr, flush=True)
"""
    run = engine.finish(make_run(make_thread(source=source)))
    assert json.loads((logs.log_path(run).parent / layout.PROGRESS).read_bytes())["share"] == share
