"""A pause: all processes of a script stand still until it is over."""

import signal
import time
from collections.abc import Callable

from engine.host import kernel

# Looked after again: quickly while something still moved, else now and then, for anybody may send SIGCONT.
RESTLESS_SECONDS, STILL_SECONDS = 0.02, 0.5
ROUNDS = 200


class Hold:
    """Stops what `scripts` finds, and lets exactly that go on again."""

    def __init__(self, scripts: Callable[[], list[int]]) -> None:
        self.scripts = scripts
        self.since: float | None = None
        self.next_look = float("inf")
        self.held: set[int] = set()

    @property
    def is_on(self) -> bool:
        return self.since is not None

    def begin(self, now: float) -> None:
        if self.since is None:
            self.since = now
            self.look(now)

    def look(self, now: float) -> None:
        """Stop whatever moves, again and again: a process that was just forking has a child that got no signal."""
        is_still = False
        for _ in range(ROUNDS):
            tree = self.scripts()
            moving = [pid for pid in tree if self._moves(pid)]
            is_still = bool(tree) and not moving
            if not moving:
                break
            self.held.update(moving)
            kernel.signal_all(moving, signal.SIGSTOP)
            time.sleep(0.001)
        self.next_look = now + (STILL_SECONDS if is_still else RESTLESS_SECONDS)

    def _moves(self, pid: int) -> bool:
        state = kernel.state(pid)
        # In the kernel it stops as soon as it is out of it; one whose first thread is over shows as a zombie.
        return state in ("R", "S") or (state in ("D", "Z") and pid not in self.held)

    def end(self, now: float) -> float:
        """Let go; returns how many seconds the pause took. What stood still before it stands still after it."""
        if self.since is None:
            return 0.0
        took = now - self.since
        self.since, self.next_look = None, float("inf")
        kernel.signal_all([pid for pid in self.scripts() if pid in self.held], signal.SIGCONT)
        self.held.clear()
        return took
