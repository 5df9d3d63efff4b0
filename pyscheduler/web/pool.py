"""A fixed number of threads for Django's views, each with a database connection of its own that it keeps."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from django.db import connections

THREADS = 4
MOST_WAITING = 100
MOST_LENT = 32
MOST_LENT_TO_ONE = 4


class Busy(Exception):
    """So much waits already that one more would only wait in vain."""


class Pool:
    """Runs jobs in `THREADS` threads, started as they are needed.

    A job that will depend on a slow client calls `lend(whom)`: another thread takes its place, and its own ends with it,
    so that a few slow downloads never hold up the pages.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._own = threading.local()
        self._serving = self._idle = 0
        self._lent: Counter[Hashable] = Counter()
        self._closed = False

    async def run[Result](self, job: Callable[[], Result]) -> Result:
        """The job's result; Busy when too many wait."""
        with self._lock:
            if self._jobs.qsize() >= MOST_WAITING or self._closed:
                raise Busy
            future: Future[Result] = Future()
            self._jobs.put((future, job))
            if self._jobs.qsize() > self._idle and self._serving < THREADS:
                self._start_thread()
        return await asyncio.wrap_future(future)

    def lend(self, whom: Hashable) -> None:
        """Called by a running job; Busy when too many threads are lent already, to anybody or to the same one."""
        with self._lock:
            if self._lent.total() >= MOST_LENT or self._lent[whom] >= MOST_LENT_TO_ONE:
                raise Busy
            self._lent[whom] += 1
            self._serving -= 1
            self._own.is_lent, self._own.whom = True, whom
            self._start_thread()

    def close(self) -> None:
        """Threads end once their job is done; nobody waits for one that does not end."""
        with self._lock:
            self._closed = True
            for _ in range(self._serving):
                self._jobs.put(None)

    def _start_thread(self) -> None:
        self._serving += 1
        threading.Thread(target=self._serve, name="web", daemon=True).start()

    def _serve(self) -> None:
        self._own.is_lent = False
        while not self._own.is_lent:
            with self._lock:
                self._idle += 1
            work = self._jobs.get()
            with self._lock:
                self._idle -= 1
            if work is None:
                break
            _carry_out(*work)
        if self._own.is_lent:
            with self._lock:
                self._lent -= Counter((self._own.whom,))  # Which forgets who has none.
        connections.close_all()


def _carry_out(future: Future[Any], job: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
