"""django-q2's cluster as one process tree that ends as a whole and that a watchdog can judge."""

import os
import select
import signal
import time
import uuid
from pathlib import Path

from django.db import connections
from django_q.cluster import Sentinel

from core.kernel import die_with_parent
from engine.broker import LOOK_SECONDS, beat_file
from engine.environment import compile_toolkit
from engine.turn import wish_file

# A look goes through pusher, worker and monitor every few seconds. Missing for so long, one of them is dead or hangs on
# a lock that a killed sibling held (django-q2 cannot free it): the pool is made anew.
STUCK_SECONDS = 4 * LOOK_SECONDS


class StopFlag:
    """What the sentinel polls, safe to set in a signal handler: an Event's lock could be held by the very code interrupted."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        os.write(self._writing, b"1")

    def wait(self, seconds: float) -> bool:
        select.select([self._reading], [], [], seconds)
        return self._set


class BellSentinel(Sentinel):  # type: ignore[misc]
    """django-q2's guard of workers, pusher and monitor; SIGTERM ends it in order, its own death ends them all."""

    def guard(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self.stop_event.set())
        super().guard()


def run_cluster() -> None:
    """Runs in the calling process until SIGTERM; returns when workers, pusher and monitor have ended."""
    sentinel = os.getpid()

    def in_child() -> None:
        # A headless pool would go on pulling tickets beside the next one.
        if os.getppid() == sentinel:
            die_with_parent(sentinel)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    os.register_at_fork(after_in_child=in_child)
    connections.close_all()
    compile_toolkit()
    beat_file().parent.mkdir(parents=True, exist_ok=True)
    beat_file().touch()
    BellSentinel(StopFlag(), StopFlag(), uuid.uuid4())


def is_stuck(running_seconds: float) -> bool:
    """Has no look gone through the cluster for too long, or has the worker whose turn it is heard no wish for work?"""
    if running_seconds < STUCK_SECONDS:
        return False
    beat, wish = _age(beat_file()), _age(wish_file("drain"))
    return beat is None or beat > STUCK_SECONDS or (wish is not None and wish > STUCK_SECONDS)


def _age(path: Path) -> float | None:
    """Seconds since the file was written; None when there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
