"""The web server: one process, one event loop for sockets and streams, a few threads for Django's views."""

import asyncio
import errno
import resource
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings

from events.stream import Switchboard
from pyscheduler.web.answers import Receive, Scope, Send, refuse
from pyscheduler.web.bridge import Bridge
from pyscheduler.web.live import Live, is_stream
from pyscheduler.web.pool import Pool
from pyscheduler.web.protocol import Protocol
from pyscheduler.web.wsgi import application

GRACE_SECONDS = 5
CUT_OFF_SECONDS = 0.3
# A client that takes nothing for so long is given up by the kernel (tcp(7), TCP_USER_TIMEOUT; milliseconds).
DEAD_PEER_MS = 120_000
OPEN_FILES = 65_536


class CannotListen(OSError):
    """The address cannot be listened on. As text: why, and what to do."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(error.errno, error.strerror)
        self.host, self.port = host, port

    def __str__(self) -> str:
        if self.errno == errno.EADDRINUSE:
            return f"Port {self.port} of {self.host} is taken by another program; stop it, or choose another with --port or PYSCHED_PORT."
        if self.errno == errno.EACCES:
            return f"Port {self.port} needs the rights of root; choose one above 1023 with --port or PYSCHED_PORT."
        return f"{self.host} port {self.port} cannot be listened on ({self.strerror}); choose another with --host or PYSCHED_HOST."


def bind(host: str, port: int) -> socket.socket:
    """A socket for `serve`, which queues connections from now on; CannotListen when there is none to be had.

    Port 0 takes a free one.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.create_server((str(address[0]), int(address[1])), family=family, backlog=1024)
    except OSError as error:
        raise CannotListen(host, port, error) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Connections inherit it. asyncio would not set it for them: it does so by a protocol number that they do not have,
    # and each answer in two parts would wait 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(listener: socket.socket, on_ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then end in order: streams at once, answers under way within five seconds.

    `listener` is one from `bind`. `on_ready` is called, in the event loop, as soon as requests are answered.
    For the main thread of a process.
    """
    _allow_many_connections()
    Server(on_ready).run(sockets=[listener])


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Front:
    """The ASGI application: streams to their own handler, everything else to Django."""

    def __init__(self, live: Live, bridge: Bridge) -> None:
        self.live = live
        self.bridge = bridge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = {name for name, _ in scope["headers"]}
        if b"content-length" in named and b"transfer-encoding" in named:
            # Who believes which of the two is how one request is smuggled inside another (RFC 9112, 6.1).
            await refuse(scope, send, 400, "The request gives the length of its body in two ways.", {"Connection": "close"})
            return
        handler = self.live if is_stream(scope["path"]) else self.bridge
        await handler(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn with an end that does not wait for streams, and without a tick ten times a second."""

    def __init__(self, on_ready: Callable[[], None] | None) -> None:
        self._on_ready = on_ready
        self._pool = Pool()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            uvicorn.Config(
                self._front,
                loop="asyncio",
                http=Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                # Who is not behind a proxy must not take a client's word for its address.
                proxy_headers=settings.BEHIND_TLS,
                backlog=1024,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    async def _front(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(scope, receive, send)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._leaving = asyncio.Event()
        self._board = Switchboard()
        self._loop = asyncio.get_running_loop()
        await self._board.start()
        self._handler = Front(Live(self._board, self._pool), Bridge(application, self._pool, settings.MAX_BODY_BYTES))
        await super().startup(sockets)
        if self._on_ready:
            self._on_ready()

    async def main_loop(self) -> None:
        seconds = 0
        while not await self.on_tick(seconds * 10):  # uvicorn renews the Date header at each tenth of its ticks.
            seconds += 1
            try:
                async with asyncio.timeout(1):
                    await self._leaving.wait()
            except TimeoutError:
                continue

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not noted for uvicorn to raise again: whoever called `serve` goes on when it returns.
        self.should_exit = True
        if self._loop:  # Else it is still starting, and will end instead of serving.
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self._leaving.set()
        self._board.hub.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cutter = asyncio.create_task(self._cut_off())
        await super().shutdown(sockets)
        cutter.cancel()
        self._pool.close()
        await self._board.close()

    async def _cut_off(self) -> None:
        """A client that reads nothing would hold up the end: the last bytes for it find no way out."""
        while True:
            await asyncio.sleep(CUT_OFF_SECONDS)
            for connection in list(self.server_state.connections):
                scope: Any = getattr(connection, "scope", None)
                if connection.transport.is_closing() or (scope and is_stream(scope["path"])):
                    connection.transport.abort()
