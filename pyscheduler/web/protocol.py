"""HTTP on one connection: uvicorn's, with an end to clients that never finish what they began to ask."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0


class Protocol(H11Protocol):
    """A connection on which no whole head of a request has come within `HEAD_SECONDS` is closed.

    uvicorn itself limits only the silence between two requests, and forgets about it with the first byte of the next.
    """

    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        if not self._is_waiting():
            self._stop_watching()
        elif self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _is_waiting(self) -> bool:
        """Is it the client's turn to ask?"""
        return self.cycle is None or self.cycle.response_complete

    def _stop_watching(self) -> None:
        if self._head_due:
            self._head_due.cancel()
            self._head_due = None

    def _give_up(self) -> None:
        self._head_due = None
        if self._is_waiting() and not self.transport.is_closing():
            if self.conn.our_state is not h11.ERROR:
                self.conn.send(h11.ConnectionClosed())
            self.transport.abort()
