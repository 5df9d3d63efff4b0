"""Django's WSGI handler behind ASGI: five times less work per small page than Django's own ASGI handler.

A request's body is taken in whole before a thread is bothered with it, and an answer of ordinary size leaves the
thread in one piece; larger ones are sent as fast as the client takes them.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyscheduler.web.answers import Headers, Receive, Scope, Send, refuse
from pyscheduler.web.environ import FileBody, environ_of
from pyscheduler.web.intake import Gone, Intake, Refused
from pyscheduler.web.pool import Busy, Pool

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ONE_PIECE = 64 * 1024
FILE_READERS = 2


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
        self.intake = Intake(most_body_bytes)
        # Files are read apart: many that are downloaded at once leave the pool, and the queue before it, to the pages.
        self.readers = ThreadPoolExecutor(FILE_READERS, thread_name_prefix="file")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self.intake.take(scope, receive)
        except Gone:
            return
        except Refused as refused:
            await refuse(scope, send, refused.status, refused.message, refused.headers, unread=receive)
            return
        exchange = Exchange(receive, send)
        with body:
            try:
                answer = await self.pool.run(lambda: self._call(environ_of(scope, body.file, body.length), exchange))
            except Busy:
                await refuse(scope, send, 503, "The server is overloaded; try again in a moment.", {"Retry-After": "1"})
                return
        if not answer.is_sent:
            await self._send(answer, exchange)

    def _call(self, environ: dict[str, Any], exchange: "Exchange") -> Answer:
        """In a thread of the pool: the answer, whole or as far as it can be had without waiting for the client."""
        answer = Answer(is_bodiless=environ["REQUEST_METHOD"] == "HEAD")
        result = self.application(environ, answer.set)
        handed_over = False
        try:
            if answer.is_bodiless:
                return answer
            blocks = iter(result)
            # Django has the whole of an ordinary answer in memory already: sending it takes no thread, however slow the client.
            answer.body, is_whole = _first_piece(blocks) if _is_made_while_sent(result) else (b"".join(blocks), True)
            if is_whole:
                answer.declare_length()
            elif isinstance(result, FileBody):
                answer.rest, handed_over = result, True
            else:
                self.pool.lend(getattr(result, "person", environ["REMOTE_ADDR"]))
                exchange.stream(answer, blocks)
            return answer
        finally:
            if not handed_over and hasattr(result, "close"):
                result.close()

    async def _send(self, answer: Answer, exchange: "Exchange") -> None:
        sender = Sender(exchange.send, answer)
        await sender.start()
        if answer.rest is None:
            await sender.whole(answer.body)
            return
        file = answer.rest
        read = partial(asyncio.get_running_loop().run_in_executor, self.readers, next, file, b"")
        exchange.watch()
        try:
            await sender.body(answer.body)
            while not (sender.is_full or exchange.is_gone) and (block := await read()):
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

    async def whole(self, body: bytes) -> None:
        """All of it, piece by piece, as fast as the client takes them."""
        last = max(0, len(body) - 1) // ONE_PIECE * ONE_PIECE
        for start in range(0, last, ONE_PIECE):
            await self.body(body[start : start + ONE_PIECE])
        await self.finish(body[last:])

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


def _is_made_while_sent(result: Iterable[bytes]) -> bool:
    return bool(getattr(result, "streaming", True))


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
