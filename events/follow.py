"""Following runs' files: who reads a run's log or progress is woken when they change."""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from core import layout
from events.inotify import IN_IGNORED, IN_Q_OVERFLOW, Inotify

logger = logging.getLogger(__name__)

# Where inotify cannot watch (network folders, a run that has not started) files are looked at this often; where it
# does, a rare look makes good what a full kernel queue lost.
POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.01
MOST_PROGRESS_BYTES = 4096


class Follower:
    """One run's files and who waits for them. `progress` is the last that was read, as JSON, with `run` in it."""

    def __init__(self, run_id: int) -> None:
        self.run_id = run_id
        self.folder = layout.control_folder(run_id)
        self.watch: int | None = None
        self.wakers: set[Callable[[Follower], None]] = set()
        self.progress = ""
        self._seen: tuple[int, int] = (-1, 0)

    def changed(self) -> None:
        for wake in list(self.wakers):
            wake(self)

    def look(self) -> None:
        """By status: has the log grown, or was the progress replaced, since the last look?"""
        seen = (_size(self.folder / layout.LOG), _mtime(self.folder / layout.PROGRESS))
        if seen != self._seen:
            self._seen = seen
            self.read_progress()
            self.changed()

    def read_progress(self) -> None:
        """A file that is missing, half there or not what it should be says nothing new."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            content = (self.folder / "progress").read_bytes()[:MOST_PROGRESS_BYTES]
            self.progress = json.dumps({"run": self.run_id, **json.loads(content)}, separators=(",", ":"))


class Followers:
    """All followed runs. Methods are for the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._by_run: dict[int, Follower] = {}
        self._by_watch: dict[int, Follower] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._inotify: Inotify | None = None
        try:
            self._inotify = Inotify()
        except OSError as error:
            logger.warning("Logs are followed by polling: inotify is not to be had (%s).", error.strerror)
        else:
            loop.add_reader(self._inotify.fileno(), self._read)

    def follow(self, run_id: int, wake: Callable[[Follower], None]) -> Follower:
        follower = self._by_run.get(run_id)
        if follower is None:
            follower = self._by_run[run_id] = Follower(run_id)
            self._watch(follower)
            follower.look()
        follower.wakers.add(wake)
        self._arm()
        return follower

    def unfollow(self, follower: Follower, wake: Callable[[Follower], None]) -> None:
        follower.wakers.discard(wake)
        if follower.wakers or self._by_run.get(follower.run_id) is not follower:
            return
        del self._by_run[follower.run_id]
        if follower.watch is not None and self._inotify:
            del self._by_watch[follower.watch]
            self._inotify.unwatch(follower.watch)

    def retry(self, follower: Follower) -> None:
        """Look again at a run that could not be watched yet."""
        if follower.watch is None:
            self._watch(follower)
            follower.look()

    def close(self) -> None:
        for timer in (self._timer, self._pause):
            if timer:
                timer.cancel()
        if self._inotify:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()

    def _watch(self, follower: Follower) -> None:
        if self._inotify is None:
            return
        with contextlib.suppress(OSError):
            follower.watch = self._inotify.watch(follower.folder)
            self._by_watch[follower.watch] = follower

    def _read(self) -> None:
        assert self._inotify
        changed = set()
        for number, mask, name in self._inotify.read():
            if mask & IN_Q_OVERFLOW:
                changed |= set(self._by_watch.values())
            elif follower := self._by_watch.get(number):
                if mask & IN_IGNORED:  # Its folder is gone.
                    follower.watch = None
                    del self._by_watch[number]
                elif name == "progress":
                    follower.read_progress()
                if name in (layout.LOG, layout.PROGRESS):
                    changed.add(follower)
        for follower in changed:
            follower.changed()
        # A script that prints line by line changes its log thousands of times a second: read that merged.
        self._loop.remove_reader(self._inotify.fileno())
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._loop.add_reader, self._inotify.fileno(), self._read)

    def _arm(self) -> None:
        if self._timer is None and self._by_run:
            blind = any(follower.watch is None for follower in self._by_run.values())
            self._timer = self._loop.call_later(POLL_SECONDS if blind else LOOK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic()
        everything = now - self._looked_at >= LOOK_SECONDS
        if everything:
            self._looked_at = now
        for follower in list(self._by_run.values()):
            if follower.watch is None:
                self.retry(follower)
            elif everything:
                follower.look()
        self._arm()


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _mtime(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
