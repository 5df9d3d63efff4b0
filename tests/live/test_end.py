"""How streams end: with the server, with slow clients, with many."""

import contextlib
import resource
import socket
import threading
import time
from pathlib import Path

from tests.installation import Installation, Listening, add, memory


def test_a_thousand_open_streams_do_not_hold_up_the_end(site: Installation, run: int) -> None:
    site.end_web()
    site.start_web(prelude="from pyscheduler.web import live; live.MOST_OF_ONE = 1000")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    streams: list[Listening] = []
    try:
        before = memory(site.web.pid)
        openers = [threading.Thread(target=lambda: streams.extend(site.live(f"run,log:{run}") for _ in range(250))) for _ in range(4)]
        for opener in openers:
            opener.start()
        for opener in openers:
            opener.join()
        assert [stream.status for stream in streams] == [200] * 1000
        per_stream = (memory(site.web.pid) - before) / 1000
        status, errors, _ = site.end_web()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (status, errors) == (0, "")
    assert all(stream.is_over() for stream in streams)
    assert per_stream < 40_000


def test_a_restart_in_the_middle_of_a_run_loses_nothing(site: Installation, run: int, log: Path) -> None:
    stream = site.live(f"run:{run},log:{run}")
    add(log, b"one\n")
    assert stream.next("log")
    assert site.end_web()[0] == 0
    add(log, b"two\n")
    site.tell("end_run", run_id=run)
    site.start_web()
    again = site.live(f"run:{run},log:{run}", headers={"Last-Event-ID": stream.last_id})
    assert [message[0] for message in again.all(3)] == ["log", "run"]


def test_a_slow_reader_does_not_hold_up_the_end(site: Installation, run: int, log: Path) -> None:
    stuck = Listening.__new__(Listening)
    stuck.socket = socket.create_connection(("127.0.0.1", site.port), timeout=60)
    head = f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
    stuck.socket.sendall(f"{head}Authorization: Bearer {site.people['viewer']['key']}\r\n\r\n".encode())
    add(log, b"z" * 99 + b"\n" * 1)
    with contextlib.suppress(OSError):
        add(log, (b"z" * 99 + b"\n") * 200_000)
    time.sleep(0.7)
    status, _, _ = site.end_web()
    stuck.close()
    assert status == 0
