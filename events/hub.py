"""Who listens to what. Lives in the event loop; nothing here waits or touches the database."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from events.outbox import Heard

MOST_PENDING = 200
MOST_PER_BROWSER = 4

Topic = tuple[str, int | None]


class Subscriber:
    """One stream's wishes and what it has not sent yet: of each subject the newest state only.

    `teams` are those it may hear of, None for all. `overflowed` says that some of what it missed is gone.
    """

    __slots__ = ("browser", "closed", "evicted", "floor", "overflowed", "pending", "teams", "topics", "wake")

    def __init__(self, topics: frozenset[Topic], teams: frozenset[int] | None, browser: str = "") -> None:
        self.topics = topics
        self.teams = teams
        self.browser = browser
        self.pending: dict[Topic, Heard] = {}
        # Below any id: nothing was replayed yet.
        self.floor = -1
        self.overflowed = False
        self.evicted = False
        self.closed = False
        self.wake = asyncio.Event()

    def wants(self, event: Heard) -> bool:
        if self.teams is not None and event.team_id is not None and event.team_id not in self.teams:
            return False
        return (event.topic, None) in self.topics or (event.topic, event.subject_id) in self.topics

    def offer(self, event: Heard) -> None:
        """Keep it until the stream takes it, unless it is not for this one or was replayed already."""
        if not self.wants(event) or (event.id <= self.floor and not event.late):
            return
        key = (event.topic, event.subject_id)
        held = self.pending.pop(key, None)
        self.pending[key] = held if held and held.id > event.id else event
        if len(self.pending) > MOST_PENDING:
            self.pending.clear()
            self.overflowed = True
        self.wake.set()

    def take(self) -> list[Heard]:
        """All that is pending, by id."""
        taken = sorted(self.pending.values(), key=lambda event: event.id)
        self.pending.clear()
        return taken

    def close(self) -> None:
        self.closed = True
        self.wake.set()


class Hub:
    """All open streams, by topic and by browser."""

    def __init__(self) -> None:
        self.subscribers: set[Subscriber] = set()
        self._by_topic: dict[Topic, set[Subscriber]] = defaultdict(set)
        self._by_browser: dict[str, list[Subscriber]] = defaultdict(list)
        self.closed = False

    def add(self, subscriber: Subscriber) -> None:
        """A browser opens six connections to a host at most: its oldest streams give way, so that pages still load."""
        self.subscribers.add(subscriber)
        for topic in subscriber.topics:
            self._by_topic[topic].add(subscriber)
        if subscriber.browser:
            held = self._by_browser[subscriber.browser]
            held.append(subscriber)
            for oldest in held[:-MOST_PER_BROWSER]:
                oldest.evicted = True
                oldest.close()
        if self.closed:
            subscriber.close()

    def remove(self, subscriber: Subscriber) -> None:
        self.subscribers.discard(subscriber)
        for topic in subscriber.topics:
            self._by_topic[topic].discard(subscriber)
            if not self._by_topic[topic]:
                del self._by_topic[topic]
        held = self._by_browser.get(subscriber.browser)
        if held and subscriber in held:
            held.remove(subscriber)
            if not held:
                del self._by_browser[subscriber.browser]

    def deliver(self, events: Iterable[Heard]) -> None:
        for event in events:
            interested = self._by_topic.get((event.topic, None), set()) | self._by_topic.get((event.topic, event.subject_id), set())
            for subscriber in interested:
                subscriber.offer(event)

    def close(self) -> None:
        """End all streams, and those that come from now on."""
        self.closed = True
        for subscriber in self.subscribers:
            subscriber.close()
