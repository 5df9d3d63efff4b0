"""Failures in words: from tracebacks that real interpreters print to what a person is told."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from history.failures import Failure, Script, explain, normalised
from history.tracebacks import MOST_LINES_AFTER, find_crash

pytestmark = pytest.mark.once

HELPER = "def parse(rows):\n    if not rows:\n        raise ValueError('no rows in 17 pages')\n    return rows\n"
SCRIPTS = {
    "exception": "import helper\n\ndef main():\n    helper.parse([])\n\nmain()\n",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('total')\n",
    "cause": "try:\n    open('nowhere.csv')\nexcept OSError as error:\n    raise RuntimeError('cannot begin') from error\n",
    "module": "import nowhere_to_be_found.part\n",
    "file": "def read():\n    return open('pages.csv')\n\nread()\n",
    "syntax": "total = 1\nprint(total\nnext = 2\n",
    "indentation": "if True:\nprint(1)\n",
    "syntax of a module": "import broken\n",
    "recursion": "def down(n):\n    return down(n + 1)\n\ndown(0)\n",
    "mutual": "def a(n):\n    return b(n)\n\ndef b(n):\n    return a(n)\n\na(0)\n",
    "memory": "raise MemoryError\n",
    "library": "import json\n\njson.loads('{')\n",
    "own type": "class Odd(Exception):\n    pass\n\nraise Odd('a\\n  b\\nc: d')\n",
    "huge": "raise ValueError('x' * 100_000)\n",
    "bytes": "import sys\nsys.stdout.buffer.write(b'\\xff\\x00\\xfe\\n')\nsys.stdout.flush()\nraise ValueError('\\ud800\\x00')\n",
    "exit handlers": "class Bad:\n    def __del__(self):\n        raise KeyError('late')\n\nkeep = Bad()\nraise ValueError('first')\n",
    "bar": "import sys\nsys.stderr.write('\\r  0%|          | 0/3\\r 33%|###       | 1/3')\nraise ValueError('behind a bar')\n",
    "message": "import sys\nprint('fetched 3')\nsys.exit('3 pages failed')\n",
    "usage": "import argparse\np = argparse.ArgumentParser()\np.add_argument('--pages', required=True)\np.parse_args()\n",
    "got over": "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()\n"
    "print('on\\n' * 60)\nraise SystemExit(1)\n",
    "group": "def fail():\n    raise ValueError('one')\n\ntry:\n    fail()\nexcept ValueError as error:\n"
    "    raise ExceptionGroup('many', [error, TypeError('two')])\n",
    "nested group": "raise ExceptionGroup('outer', [ExceptionGroup('inner', [KeyError('k')]), OSError('x')])\n",
    "task group": "import asyncio\n\nasync def fail():\n    raise ValueError('in a task')\n\nasync def main():\n"
    "    async with asyncio.TaskGroup() as group:\n        group.create_task(fail())\n\nasyncio.run(main())\n",
}  # fmt: skip


@cache
def interpreters() -> list[str]:
    """Of each Python from 3.8 on that pyenv has here; this one at least."""
    found = {sys.version_info[:2]: sys.executable}
    for path in Path.home().joinpath(".pyenv", "versions").glob("3.*/bin/python"):
        major, minor = path.parts[-3].split(".")[:2]
        if minor.isdecimal() and int(minor) >= 8:
            found.setdefault((int(major), int(minor)), str(path))
    return [found[version] for version in sorted(found)]


def ran(folder: Path, source: str, python: str = sys.executable) -> tuple[int, str]:
    """Exit code and log of the script, as the platform would keep it."""
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (code / "main.py").write_text(source)
    (code / "helper.py").write_text(HELPER)
    (code / "broken.py").write_text("def odd(:\n    pass\n")
    done = subprocess.run([python, "-u", str(code / "main.py")], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def told(folder: Path, name: str, python: str = sys.executable) -> Failure:
    code, log = ran(folder, SCRIPTS[name], python)
    script = Script(str(folder / "code"), {"main.py", "helper.py", "broken.py"})
    return explain(ended(exit_code=code), log=log, script=script)


def ended(**more: Any) -> dict[str, Any]:
    return {"cause": "", "exit_code": None, "signal": None, **more}


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).parts[-3])
def test_the_tracebacks_of_every_python_are_understood(python: str, tmp_path: Path) -> None:
    failure = told(tmp_path, "exception", python)
    assert (failure.kind, failure.exception, failure.message) == ("exception", "ValueError", "no rows in 17 pages")
    assert (failure.file, failure.line, failure.function) == ("helper.py", 3, "parse")
    assert failure.title == "ValueError in helper.py, line 3"
    assert [(frame.file, frame.line, frame.function) for frame in failure.frames] == [
        ("main.py", 6, "<module>"), ("main.py", 4, "main"), ("helper.py", 3, "parse"),
    ]  # fmt: skip
    assert failure.frames[1].code == "helper.parse([])"
    compiled = told(tmp_path, "syntax", python)
    assert (compiled.kind, compiled.exception, compiled.file) == ("syntax_error", "SyntaxError", "main.py")
    assert compiled.line in (2, 3)
    library = told(tmp_path, "library", python)
    assert (library.exception, library.file, library.line) == ("json.decoder.JSONDecodeError", "main.py", 3)


@pytest.mark.parametrize(
    ("name", "kind", "exception", "message", "line"),
    [
        ("chained", "exception", "KeyError", "'total'", 4),
        ("cause", "exception", "RuntimeError", "cannot begin", 4),
        ("indentation", "syntax_error", "IndentationError", "expected an indented block after 'if' statement on line 1", 2),
        ("recursion", "exception", "RecursionError", "maximum recursion depth exceeded", 2),
        ("mutual", "exception", "RecursionError", "maximum recursion depth exceeded", None),
        ("memory", "memory", "MemoryError", "", 1),
        ("own type", "exception", "Odd", "a", 4),
        ("exit handlers", "exception", "ValueError", "first", 6),
        ("bar", "exception", "ValueError", "behind a bar", 3),
        ("group", "exception", "ExceptionGroup", "many (2 sub-exceptions), first ValueError: one", 2),
        ("nested group", "exception", "ExceptionGroup", "outer (2 sub-exceptions), first ExceptionGroup: inner (1 sub-exception)", 1),
        ("task group", "exception", "ExceptionGroup",
         "unhandled errors in a TaskGroup (1 sub-exception), first ValueError: in a task", 4),
    ],
)  # fmt: skip
def test_an_exception_is_found_whatever_stands_around_it(
    name: str, kind: str, exception: str, message: str, line: int | None, tmp_path: Path
) -> None:
    failure = told(tmp_path, name)
    assert (failure.kind, failure.exception, failure.message) == (kind, exception, message)
    assert failure.file == "main.py"
    assert line in (None, failure.line)
    assert 1 <= len(failure.frames) <= 5


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    failure = told(tmp_path, "module")
    assert (failure.kind, failure.module, failure.line) == ("missing_module", "nowhere_to_be_found", 1)
    assert failure.title == "The module nowhere_to_be_found is not installed"
    assert "requirements" in failure.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    failure = told(tmp_path, "file")
    assert (failure.kind, failure.path, failure.function) == ("missing_file", "pages.csv", "read")
    assert failure.title == "There is no file pages.csv"


def test_a_module_that_does_not_compile_is_where_the_fault_is(tmp_path: Path) -> None:
    failure = told(tmp_path, "syntax of a module")
    assert (failure.kind, failure.file, failure.line) == ("syntax_error", "broken.py", 1)


def test_a_huge_message_is_cut_and_rubbish_made_plain(tmp_path: Path) -> None:
    assert len(told(tmp_path, "huge").message) == 500
    rubbish = told(tmp_path, "bytes")
    assert rubbish.exception == "ValueError"
    assert rubbish.message.isprintable()


@pytest.mark.parametrize("said", ["PermissionError: [Errno 13] Permission denied: '/x'", "OSError: [Errno 30] Read-only file system: '/x'"])
def test_where_a_script_may_write_is_said(said: str) -> None:
    log = f'Traceback (most recent call last):\n  File "/c/main.py", line 1, in <module>\n    open("/x", "w")\n{said}\n'
    assert "run's directory" in explain(ended(exit_code=1), log=log).hint


@pytest.mark.parametrize(
    "said",
    [
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
        "OSError: [Errno 101] Network is unreachable",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded",
        "PermissionError: [Errno 13] Permission denied",
    ],
)
def test_without_a_network_a_failure_to_reach_something_says_so(said: str) -> None:
    frames = '  File "/c/main.py", line 1, in <module>\n    go()\n  File "/usr/lib/python3.11/socket.py", line 232, in __init__\n    x()\n'
    log = f"Traceback (most recent call last):\n{frames}{said}\n"
    assert explain(ended(exit_code=1), log=log, has_network=False).hint.startswith("The network is off for this thread.")
    assert "network" not in explain(ended(exit_code=1), log=log).hint
    elsewhere = 'Traceback (most recent call last):\n  File "/c/main.py", line 1, in <module>\n    open("x")\nPermissionError: no\n'
    assert "network" not in explain(ended(exit_code=1), log=elsewhere, has_network=False).hint


@pytest.mark.parametrize("said", ["BlockingIOError: [Errno 11] Resource temporarily unavailable", "RuntimeError: can't start new thread"])
def test_what_has_no_room_for_another_process_is_told_so(said: str) -> None:
    log = f'Traceback (most recent call last):\n  File "/c/main.py", line 1, in <module>\n    start()\n{said}\n'
    assert "as many processes and threads as it may" in explain(ended(exit_code=1), log=log).hint


def test_an_exit_in_words_shows_its_last_line(tmp_path: Path) -> None:
    failure = told(tmp_path, "message")
    assert (failure.kind, failure.title, failure.message) == ("exit_code", "It ended with exit code 1", "3 pages failed")
    usage = told(tmp_path, "usage")
    assert (usage.kind, usage.exception) == ("exit_code", "2")
    assert "arguments are required: --pages" in usage.message
    assert "parameters" in usage.hint


def test_an_exception_that_the_script_got_over_is_not_blamed(tmp_path: Path) -> None:
    assert MOST_LINES_AFTER < 60
    assert told(tmp_path, "got over").kind == "exit_code"


def test_colours_and_a_lost_beginning_do_not_hide_an_exception() -> None:
    log = '\x1b[35m  File "/x/main.py", line 3, in go\x1b[0m\n    run()\nValueError: \x1b[31mred\x1b[0m\n'
    crash = find_crash(log)
    assert crash is not None
    assert (crash.line, crash.frames[0].line) == ("ValueError: red", 3)


NO_TRACEBACKS = [
    "",
    "\n",
    "  \n  \n",
    "ValueError: no frames\n",
    '  File "x", line 1\n',
    "+---\n" * 50,
    "  + Exception Group Traceback (most recent call last):\n  +-+---------------- 1 ----------------\n    +--------------------\n",
]


@pytest.mark.parametrize("log", NO_TRACEBACKS)
def test_what_only_looks_like_a_traceback_is_none(log: str) -> None:
    assert find_crash(log) is None


def test_a_long_log_of_rubbish_is_read_in_one_pass() -> None:
    lines = ["  x"] * 100_000
    assert find_crash("\n".join(["Error: y", *lines, "Error: z"])) is None
    assert find_crash("\n".join(lines)) is None
    assert find_crash("\n".join(["  x", "E: y"] * 50_000)) is None


@pytest.mark.parametrize(
    ("record", "kind", "title"),
    [
        (ended(signal=11), "signal", "It crashed: segmentation fault (SIGSEGV)"),
        (ended(exit_code=139), "exit_code", "It ended with exit code 139"),
        (ended(signal=9), "signal", "It was ended from outside: killed (SIGKILL)"),
        (ended(signal=200), "signal", "It was ended from outside: a signal (signal 200)"),
        (ended(exit_code=3), "exit_code", "It ended with exit code 3"),
        (ended(cause="timeout", signal=15), "timeout", "It ran longer than it may"),
        (ended(cause="memory", detail="9", signal=9), "memory", "It used more memory than it may"),
        (ended(cause="disk", detail="9", signal=9), "limit", "Its directory grew larger than it may"),
        (ended(cause="another", detail="9", signal=9), "limit", "It went over one of its limits"),
        (ended(cause="start", detail="no such file"), "start", "It could not be started"),
        (ended(cause="lost", detail="gone"), "lost", "The platform lost sight of it"),
        (ended(cause="supervisor"), "lost", "The platform lost sight of it"),
        ({}, "lost", "The platform lost sight of it"),
    ],
)  # fmt: skip
def test_every_bad_end_has_a_name(record: dict[str, Any], kind: str, title: str) -> None:
    failure = explain(record, log="on page 7\n")
    assert (failure.kind, failure.title) == (kind, title)


def test_equal_failures_have_one_signature_and_others_do_not() -> None:
    def failure(message: str, line: int = 3, function: str = "parse", kind: str = "ValueError") -> str:
        log = f'Traceback (most recent call last):\n  File "/c/main.py", line {line}, in {function}\n    x\n{kind}: {message}\n'
        return explain(ended(exit_code=1), log=log, script=Script("/c", ["main.py"])).signature

    same = failure("row 3 of '/tmp/a1.csv' at 0x7f00 in 2.5 s")
    assert len(same) == 16
    assert failure("row 77 of '/srv/b.csv' at 0x7fff in 0.1 s", line=9) == same
    assert len({same, failure("column 3"), failure("row 3 of", function="other"), failure("row 3 of", kind="KeyError")}) == 4
    assert failure("No module named 'yaml'", kind="ModuleNotFoundError") != failure("No module named 'bs4'", kind="ModuleNotFoundError")


def test_what_varies_is_masked() -> None:
    said = "GET https://a.b/c?d=1 for 'x' in /var/tmp/9f.csv gave 503 after 2.5 s (id 3f2504e0-4f89-11d3-9a0c-0305e82c3301)"
    assert normalised(said) == "GET <url> for <quoted> in <path> gave <number> after <number>.<number> s (id <hex>)"
