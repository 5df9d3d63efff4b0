"""One open stream: events, progress and log of what a client asked for, as fast as it takes them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from core import layout
from events import sse
from events.bus import Bus
from events.follow import Follower, Followers
from events.hub import Hub, Subscriber, Topic
from events.outbox import Heard
from events.tail import Tail

HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 60.0
PACE_SECONDS = 0.03

Teams = frozenset[int] | None
# May the client still listen, and to what happens in which teams?
Recheck = Callable[[], Awaitable[tuple[bool, Teams]]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client wants to hear.

    `runs` are those whose progress it follows, `log` the one whose log it reads from `offset`. `cursor` is the last
    event it was told of. `whole`: the log is sent without leaving anything out, and the stream ends with the run.
    `first` are states to begin with; `has_ended`: the log's run is over already.
    """

    topics: frozenset[Topic]
    runs: frozenset[int] = frozenset()
    log: int | None = None
    offset: int = 0
    cursor: int | None = None
    whole: bool = False
    has_ended: bool = False
    browser: str = ""
    first: tuple[Heard, ...] = ()


class Switchboard:
    """What all streams share: who listens, the bus that tells them, the files they follow."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.bus = Bus(self.hub)
        self.followers = Followers(asyncio.get_running_loop())

    async def start(self) -> None:
        await self.bus.start()

    async def close(self) -> None:
        self.hub.close()
        self.followers.close()
        await self.bus.close()


class Stream:
    """Iterate `messages()`; it ends when the client may not listen any more, gave way, or all was said."""

    def __init__(self, board: Switchboard, wishes: Wishes, teams: Teams, recheck: Recheck) -> None:
        self.board = board
        self.wishes = wishes
        self.subscriber = Subscriber(wishes.topics, teams, wishes.browser)
        self._recheck = recheck
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        self._followed: dict[int, Follower] = {}
        self._progress_told: dict[int, str] = {}
        self._tail: Tail | None = None
        self._next_piece_at = 0.0
        self._end: Heard | None = None
        self._has_ended = wishes.has_ended
        self._place = board.bus.outbox.settled
        self._offset = wishes.offset

    async def messages(self) -> AsyncGenerator[bytes]:
        self._open()
        try:
            yield sse.OPENING
            await self._replay()
            while not self.subscriber.closed and await self._is_allowed():
                self.subscriber.wake.clear()
                for message in self._news():
                    yield message
                if self.wishes.whole and self._has_ended:
                    yield sse.message("end", sse.compact({"run": self.wishes.log}), self._number())
                    return
                if not await self._wait():
                    self._place = self.board.bus.outbox.settled
                    yield sse.heartbeat(self._number())
            if self.subscriber.evicted:
                yield sse.message("evicted", "{}", self._number())
        finally:
            self._close()

    def close(self) -> None:
        self.subscriber.close()

    def _open(self) -> None:
        # Listen first, read what was missed second: nothing falls between.
        self.board.hub.add(self.subscriber)
        wishes = self.wishes
        for run_id in wishes.runs:
            self._followed[run_id] = self.board.followers.follow(run_id, self._file_changed)
        if wishes.log is not None:
            self._tail = Tail(self._followed[wishes.log].folder / layout.LOG, wishes.offset, skip=not wishes.whole)

    def _close(self) -> None:
        self.board.hub.remove(self.subscriber)
        for follower in self._followed.values():
            self.board.followers.unfollow(follower, self._file_changed)

    def _file_changed(self, follower: Follower) -> None:
        if self._tail and follower.run_id == self.wishes.log and not self._tail.dirty:
            self._tail.dirty = True
            self.subscriber.wake.set()
        elif follower.progress != self._progress_told.get(follower.run_id, ""):
            self.subscriber.wake.set()

    async def _replay(self) -> None:
        for event in self.wishes.first:
            self.subscriber.offer(event)
        if self.wishes.cursor is None:
            return
        replay = await self.board.bus.replay(self.wishes.cursor)
        for event in replay.events:
            self.subscriber.offer(event)
        if replay.complete:
            self._place = min(self.wishes.cursor, self._place)
            self.subscriber.floor = replay.floor
        else:
            self.subscriber.overflowed = True

    async def _is_allowed(self) -> bool:
        """Asked now and then: a session ends, a member leaves, a key is revoked while the stream is open."""
        if time.monotonic() < self._recheck_at:
            return True
        allowed, self.subscriber.teams = await self._recheck()
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        return allowed

    async def _wait(self) -> bool:
        """Until there is something to say; False after a heartbeat's time without."""
        more = self._tail is not None and self._tail.dirty
        seconds = max(0.0, self._next_piece_at - time.monotonic()) if more else HEARTBEAT_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self.subscriber.wake.wait()
        except TimeoutError:
            return more
        return True

    def _news(self) -> Iterator[bytes]:
        if self.subscriber.overflowed:
            self.subscriber.overflowed = False
            yield sse.message("resync", "{}", self._number())
        for event in self.subscriber.take():
            if self._tail and event.is_end and (event.topic, event.subject_id) == ("run", self.wishes.log):
                # The log was complete before this was said; the rest of it is told first.
                self._end, self._tail.dirty = event, True
            else:
                yield self._told(event)
        yield from self._progress()
        yield from self._log()
        if self._end and self._tail and not self._tail.dirty:
            self._has_ended = True
            yield self._told(self._end)
            self._end = None

    def _told(self, event: Heard) -> bytes:
        # On PostgreSQL a lower id may still come: the place to resume from lies below it.
        self._place = min(event.id, self.board.bus.outbox.settled)
        if event.topic == "run" and (follower := self._followed.get(event.subject_id or 0)):
            self.board.followers.retry(follower)  # It may have started: now it has files.
        return sse.message(event.topic, event.text, self._number())

    def _progress(self) -> Iterator[bytes]:
        for run_id, follower in self._followed.items():
            if follower.progress != self._progress_told.get(run_id, ""):
                self._progress_told[run_id] = follower.progress
                yield sse.message("progress", follower.progress, self._number())

    def _log(self) -> Iterator[bytes]:
        tail, now = self._tail, time.monotonic()
        if tail is None or not tail.dirty or now < self._next_piece_at:
            return
        piece = tail.read(is_final=self._has_ended or self._end is not None)
        if piece is None:
            return
        # Who reads the whole log is held back by its own speed alone; a page is given time to draw.
        self._next_piece_at = now if self.wishes.whole and tail.dirty else now + PACE_SECONDS
        self._offset = piece.next
        if piece.skipped:
            yield sse.message("logskip", sse.compact({"run": self.wishes.log, "offset": piece.offset}), self._number())
        data: dict[str, object] = {"run": self.wishes.log, "offset": piece.offset, "text": piece.text, "next": piece.next}
        if piece.parts:
            data["parts"] = piece.parts
        yield sse.message("log", sse.compact(data), self._number())

    def _number(self) -> str:
        return f"{self._place}.{self._offset}"
