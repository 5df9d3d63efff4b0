"""From an ASGI scope to the environ of a WSGI application (PEP 3333)."""

import sys
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from pyscheduler.web.answers import Scope

# Each block is a trip to a thread and back; Django would make one of every four kilobytes.
LEAST_BLOCK = 64 * 1024


class FileBody:
    """`wsgi.file_wrapper`: a body that is read from a file, and needs no thread while a slow client takes it."""

    def __init__(self, file: IO[bytes], block_size: int = 0) -> None:
        self.file = file
        self.block_size = max(block_size, LEAST_BLOCK)

    def __iter__(self) -> "FileBody":
        return self

    def __next__(self) -> bytes:
        if block := self.file.read(self.block_size):
            return block
        raise StopIteration

    def close(self) -> None:
        if hasattr(self.file, "close"):
            self.file.close()


def environ_of(scope: Scope, body: IO[bytes], length: int) -> dict[str, Any]:
    """`body` is the whole body, wound back, of `length` bytes."""
    server, port = (scope.get("server") or ("localhost", None))[:2]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        # WSGI wants the path's bytes as Latin-1 characters; the scope's own text has lost those that are no UTF-8.
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileBody,
    }
    environ |= _headers(scope["headers"])
    environ["CONTENT_LENGTH"] = str(length) if length else environ.get("CONTENT_LENGTH", "")
    return environ


def _headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Repeated ones joined (RFC 9110, 5.3; cookies by RFC 6265, 5.4).

    A name with an underscore would become the same variable as one with a hyphen, so that a client could pass off its
    own `X_Forwarded_Proto` as the proxy's: such are dropped. The body is unpacked already: so is Transfer-Encoding.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        if b"_" in raw_name or raw_name == b"transfer-encoding":
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        if name in found:
            value = f"{found[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        found[name] = value
    return found
