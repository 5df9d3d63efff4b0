"""Taking in a request's body: whole, before a thread is bothered with it, and bounded for each sender and for all together."""

import asyncio
import io
import tempfile
from collections.abc import Mapping
from typing import IO

from django.conf import settings

from core.text import size_words
from pyscheduler.web.answers import Receive, Scope

IN_MEMORY = 256 * 1024
# Of somebody who does not even claim to be known: a log-in is small.
MOST_OF_UNKNOWN = 1024 * 1024
# What all bodies together may take on the disk, in bodies of the largest size.
MOST_ON_DISK = 2
IDLE_SECONDS = 30.0


class Gone(Exception):
    """The client has hung up."""


class Refused(Exception):
    """The body is not taken. What is still on its way is not read: the connection cannot serve another request."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"Connection": "close", **{name.replace("_", "-"): value for name, value in headers.items()}}


class Intake:
    """Where bodies come in. `most_bytes` is the largest that is taken."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.on_disk = 0

    async def take(self, scope: Scope, receive: Receive) -> "Body":
        """The whole body, for the caller to close; Refused, or Gone."""
        headers = dict(scope["headers"])
        declared = int(headers.get(b"content-length", b"0"))
        body = Body(self, _shows_who(headers))
        if declared or b"transfer-encoding" in headers:
            body.check(declared)
            try:
                await self._fill(body, receive)
            except BaseException:
                body.close()
                raise
        return body

    async def _fill(self, body: "Body", receive: Receive) -> None:
        body.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - `Body.close` does
        more = True
        while more:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise Refused(408, "Nothing more came of the request.") from None
            if message["type"] == "http.disconnect":
                raise Gone
            body.add(message["body"])
            more = message["more_body"]
        body.file.seek(0)


class Body:
    """A body of `length` bytes, on disk when it is large."""

    def __init__(self, intake: Intake, is_known: bool) -> None:
        self.file: IO[bytes] = io.BytesIO()
        self.length = 0
        self._intake = intake
        self._is_known = is_known
        self._on_disk = 0

    def add(self, block: bytes) -> None:
        self.check(self.length + len(block))
        self.length += len(block)
        more = max(0, self.length - IN_MEMORY) - self._on_disk
        if self._intake.on_disk + more > MOST_ON_DISK * self._intake.most_bytes:
            raise Refused(503, "Too much is being uploaded at once; try again in a moment.", Retry_After="10")
        self._intake.on_disk += more
        self._on_disk += more
        self.file.write(block)

    def check(self, length: int) -> None:
        """Returns if a body of so many bytes is taken."""
        if length > self._intake.most_bytes:
            raise Refused(413, f"This is larger than the limit of {size_words(self._intake.most_bytes)}.")
        if length > MOST_OF_UNKNOWN and not self._is_known:
            raise Refused(413, "Log in, or send a key, before you send so much.")

    def close(self) -> None:
        self.file.close()
        self._intake.on_disk -= self._on_disk
        self._on_disk = 0

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shows_who(headers: Mapping[bytes, bytes]) -> bool:
    """Is there a session's cookie or a key? Whether it is good is asked by those who can."""
    cookie = f"{settings.SESSION_COOKIE_NAME}=".encode()
    return b"authorization" in headers or b"x-api-key" in headers or cookie in headers.get(b"cookie", b"")
