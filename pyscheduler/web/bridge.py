"""Django's WSGI handler behind ASGI: five times less work per small page than Django's own ASGI handler.

A request's body is taken in whole before a thread is bothered with it, and an answer of ordinary size leaves the
thread in one piece; larger ones are sent as fast as the client takes them.
"""

import asyncio
import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from pyscheduler.web.answers import Headers, Receive, Scope, Send, refuse
from pyscheduler.web.environ import FileBody, environ_of
from pyscheduler.web.pool import Busy, Pool

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

IN_MEMORY = 1024 * 1024
ONE_PIECE = 64 * 1024


class Gone(Exception):
    """The client has hung up."""


class TooMuch(Exception):
    """The request's body is larger than any that is taken here."""


@dataclass(slots=True)
class Answer:
    """What the application answered; `rest` is what of a file's body is still to be read."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    rest: FileBody | None = None
    is_bodiless: bool = False
    is_sent: bool = False

    def set(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """WSGI's `start_response`."""
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self.is_bodiless = self.is_bodiless or self.status in (204, 304)
        return _no_write

    @property
    def length(self) -> int | None:
        """What Content-Length promises."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), None)

    def declare_length(self) -> None:
        """So that the connection can serve the next request without chunks."""
        if self.length is None:
            self.headers.append((b"content-length", str(len(self.body)).encode()))


class Bridge:
    """An ASGI application that is a WSGI one, in the pool's threads."""

    def __init__(self, application: Application, pool: Pool, most_body_bytes: int) -> None:
        self.application = application
        self.pool = pool
        self.most_body_bytes = most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body, length = await self._take_body(scope, receive)
        except Gone:
            return
        except TooMuch:
            limit = self.most_body_bytes // 1024 // 1024
            # What is still on its way is not read: the connection cannot serve another request.
            await refuse(scope, send, 413, f"This is larger than the {limit} MB that are taken here.", {"Connection": "close"})
            return
        exchange = Exchange(receive, send)
        with body:
            try:
                answer = await self.pool.run(lambda: self._call(environ_of(scope, body, length), exchange))
            except Busy:
                await refuse(scope, send, 503, "The server has more to do than it can; try again in a moment.", {"Retry-After": "1"})
                return
        if not answer.is_sent:
            await self._send(answer, exchange)

    async def _take_body(self, scope: Scope, receive: Receive) -> tuple[IO[bytes], int]:
        """The whole body, on disk when it is large, and its length."""
        headers = dict(scope["headers"])
        declared = int(headers.get(b"content-length", b"0"))
        if not declared and b"transfer-encoding" not in headers:
            return io.BytesIO(), 0
        if declared > self.most_body_bytes:
            raise TooMuch
        body = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by the caller, or here
        try:
            length = await self._spool(receive, body)
        except BaseException:
            body.close()
            raise
        body.seek(0)
        return body, length

    async def _spool(self, receive: Receive, body: "tempfile.SpooledTemporaryFile[bytes]") -> int:
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            length += len(message["body"])
            if length > self.most_body_bytes:
                raise TooMuch
            body.write(message["body"])
            if not message["more_body"]:
                return length

    def _call(self, environ: dict[str, Any], exchange: "Exchange") -> Answer:
        """In a thread of the pool: the answer, whole or as far as it can be had without waiting for the client."""
        answer = Answer(is_bodiless=environ["REQUEST_METHOD"] == "HEAD")
        result = self.application(environ, answer.set)
        handed_over = False
        try:
            if answer.is_bodiless:
                return answer
            blocks = iter(result)
            answer.body, is_whole = _first_piece(blocks)
            if is_whole:
                answer.declare_length()
            elif isinstance(result, FileBody):
                answer.rest, handed_over = result, True
            else:
                self.pool.lend()
                exchange.stream(answer, blocks)
            return answer
        finally:
            if not handed_over and hasattr(result, "close"):
                result.close()

    async def _send(self, answer: Answer, exchange: "Exchange") -> None:
        sender = Sender(exchange.send, answer)
        await sender.start()
        if answer.rest is None:
            await sender.finish(answer.body)
            return
        file = answer.rest
        exchange.watch()
        try:
            await sender.body(answer.body)
            while not (sender.is_full or exchange.is_gone) and (block := await self.pool.run(lambda: next(file, b""))):
                await sender.body(block)
        finally:
            exchange.unwatch()
            await self._close(file)
        if not exchange.is_gone:
            await sender.finish()

    async def _close(self, body: FileBody) -> None:
        # Closing ends the request for Django, which then looks after the thread's database connection.
        try:
            await self.pool.run(body.close)
        except Busy:
            body.close()


class Sender:
    """Sends an answer that keeps to its own Content-Length: a file may have grown, or shrunk, since it was measured."""

    def __init__(self, send: Send, answer: Answer) -> None:
        self._send = send
        self._answer = answer
        self._left = answer.length

    @property
    def is_full(self) -> bool:
        return self._left == 0

    async def start(self) -> None:
        await self._send({"type": "http.response.start", "status": self._answer.status, "headers": self._answer.headers})

    async def body(self, block: bytes, *, more: bool = True) -> None:
        if self._left is not None:
            block = block[: self._left]
            self._left -= len(block)
        if block or not more:
            await self._send({"type": "http.response.body", "body": block, "more_body": more})

    async def finish(self, block: bytes = b"") -> None:
        """The last block. OSError when less came than was promised: the connection is cut, so that the client knows."""
        if self._left is not None and len(block) < self._left and not self._answer.is_bodiless:
            raise OSError(f"The answer ends {self._left - len(block)} bytes before its Content-Length.")
        await self.body(block, more=False)


class Exchange:
    """A client during a long answer: does it still listen? `stream` is for the thread, the rest for the event loop."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.send = send
        self.is_gone = False
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Without it nobody would notice that the client has gone: what is sent to it simply vanishes."""
        self._watch = asyncio.create_task(self._wait_for_end())

    def unwatch(self) -> None:
        if self._watch:
            self._watch.cancel()

    def stream(self, answer: Answer, blocks: Iterator[bytes]) -> None:
        """Send block by block; the thread waits while the client is slow, and stops when it is gone."""
        sender = Sender(self.send, answer)
        self._loop.call_soon_threadsafe(self.watch)
        answer.is_sent = True
        try:
            self._do(sender.start())
            for block in itertools.chain((answer.body,), blocks):
                self._do(sender.body(block))
                if self.is_gone:
                    return
            self._do(sender.finish())
        finally:
            with contextlib.suppress(RuntimeError):  # The loop has ended before the client did.
                self._loop.call_soon_threadsafe(self.unwatch)

    def _do(self, sending: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(sending, self._loop).result()

    async def _wait_for_end(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True


def _first_piece(blocks: Iterator[bytes]) -> tuple[bytes, bool]:
    """Up to `ONE_PIECE` bytes or a little more, and whether that was all."""
    parts, length = [], 0
    for block in blocks:
        parts.append(block)
        length += len(block)
        if length > ONE_PIECE:
            return b"".join(parts), False
    return b"".join(parts), True


def _no_write(_data: bytes) -> None:
    raise NotImplementedError("WSGI's write() is for applications older than PEP 333; Django returns its body.")
