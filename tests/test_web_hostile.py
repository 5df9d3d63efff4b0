"""Clients that mean harm, or never finish: what one of them takes is bounded, and the others go on."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.installation import Installation, Listening
from tests.readable import readable

pytestmark = pytest.mark.once

PRELUDE = """
from django.conf import settings
from pyscheduler.web import intake, live, protocol
settings.ROOT_URLCONF = "tests.web_urls"
settings.MAX_BODY_BYTES = 8 * 1024 * 1024
live.MOST_OF_ONE = 3
"""
MB = 1024 * 1024


@pytest.fixture(scope="module")
def web() -> Iterator[Installation]:
    """It waits for silent clients longer than any test takes: what is asked here is not how long that is."""
    made = Installation(f"{PRELUDE}intake.IDLE_SECONDS = protocol.HEAD_SECONDS = 300.0")
    yield made
    made.close()


@pytest.fixture(scope="module")
def impatient_web() -> Iterator[Installation]:
    """It gives up on silent clients soon."""
    made = Installation(f"{PRELUDE}intake.IDLE_SECONDS = protocol.HEAD_SECONDS = 1.5")
    yield made
    made.close()


@pytest.fixture
def clients(web: Installation) -> Iterator["Clients"]:
    with ExitStack() as stack:
        yield Clients(web, stack)
    Listening.close_all()


@pytest.fixture
def slow_clients(impatient_web: Installation) -> Iterator["Clients"]:
    with ExitStack() as stack:
        yield Clients(impatient_web, stack)


class Clients:
    """Plain sockets to the server, closed at the end."""

    def __init__(self, web: Installation, stack: ExitStack) -> None:
        self.web = web
        self.stack = stack

    def ask(self, head: str, *, rest: bytes = b"") -> socket.socket:
        """A new connection on which this has been sent; `head` without its Host and its last line."""
        client = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.web.port), timeout=60))
        first, _, more = head.partition("\r\n")
        client.sendall(f"{first}\r\nHost: 127.0.0.1:{self.web.port}\r\n{more}\r\n".encode() + rest)
        return client


def answer(client: socket.socket, seconds: float = 30) -> bytes:
    """What comes until the server closes, or for so long."""
    deadline, said = time.monotonic() + seconds, b""
    with contextlib.suppress(ConnectionResetError):
        while (left := deadline - time.monotonic()) > 0 and readable([client], left):
            if not (data := client.recv(65536)):
                break
            said += data
    return said


def is_closed(client: socket.socket, seconds: float) -> bool:
    """Does the server hang up within so long, whatever it still says before?"""
    deadline = time.monotonic() + seconds
    try:
        while (left := deadline - time.monotonic()) > 0:
            if readable([client], left) and not client.recv(65536):
                return True
    except ConnectionResetError:
        return True
    return False


def test_slow_readers_of_large_answers_do_not_keep_others_from_theirs(web: Installation, clients: Clients) -> None:
    for _ in range(40):
        clients.ask("GET /big?size=3 HTTP/1.1\r\n")
    time.sleep(0.5)
    status, headers, body = web.request("GET", "/big?size=3")
    assert (status, len(body), headers["content-length"]) == (200, 3 * MB, str(3 * MB))
    assert json.loads(web.request("GET", "/tell")[2])["threads"] <= 10, "none of them holds a thread"


def test_a_slow_reader_gets_its_large_answer_whole(clients: Clients) -> None:
    client = clients.ask("GET /big?size=5 HTTP/1.1\r\nConnection: close\r\n")
    time.sleep(0.5)
    assert answer(client).partition(b"\r\n\r\n")[2] == b"0123456789abcdef" * 65536 * 5


def test_one_who_streams_slowly_gets_four_threads_at_most(web: Installation, clients: Clients) -> None:
    slow = [clients.ask("GET /stream?size=50 HTTP/1.1\r\n") for _ in range(4)]
    assert all(client.recv(100).startswith(b"HTTP/1.1 200") for client in slow)
    status, headers, _ = web.request("GET", "/stream?size=50")
    assert (status, headers["retry-after"]) == (503, "1")
    assert web.request("GET", "/big?size=1")[0] == 200
    for client in slow:
        client.close()
    deadline = time.monotonic() + 30
    while web.request("GET", "/stream?size=1")[0] != 200:
        assert time.monotonic() < deadline, "the threads come back"
        time.sleep(0.1)


def test_slow_readers_of_files_do_not_keep_others_from_theirs(web: Installation, clients: Clients) -> None:
    for _ in range(40):
        clients.ask("GET /file?size=5 HTTP/1.1\r\n")
    assert len(web.request("GET", "/file?size=5")[2]) == 5 * MB


def test_a_stranger_may_not_send_much(web: Installation, clients: Clients) -> None:
    assert web.request("POST", "/echo", b"x" * (MB - 1))[0] == 200
    said = answer(clients.ask(f"POST /api/v1/x HTTP/1.1\r\nContent-Length: {2 * MB}\r\n"), 30)
    assert said.startswith(b"HTTP/1.1 413")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["message"].startswith("Log in, or send a key")


def test_who_sends_too_much_in_one_go_still_reads_why(web: Installation) -> None:
    for _ in range(20):
        assert web.request("POST", "/echo", b"x" * (9 * MB), {"Authorization": "x"})[0] == 413


def test_a_stranger_may_not_send_much_in_chunks(clients: Clients) -> None:
    client = clients.ask("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n")
    for _ in range(17):
        client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert answer(client, 30).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("shown", ["Cookie: a=1; sessionid=x", "Authorization: Bearer x", "X-API-Key: x"])
def test_who_shows_a_session_or_a_key_may_send_much(clients: Clients, shown: str) -> None:
    client = clients.ask(f"POST /echo HTTP/1.1\r\nConnection: close\r\n{shown}\r\nContent-Length: {2 * MB}\r\n", rest=b"x" * 2 * MB)
    assert answer(client).startswith(b"HTTP/1.1 200")


def test_bodies_under_way_share_a_room_and_give_it_back(web: Installation, clients: Clients) -> None:
    head = f"POST /echo HTTP/1.1\r\nAuthorization: x\r\nContent-Length: {7 * MB}\r\n"
    waiting = [clients.ask(head, rest=b"x" * (7 * MB - 1)) for _ in range(3)]
    refused = readable(waiting, 30)
    assert len(refused) == 1, "two have room, whichever come first"
    said = answer(refused[0])
    assert said.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 10" in said
    assert web.request("POST", "/echo", b"x" * 1000)[0] == 200, "small ones need none of it"
    for client in waiting:
        client.close()
    whole, deadline = {"Authorization": "x"}, time.monotonic() + 30
    while web.request("POST", "/echo", b"x" * 7 * MB, whole)[0] != 200:
        assert time.monotonic() < deadline, "the room comes back"
        time.sleep(0.1)


def test_a_body_of_which_nothing_more_comes_ends(slow_clients: Clients) -> None:
    client = slow_clients.ask("POST /echo HTTP/1.1\r\nContent-Length: 100\r\n", rest=b"abc")
    said = answer(client, 30)
    assert said.startswith(b"HTTP/1.1 408")
    assert is_closed(client, 30)


def test_a_slow_body_that_still_comes_is_taken(slow_clients: Clients) -> None:
    client = slow_clients.ask("POST /echo HTTP/1.1\r\nConnection: close\r\nContent-Length: 8\r\n")
    for _ in range(8):
        time.sleep(0.3)
        client.sendall(b"x")
    assert answer(client).startswith(b"HTTP/1.1 200"), "longer than it waits for silence, never silent for so long"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /tell HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "line", "headers"])
def test_a_connection_without_a_whole_request_is_closed(impatient_web: Installation, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient_web.port), timeout=60) as client:
        client.sendall(sent)
        began = time.monotonic()
        while not is_closed(client, 0.2) and time.monotonic() - began < 60:
            with contextlib.suppress(OSError):
                client.sendall(b"a" if sent else b"")
        assert 0.5 < time.monotonic() - began < 60


def test_a_second_request_that_is_never_whole_closes_its_connection(slow_clients: Clients) -> None:
    client = slow_clients.ask("GET /tell HTTP/1.1\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 200")
    client.sendall(b"GET /tell HTTP/1.1\r\nX-Slow: ")
    assert is_closed(client, 30)


def test_an_answer_that_takes_long_is_waited_for(slow_clients: Clients) -> None:
    client = slow_clients.ask("GET /slow?seconds=3 HTTP/1.1\r\nConnection: close\r\n")
    assert answer(client).endswith(b"done")


def test_two_lengths_of_one_body_are_refused(clients: Clients) -> None:
    smuggled = b"0\r\n\r\nGET /tell HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST /api/v1/x HTTP/1.1\r\nContent-Length: {len(smuggled)}\r\nTransfer-Encoding: chunked\r\n"
    said = answer(clients.ask(head, rest=smuggled), 30)
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1, "and nothing behind it is read"
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid"


def test_one_person_has_so_many_streams(web: Installation, clients: Clients) -> None:
    streams = [web.live("run") for _ in range(3)]
    assert [stream.status for stream in streams] == [200] * 3
    refused = web.api("/api/v1/events")
    assert refused.status == 429
    assert json.loads(refused.socket.recv(65536) if not refused.buffer else refused.buffer)["error"]["code"] == "throttled"
    assert web.live("run", who="runner").status == 200
    streams[0].close()
    deadline = time.monotonic() + 30
    while web.live("run").status != 200:
        assert time.monotonic() < deadline, "a stream that ends makes room"
        time.sleep(0.1)
