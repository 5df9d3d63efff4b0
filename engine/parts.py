"""Parts of the platform as child processes of one warmed parent: forked, restarted when they die, ended in order."""

import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import connections
from setproctitle import setproctitle

from core.kernel import die_with_parent

logger = logging.getLogger(__name__)

WATCH = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
CHECK_SECONDS = 2.0
# A part that dies again right after its start is given longer and longer pauses.
FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS = 0.1, 10.0, 10.0


def _never(_running_seconds: float) -> bool:
    return False


@dataclass(slots=True)
class Part:
    """One part: `run` is its whole life, SIGTERM its end; `is_stuck` judges it by the seconds it has been running."""

    name: str
    run: Callable[[], None]
    is_stuck: Callable[[float], bool] = _never
    pid: int | None = None
    started: float = 0.0
    start_at: float = 0.0
    pause: float = field(default=FIRST_PAUSE)


class Parts:
    """The parent of the parts. It stays single-threaded and without database connections, for it forks."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts

    def run(self) -> signal.Signals:
        """Start all parts and keep them running until SIGTERM or SIGINT; returns which it was. The parts still run then."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCH)
        while True:
            now = time.monotonic()
            for part in self.parts:
                if part.pid is None and now >= part.start_at:
                    self._start(part)
            waiting = [part.start_at - now for part in self.parts if part.pid is None]
            got = signal.sigtimedwait(WATCH, max(0.01, min([CHECK_SECONDS, *waiting])))
            if got and got.si_signo != signal.SIGCHLD:
                return signal.Signals(got.si_signo)
            self._reap()
            self._watch()

    def stop(self, seconds: float) -> bool:
        """SIGTERM to all at once, SIGKILL to what is left after `seconds`; True when all ended by themselves."""
        for part in self._running():
            os.kill(part.pid, signal.SIGTERM)  # type: ignore[arg-type]
        until = time.monotonic() + seconds
        while self._running() and time.monotonic() < until:
            signal.sigtimedwait([signal.SIGCHLD], 0.05)
            self._collect()
        orderly = not self._running()
        for part in self._running():
            logger.error("The %s did not end in %.0f seconds and is killed.", part.name, seconds)
            os.kill(part.pid, signal.SIGKILL)  # type: ignore[arg-type]
            os.waitpid(part.pid, 0)  # type: ignore[arg-type]
            part.pid = None
        return orderly

    def _running(self) -> list[Part]:
        return [part for part in self.parts if part.pid is not None]

    def _start(self, part: Part) -> None:
        connections.close_all()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _live(part, parent)
        part.pid, part.started = pid, time.monotonic()

    def _collect(self) -> list[tuple[Part, int]]:
        """Parts that have ended, with their wait status."""
        ended = []
        for part in self._running():
            pid, status = os.waitpid(part.pid, os.WNOHANG)  # type: ignore[arg-type]
            if pid:
                part.pid = None
                ended.append((part, status))
        return ended

    def _reap(self) -> None:
        for part, status in self._collect():
            steady = time.monotonic() - part.started > STEADY_SECONDS
            part.pause = FIRST_PAUSE if steady else min(LONGEST_PAUSE, part.pause * 2)
            part.start_at = time.monotonic() + part.pause
            how = f"by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else f"with status {os.WEXITSTATUS(status)}"
            logger.error("The %s ended %s; it is started again.", part.name, how)

    def _watch(self) -> None:
        for part in self._running():
            if part.is_stuck(time.monotonic() - part.started):
                logger.error("The %s is stuck; it is killed and started again.", part.name)
                os.kill(part.pid, signal.SIGKILL)  # type: ignore[arg-type]


def succeeds_in_child(work: Callable[[], None]) -> bool:
    """Do some work in a child of this process and wait for it; False when it failed, which it has told by itself."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _live(Part("preparation", work), os.getppid())
    return os.waitpid(pid, 0)[1] == 0


def _live(part: Part, parent: int) -> None:
    """In the child: never returns."""
    status = 1
    try:
        die_with_parent(parent)
        setproctitle(f"pyscheduler {part.name}")
        # A session of its own: Ctrl-C in the terminal is for the parent, who ends the parts in order.
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCH)
        part.run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
