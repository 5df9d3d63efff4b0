"""Wait for a run's end while a caller holds the line.

The web answers with a few threads of a fixed pool, and who waits occupies one: so at most two wait at a time, and
everybody else is told at once what there is by now. A run's events are the way to follow many.
"""

import threading
import time

from history.models import Run
from history.status import FINAL

MAX_WAITERS = 2
# Proxies commonly end a silent answer after 60 s to 300 s: a longer promise could not be kept.
MAX_SECONDS = 300
LOOK_EVERY_SECONDS = 0.06

_places = threading.BoundedSemaphore(MAX_WAITERS)


def wait_for_end(run: Run, seconds: float) -> bool:
    """Whether the run has ended within `seconds` (300 at most); False at once when two others wait already."""
    if seconds <= 0 or not _places.acquire(blocking=False):
        return False
    try:
        until = time.monotonic() + min(seconds, MAX_SECONDS)
        while not Run.objects.filter(pk=run.pk, status__in=FINAL).exists():
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_EVERY_SECONDS)
    finally:
        _places.release()
    return True
