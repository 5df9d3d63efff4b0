"""The event streams, outside Django's handler: an open one costs a few kilobytes and no thread."""

import asyncio
import contextlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from django.db import DatabaseError

from accounts.authentication import CHALLENGE
from core.errors import DomainError, InvalidInput
from core.text import natural
from events.hub import Topic
from events.sse import parse_id
from events.stream import Stream, Switchboard, Teams, Wishes
from pyscheduler.web.answers import Receive, Scope, Send, refuse
from pyscheduler.web.gate import Credentials, Visitor, admit, check_origin
from pyscheduler.web.pool import Busy, Pool

TOPICS = ("run", "schedule", "thread", "process", "environment", "maintenance")
MOST_STREAMS = 4000
MOST_OF_ONE = 100
MOST_RUNS = 50
_ONE_RUN = re.compile(r"/api/v1/runs/([0-9]{1,18})/events/?")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def is_stream(path: str) -> bool:
    return path in ("/live", "/api/v1/events", "/api/v1/events/") or _ONE_RUN.fullmatch(path) is not None


class Live:
    """The ASGI application of `/live`, `/api/v1/events` and `/api/v1/runs/{id}/events`."""

    def __init__(self, board: Switchboard, pool: Pool) -> None:
        self.board = board
        self.pool = pool
        self.open: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await refuse(scope, send, 405, "Streams are read with GET.", {"Allow": "GET"})
            return
        if len(self.board.hub.subscribers) >= MOST_STREAMS:
            await refuse(scope, send, 503, "Too many streams are open.", {"Retry-After": "5"})
            return
        async with self.board.bus.attention():
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            stream, user_id = await self._admit(scope)
        except (Busy, DatabaseError):
            await refuse(scope, send, 503, "The server is overloaded; try again in a moment.", {"Retry-After": "1"})
        except DomainError as error:
            challenge = {"WWW-Authenticate": CHALLENGE} if error.status == 401 else {}
            await refuse(scope, send, error.status, error.message, challenge)
        else:
            await self._serve_one(user_id, stream, scope, receive, send)

    async def _serve_one(self, user_id: int, stream: Stream, scope: Scope, receive: Receive, send: Send) -> None:
        if self.open[user_id] >= MOST_OF_ONE:
            await refuse(scope, send, 429, f"You have {MOST_OF_ONE} streams open already; close one of them.", {"Retry-After": "5"})
            return
        self.open[user_id] += 1
        try:
            await _serve(stream, receive, send)
        finally:
            self.open -= Counter((user_id,))  # Which forgets who has none.

    async def _admit(self, scope: Scope) -> tuple[Stream, int]:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        check_origin(headers, scope["scheme"])
        asked = Asked.of(scope["path"], scope["query_string"].decode("latin-1"), headers.get("last-event-id", ""))
        credentials = Credentials.of(headers, with_key=scope["path"] != "/live")
        # The place in the outbox is noted before any state is read: nothing falls between.
        place = self.board.bus.outbox.settled
        visitor = await self.pool.run(lambda: admit(credentials, asked.runs))

        async def recheck() -> tuple[bool, Teams]:
            try:
                return True, (await self.pool.run(lambda: admit(credentials, asked.runs))).teams
            except (Busy, DatabaseError):
                return True, stream.subscriber.teams  # Not known now; it is asked again.
            except DomainError:
                return False, frozenset()

        stream = Stream(self.board, asked.wishes(visitor, place), visitor.teams, recheck)
        return stream, visitor.user_id


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for. `whole`: one run for the API, from its present state to its end."""

    topics: frozenset[Topic]
    runs: frozenset[int]
    log: int | None
    cursor: int | None
    offset: int
    browser: str
    whole: bool

    @classmethod
    def of(cls, path: str, query_string: str, last_id: str) -> "Asked":
        """The header of a browser that comes back wins over the address it first came by."""
        query = {name: values[-1] for name, values in parse_qs(query_string).items()}
        cursor, offset = parse_id(last_id)
        cursor = natural(query.get("cursor", "")) if cursor is None else cursor
        offset = natural(query.get("offset", "")) if offset is None else offset
        one = _ONE_RUN.fullmatch(path)
        if one:
            topics, log = _topics(f"run:{one[1]},log:{one[1]}")
        else:
            topics, log = _topics(query.get("topics", "") if path == "/live" else ",".join(TOPICS))
        runs = {subject for topic, subject in topics if topic == "run" and subject is not None} | ({log} if log is not None else set())
        if len(runs) > MOST_RUNS:
            raise InvalidInput.of("topics", f"At most {MOST_RUNS} runs are followed one by one; ask for `run` instead.")
        return cls(topics, frozenset(runs), log, None if one else cursor, offset or 0, query.get("cid", "")[:64], one is not None)

    def wishes(self, visitor: Visitor, place: int) -> Wishes:
        state = visitor.runs[self.log] if self.log is not None else None
        return Wishes(
            topics=self.topics,
            runs=self.runs,
            log=self.log,
            offset=self.offset,
            cursor=self.cursor,
            whole=self.whole,
            has_ended=state is not None and state.is_end and not self.whole,
            browser=f"{visitor.user_id}:{self.browser}" if self.browser else "",
            first=(replace(state, id=place),) if self.whole and state else (),
        )


def _topics(text: str) -> tuple[frozenset[Topic], int | None]:
    """`run,schedule` or `run:12,log:12`: topics with their subjects, and whose log."""
    topics: set[Topic] = set()
    logs: set[int] = set()
    for word in filter(None, text[:4000].split(",")):
        topic, colon, digits = word.partition(":")
        subject = natural(digits)
        if (colon and subject is None) or topic not in (*TOPICS, "log") or (topic == "log" and not colon):
            raise InvalidInput.of(
                "topics", f"{word[:40]!r} is not a topic; use {', '.join(TOPICS)}, with `:ID` for one of them, or log:ID."
            )
        if topic == "log" and subject is not None:
            logs.add(subject)
        else:
            topics.add((topic, subject))
    if len(logs) > 1:
        raise InvalidInput.of("topics", "One stream follows one log.")
    if not topics and not logs:
        raise InvalidInput.of("topics", f"Name what to listen to: {', '.join(TOPICS)}.")
    return frozenset(topics), next(iter(logs), None)


async def _serve(stream: Stream, receive: Receive, send: Send) -> None:
    """Send until the stream ends or the client goes; what a slow client has not taken yet holds the stream back."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    watch = asyncio.create_task(_close_when_gone(stream, receive))
    try:
        async with contextlib.aclosing(stream.messages()) as messages:
            async for message in messages:
                await send({"type": "http.response.body", "body": message, "more_body": True})
        await send({"type": "http.response.body"})
    finally:
        watch.cancel()


async def _close_when_gone(stream: Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()
