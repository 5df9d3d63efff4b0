"""From the outbox to the streams: woken by the doorbell, on PostgreSQL by LISTEN too, and by a rare look of its own."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from django.db import DatabaseError, close_old_connections, connection, connections

from core import layout
from core.doorbell import Listener
from events.hub import Hub
from events.outbox import Outbox, Replay
from events.services import CHANNEL, WEB_BELL

logger = logging.getLogger(__name__)

# A bell can be lost; SQLite's look costs microseconds, PostgreSQL's a query.
LOOK_SECONDS = {"sqlite": 1.0}
LOOK_SECONDS_ELSEWHERE = 5.0
RECONNECT_SECONDS = 1.0
MERGE_SECONDS = 0.015


class Bus:
    """Reads the outbox in one thread of its own, so that no slow view or busy database holds up the event loop."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.outbox = Outbox()
        self._loop = asyncio.get_running_loop()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._bell = Listener(layout.bells(), WEB_BELL)
        self._ears: Ears | None = None
        self._is_behind = False
        self._attending = 0
        self._catching_up = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns once the place in the outbox is known: whatever is committed from now on will be heard."""
        self._loop.add_reader(self._bell.fileno(), self._rung)
        await self.in_reader(self.outbox.start)
        self._tasks = [asyncio.create_task(self._watch())]
        if connection.vendor == "postgresql":
            self._ears = Ears(self._wake.set)
            self._tasks.append(asyncio.create_task(self._ears.keep_listening(self.in_reader)))

    @asynccontextmanager
    async def attention(self) -> AsyncGenerator[None]:
        """Within it the outbox is read. While nobody listened nothing was: the place moves on to the newest event first."""
        self._attending += 1
        try:
            async with self._catching_up:
                if self._is_behind:
                    await self.in_reader(self.outbox.start)
                    self._is_behind = False
            yield
        finally:
            self._attending -= 1

    async def replay(self, cursor: int) -> Replay:
        return await self.in_reader(self.outbox.replay, cursor)

    async def in_reader[Result](self, job: Callable[..., Result], *arguments: Any) -> Result:
        """Run something that reads the database in the outbox's thread."""
        return await self._loop.run_in_executor(self._reader, _with_connection, job, *arguments)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loop.remove_reader(self._bell.fileno())
        self._bell.close()
        if self._ears:
            self._ears.close()
        await self._loop.run_in_executor(self._reader, connections.close_all)
        self._reader.shutdown(wait=False)

    def _rung(self) -> None:
        self._bell.drain()
        self._wake.set()

    async def _watch(self) -> None:
        every = LOOK_SECONDS.get(connection.vendor, LOOK_SECONDS_ELSEWHERE)
        while True:
            rung = True
            try:
                async with asyncio.timeout(every):
                    await self._wake.wait()
            except TimeoutError:
                rung = False
            self._wake.clear()
            if not self._attending:
                self._is_behind = True
                continue
            try:
                if rung or await self.in_reader(self.outbox.has_changed):
                    self.hub.deliver(await self.in_reader(self.outbox.look))
            except DatabaseError as error:
                # The events are kept: the next look finds them.
                logger.warning("The outbox could not be read: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS)
            # Of the bells of a burst the first is answered at once, the others together.
            await asyncio.sleep(MERGE_SECONDS)


class Ears:
    """LISTEN on a PostgreSQL connection of its own; `heard` is called in the event loop for each notice."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._database: Any = None
        self._descriptor = -1
        self._lost = asyncio.Event()

    async def keep_listening(self, run: Callable[..., Any]) -> None:
        """Listen, and do it again whenever the connection is lost; `run` runs a function in the database's thread."""
        while True:
            self._lost.clear()
            try:
                self._database = await run(_listening_connection)
            except DatabaseError as error:
                logger.warning("LISTEN failed: %s", error)
            else:
                # Noted: a connection that is lost does not know its socket any more.
                self._descriptor = int(self._database.connection.pgconn.socket)
                self._loop.add_reader(self._descriptor, self._read)
                self._heard()  # Whatever was said while nobody listened.
                await self._lost.wait()
            await asyncio.sleep(RECONNECT_SECONDS)

    def close(self) -> None:
        if self._database is not None:
            self._loop.remove_reader(self._descriptor)
            self._database.connection.close()
            self._database = None

    def _read(self) -> None:
        pgconn = self._database.connection.pgconn
        try:
            pgconn.consume_input()
        except Exception as error:
            logger.warning("The connection that listens was lost: %s", error)
            self.close()
            self._lost.set()
            return
        while pgconn.notifies():
            pass
        self._heard()


def _listening_connection() -> Any:
    database = connections.create_connection("default")
    database.connect()
    # Not Django's cursor: its connection belongs to the thread that made it, the driver's does not.
    database.connection.execute(f"LISTEN {CHANNEL}")
    return database


def _with_connection[Result](job: Callable[..., Result], *arguments: Any) -> Result:
    """The thread's connection is kept from job to job, and replaced when it is broken."""
    close_old_connections()
    try:
        return job(*arguments)
    finally:
        close_old_connections()
