"""The web server with real sockets: what Django gets of a request, what the client gets of an answer, how it starts and ends."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installation import ROOT, Installation

pytestmark = pytest.mark.once

PRELUDE = """
from django.conf import settings
settings.ROOT_URLCONF = "tests.web_urls"
settings.MAX_BODY_BYTES = 4 * 1024 * 1024
"""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation(PRELUDE)
    yield made
    made.close()


@pytest.fixture
def web(installation: Installation) -> Installation:
    """With a server that runs; a test may end it."""
    if installation.web.poll() is not None:
        installation.start_web()
    return installation


def echoed(answer: tuple[int, dict[str, str], bytes]) -> dict[str, Any]:
    assert answer[0] == 200, answer
    return dict(json.loads(answer[2]))


def raw(web: Installation, request: bytes, quiet: float = 30) -> bytes:
    """Everything the server says to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=quiet) as client, contextlib.suppress(TimeoutError):
        client.sendall(request)
        said = b""
        while data := client.recv(65536):
            said += data
    return said


def test_a_request_reaches_django_as_it_was_sent(web: Installation) -> None:
    seen = echoed(web.request("PUT", "/echo/caf%C3%A9%20x?a=1&a=%C3%BC", b"hello", {"Content-Type": "text/x", "X-Custom": "1"}))
    assert seen["path"] == "/echo/café x"
    assert seen["query"] == {"a": ["1", "ü"]}
    assert seen["length"] == 5
    meta = seen["meta"]
    assert (meta["REQUEST_METHOD"], meta["CONTENT_TYPE"], meta["CONTENT_LENGTH"], meta["HTTP_X_CUSTOM"]) == ("PUT", "text/x", "5", "1")
    assert (meta["REMOTE_ADDR"], meta["SERVER_PORT"], meta["SERVER_PROTOCOL"]) == ("127.0.0.1", str(web.port), "HTTP/1.1")


def test_a_client_cannot_pass_itself_off_as_the_proxy(web: Installation) -> None:
    seen = echoed(web.request("GET", "/echo", headers={"X_Forwarded_Proto": "https", "X-Forwarded-For": "10.9.9.9", "Proxy_X": "1"}))
    assert seen["meta"]["REMOTE_ADDR"] == "127.0.0.1"
    assert "HTTP_X_FORWARDED_PROTO" not in seen["meta"]


def test_repeated_headers_are_joined(web: Installation) -> None:
    head = f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nConnection: close\r\n"
    said = raw(web, f"{head}X-Two: a\r\nX-Two: b\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n".encode())
    meta = json.loads(said.split(b"\r\n\r\n", 1)[1])["meta"]
    assert (meta["HTTP_X_TWO"], meta["HTTP_COOKIE"]) == ("a,b", "a=1; b=2")


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_a_body_arrives_whole(web: Installation, size: int) -> None:
    body = os.urandom(size)
    seen = echoed(web.request("POST", "/echo", body, {"Cookie": "sessionid=x"}))
    assert (seen["length"], seen["sha256"]) == (size, hashlib.sha256(body).hexdigest())


def test_a_body_in_chunks_arrives_with_its_length(web: Installation) -> None:
    seen = echoed(web.request("POST", "/echo", iter([b"abc", b"d" * 70_000])))
    assert seen["length"] == 70_003
    assert seen["meta"]["CONTENT_LENGTH"] == "70003"
    assert "HTTP_TRANSFER_ENCODING" not in seen["meta"]


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_read(web: Installation) -> None:
    head = f"POST /api/v1/x HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nContent-Length: 99999999\r\n\r\n"
    said = raw(web, head.encode())
    assert said.startswith(b"HTTP/1.1 413")
    assert json.loads(said.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "too_large"


def test_a_body_that_grows_too_large_is_refused(web: Installation) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        head = f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nAuthorization: x\r\n"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(64):
            client.sendall(block)
        client.sendall(block)
        assert client.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "head",
    ["Content-Length: -5", "Content-Length: 5, 6", "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: gzip", "Bad Header: x"],
)
def test_a_malformed_request_is_refused_and_the_server_goes_on(web: Installation, head: str) -> None:
    said = raw(web, f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n{head}\r\n\r\nhello".encode())
    assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert web.request("GET", "/echo")[0] == 200


def test_a_client_that_leaves_in_its_body_bothers_no_view(web: Installation) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nContent-Length: 100\r\n\r\nabc".encode())
    assert web.request("GET", "/echo")[0] == 200


def test_head_has_the_headers_of_get_and_no_body(web: Installation) -> None:
    _, headers, body = web.request("HEAD", "/file?size=1")
    assert (headers["content-length"], body) == (str(1024 * 1024), b"")
    host = f"Host: 127.0.0.1:{web.port}\r\n"
    said = raw(web, f"HEAD /echo HTTP/1.1\r\n{host}\r\nGET /tell HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
    assert said.count(b"HTTP/1.1 200") == 2, "the second answer begins where the first one's headers end"


def test_a_204_has_no_body_and_keeps_the_connection(web: Installation) -> None:
    host = f"Host: 127.0.0.1:{web.port}\r\n"
    said = raw(web, f"GET /nothing HTTP/1.1\r\n{host}\r\nGET /tell HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 204")
    assert b"HTTP/1.1 200" in said


def test_a_large_stream_arrives_whole(web: Installation) -> None:
    status, headers, body = web.request("GET", "/stream?size=20")
    assert (status, len(body)) == (200, 20 * 1024 * 1024)
    assert headers["transfer-encoding"] == "chunked"


def test_a_large_file_arrives_whole(web: Installation) -> None:
    _, headers, body = web.request("GET", "/file?size=8")
    assert headers["content-length"] == str(len(body)) == str(8 * 1024 * 1024)
    assert body == b"0123456789abcdef" * 65536 * 8


def test_a_file_that_grew_is_cut_at_its_length_and_the_connection_goes_on(web: Installation) -> None:
    host = f"Host: 127.0.0.1:{web.port}\r\n"
    said = raw(web, f"GET /grown HTTP/1.1\r\n{host}\r\nGET /tell HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
    head, rest = said.split(b"\r\n\r\n", 1)
    assert b"content-length: 100000" in head.lower()
    assert rest[100_000:].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/shrunk", "/broken"])
def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(web: Installation, path: str) -> None:
    said = raw(web, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode())
    head, body = said.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) >= 100_000
    assert b"content-length: 200000" in head.lower() or not body.endswith(b"0\r\n\r\n"), "less than announced, or no last chunk"
    assert web.request("GET", "/tell")[0] == 200


def test_a_client_that_leaves_ends_the_view_that_streams_to_it(web: Installation) -> None:
    client = socket.create_connection(("127.0.0.1", web.port), timeout=60)
    client.sendall(f"GET /stream?size=4000&name=left HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode())
    client.recv(65536)
    client.close()
    assert _soon(lambda: "left" in echoed(web.request("GET", "/tell"))["closed"])


def test_slow_readers_of_streams_and_files_do_not_hold_up_pages(web: Installation) -> None:
    paths = ["/stream?size=50", "/file?size=50"] * 6
    clients = [socket.create_connection(("127.0.0.1", web.port), timeout=60) for _ in paths]
    for client, path in zip(clients, paths, strict=True):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode())
    # None of the clients reads: what they held up would never be answered.
    for _ in range(5):
        assert web.request("GET", "/echo")[0] == 200
    for client in clients:
        client.close()
    # Lent threads end with their clients: four serve, and a few belong to the outbox.
    assert _soon(lambda: echoed(web.request("GET", "/tell"))["threads"] <= 8)


def test_more_than_a_hundred_waiting_requests_are_told_to_come_back(web: Installation) -> None:
    answers: list[tuple[int, dict[str, str], bytes]] = []
    asking = [threading.Thread(target=lambda: answers.append(web.request("GET", "/slow?seconds=0.3"))) for _ in range(130)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    refused = [headers for status, headers, _ in answers if status == 503]
    assert 0 < len(refused) <= 30
    assert all(headers["retry-after"] == "1" for headers in refused)
    assert sum(status == 200 for status, _, _ in answers) == 130 - len(refused)


def test_answers_under_way_are_finished_at_the_end(web: Installation) -> None:
    answers: list[tuple[int, dict[str, str], bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(web.request("GET", "/slow?seconds=2")))
    asking.start()
    time.sleep(1)
    status, _, _ = web.end_web()
    asking.join()
    assert status == 0
    assert answers[0][2] == b"done"


def test_a_client_that_reads_nothing_does_not_hold_up_the_end(web: Installation) -> None:
    clients = [socket.create_connection(("127.0.0.1", web.port), timeout=60) for _ in range(3)]
    for client, path in zip(clients, ("/stream?size=50", "/file?size=50", "/file?size=50"), strict=True):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode())
    time.sleep(0.5)
    status, _, _ = web.end_web()
    assert status == 0
    for client in clients:
        client.close()


def test_ctrl_c_ends_it_in_order_too(web: Installation) -> None:
    web.web.send_signal(signal.SIGINT)
    _, errors = web.web.communicate(timeout=60)
    assert (web.web.returncode, errors) == (0, b"")


def test_a_small_answer_does_not_wait_for_an_acknowledgement(web: Installation) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    took = []
    for _ in range(50):
        began = time.monotonic()
        connection.request("GET", "/tell")
        connection.getresponse().read()
        took.append(time.monotonic() - began)
    connection.close()
    assert min(took[5:]) < 0.035, "the kernel waits 40 ms with an acknowledgement"


def test_a_taken_port_is_told_in_one_line(web: Installation) -> None:
    command = [sys.executable, "manage.py", "web", "--port", str(web.port)]
    ended = subprocess.run(command, cwd=ROOT, env=web.env, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert ended.stderr.count("\n") == 1
    assert f"Port {web.port} of 127.0.0.1 is taken" in ended.stderr


def test_an_unknown_host_is_told_in_one_line(web: Installation) -> None:
    command = [sys.executable, "manage.py", "web", "--host", "no.such.host.invalid", "--port", "0"]
    ended = subprocess.run(command, cwd=ROOT, env=web.env, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert ended.stderr.count("\n") == 1


def test_a_database_without_tables_is_told_in_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "PYSCHED_DATA_PATH": str(tmp_path), "PYSCHED_DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
    command = [sys.executable, "manage.py", "web", "--port", "0"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert ended.stderr.count("\n") == 1
    assert "migrate" in ended.stderr


def test_a_signal_while_it_starts_ends_it(web: Installation) -> None:
    command = [sys.executable, "manage.py", "web", "--port", "0"]
    for pause in (0.8, 1.0, 1.2, 1.4):
        with subprocess.Popen(command, cwd=ROOT, env=web.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            time.sleep(pause)
            child.send_signal(signal.SIGTERM)
            _, errors = child.communicate(timeout=60)
            assert child.returncode in (0, -signal.SIGTERM), "by itself, or before it took signals"
            assert errors == b""


def test_the_command_serves_and_says_where(web: Installation) -> None:
    command = [sys.executable, "manage.py", "web", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=web.env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        address = child.stdout.readline().split()[-1]
        with socket.create_connection(("127.0.0.1", int(address.strip("/").rsplit(":", 1)[1])), timeout=60) as client:
            client.sendall(b"GET /api/v1/events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 401")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def _soon(condition: Any, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
