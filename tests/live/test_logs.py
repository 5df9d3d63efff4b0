"""Logs and progress as they grow, with real files."""

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation, add, memory, sockets
from tests.readable import readable


def text_of(messages: list[tuple[str, Any]]) -> str:
    return "".join(data["text"] for event, data in messages if event == "log")


def test_a_log_is_told_as_it_grows(site: Installation, run: int, log: Path) -> None:
    stream = site.live(f"run:{run},log:{run}")
    took = []
    for number in range(20):
        began = time.monotonic()
        add(log, f"line {number}\n".encode())
        message = stream.next("log")
        took.append(time.monotonic() - began)
        assert message
        assert message[1]["text"] == f"line {number}\n"
        time.sleep(0.035)
    assert min(took) < 0.1, "the kernel tells of a change; a look at all files comes once a second"
    assert stream.last_id.endswith(f".{log.stat().st_size}")


def test_the_log_of_a_run_that_waits_is_told_as_soon_as_it_starts(site: Installation, run: int) -> None:
    stream = site.live(f"run:{run},log:{run}")
    folder = site.control(run)
    add(folder / "log", b"first\n")
    site.tell("start_run", run_id=run)
    assert stream.next("log") == ("log", {"run": run, "offset": 0, "text": "first\n", "next": 6})


def test_a_line_without_an_end_is_told_at_once_and_characters_are_never_split(site: Installation, run: int, log: Path) -> None:
    stream = site.live(f"log:{run}")
    add(log, b"half a line ")
    assert stream.next("log")[1]["text"] == "half a line "  # type: ignore[index]
    euro = "€".encode()
    add(log, euro[:2])
    assert stream.next("log", seconds=0.3) is None
    add(log, euro[2:] + b"\n")
    assert stream.next("log")[1]["text"] == "€\n"  # type: ignore[index]
    add(log, b"\xff\xfe binary \x00\n")
    assert stream.next("log")[1]["text"] == "\ufffd\ufffd binary \x00\n"  # type: ignore[index]


def test_a_stream_goes_on_from_its_offset(site: Installation, run: int, log: Path) -> None:
    add(log, b"one\ntwo\n")
    assert site.live(f"log:{run}", offset=4).next("log")[1]["text"] == "two\n"  # type: ignore[index]
    again = site.live(f"log:{run}", headers={"Last-Event-ID": "1.4"}, offset=0)
    assert again.next("log")[1]["text"] == "two\n"  # type: ignore[index]
    assert site.live(f"log:{run}", offset=10**15).next("log", seconds=0.3) is None


def test_a_page_far_behind_skips_to_the_last_part(site: Installation, run: int, log: Path) -> None:
    line = b"x" * 99 + b"\n"
    add(log, line * 20_000)
    stream = site.live(f"log:{run}")
    assert stream.next("log", "logskip") == ("logskip", {"run": run, "offset": 2_000_000 - 655 * 100})
    shown = [stream.next("log") for _ in range(3)]
    assert all(message and message[1]["text"].startswith("x") and message[1]["text"].endswith("\n") for message in shown)
    assert shown[-1] is not None
    assert shown[-1][1]["next"] == 2_000_000


def test_progress_is_told_when_it_is_replaced(site: Installation, run: int, log: Path) -> None:
    progress = log.parent / "progress"
    stream = site.live(f"run:{run},log:{run}")
    for share in (0.1, 0.5, None):
        content = {"position": 1, "share": share, "message": "on it"}
        temporary = log.parent / ".progress"
        temporary.write_text(json.dumps(content))
        temporary.rename(progress)
        assert stream.next("progress") == ("progress", {"run": run, **content})
        time.sleep(0.05)
    assert site.live(f"run:{run}").next("progress") == ("progress", {"run": run, "position": 1, "share": None, "message": "on it"})


def test_the_api_tells_a_run_from_its_state_to_its_end(site: Installation, run: int, log: Path) -> None:
    add(log, b"first\n")
    stream = site.api(f"/api/v1/runs/{run}/events")
    assert stream.next("run")[1]["status"] == "running"  # type: ignore[index]
    add(log, b"last, without an end \xe2\x82")
    site.tell("end_run", run_id=run)
    messages = stream.all()
    assert [event for event, _ in messages][-2:] == ["run", "end"]
    assert text_of(messages) == "first\nlast, without an end \ufffd"
    assert messages[-2][1]["status"] == "success"
    assert stream.is_over()


def test_the_api_tells_of_a_run_that_ended_long_ago(site: Installation, run: int, log: Path) -> None:
    add(log, b"all of it\n")
    site.tell("end_run", run_id=run, status="failed")
    site.tell("forget_events", up_to=10**9)
    messages = site.api(f"/api/v1/runs/{run}/events").all()
    assert [event for event, _ in messages] == ["log", "run", "end"]
    assert messages[1][1]["status"] == "failed"


def test_a_run_that_was_stopped_before_it_started_has_an_end_too(site: Installation, run: int) -> None:
    stream = site.api(f"/api/v1/runs/{run}/events")
    site.tell("end_run", run_id=run, status="stopped")
    assert [event for event, _ in stream.all()][-2:] == ["run", "end"]


def test_a_million_lines_arrive_whole_over_the_api_and_cost_the_server_no_memory(site: Installation, run: int, log: Path) -> None:
    lines = 1_000_000
    with log.open("wb") as file:
        for number in range(lines):
            file.write(b"line %07d of a log that is very long indeed\n" % number)
    size = log.stat().st_size
    before = memory(site.web.pid)
    stream = site.api(f"/api/v1/runs/{run}/events")
    site.tell("end_run", run_id=run)
    expected, count = 0, 0
    while message := stream.next(seconds=60):
        if message[0] == "log":
            assert message[1]["offset"] == expected
            expected = message[1]["next"]
            count += message[1]["text"].count("\n")
    assert (expected, count) == (size, lines)
    assert memory(site.web.pid) - before < 8 * 1024 * 1024


def test_a_reader_that_stops_reading_costs_nothing_and_holds_up_nobody(site: Installation, run: int, log: Path) -> None:
    stuck, quick = site.live(f"run,log:{run}"), site.live(f"run,log:{run}")
    stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    before = memory(site.web.pid)
    for number in range(60):
        add(log, b"y" * 99_999 + b"\n")
        site.tell("publish", topic="run", subject_id=run, team_id=site.team, number=number)
        assert quick.next("run")
    assert memory(site.web.pid) - before < 8 * 1024 * 1024
    newest = None
    # With so small a window the kernel may pause for seconds between two pieces.
    while message := stuck.next(seconds=8):
        newest = message[1].get("number", newest)
    assert newest == 59, "it is told the newest in the end"


def test_a_client_that_is_killed_leaves_nothing_behind(site: Installation, run: int, log: Path) -> None:
    before = sockets(site.web.pid)
    for _ in range(30):
        stream = site.live(f"run:{run},log:{run}")
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # Reset, not closed in order.
        stream.close()
    deadline = time.monotonic() + 30
    while sockets(site.web.pid) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sockets(site.web.pid) <= before


@pytest.mark.parametrize("path", ["/history/{run}/log", "/api/v1/runs/{run}/log"])
def test_slow_readers_of_a_log_do_not_keep_others_from_it(site: Installation, run: int, log: Path, path: str) -> None:
    add(log, b"0123456789abcde\n" * 400_000)
    path = path.format(run=run)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in site.cookie("viewer").items())
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=30))
            client.sendall(f"{head}\r\n".encode())
        assert readable([client], 30)
        status, headers, body = site.request("GET", path, headers=site.cookie("viewer"))
    assert (status, headers["content-length"], len(body)) == (200, "6400000", 6_400_000)
