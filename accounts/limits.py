"""How often somebody may come, counted by the minute. In this process alone: the web is one process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from core.errors import TooOften

LOGINS_PER_ADDRESS = 20
# More than for an address, so that one machine alone cannot lock a person out.
LOGINS_PER_NAME = 50


class Counter:
    """How often each of many came in the present minute."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.minute = 0
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()

    def admits(self, who: str, now: float) -> bool:
        with self.lock:
            if (minute := int(now // 60)) != self.minute:
                self.minute, self.counts = minute, {}
            self.counts[who] = self.counts.get(who, 0) + 1
            return self.counts[who] <= self.most

    def take_back(self, who: str) -> None:
        """As if it had not come."""
        with self.lock:
            if self.counts.get(who):
                self.counts[who] -= 1


def seconds_left(now: float) -> int:
    """Until the next minute begins, rounded up."""
    return 60 - int(now % 60)


class LogInLimit:
    """So many failed log-ins a minute from one address, and for one user name: guessing passwords takes for ever.

    One for all doors: the page, which the admin uses too, and the API.
    """

    def __init__(self, per_address: int, per_name: int) -> None:
        self.addresses = Counter(per_address)
        self.names = Counter(per_name)

    @contextmanager
    def attempt(self, address: str, name: str) -> Iterator[None]:
        """Around the check of a password, which fails by raising. TooOften: the password is not even looked at."""
        if not settings.RATE_LIMIT_ENABLED:
            yield
            return
        now, name = time.time(), name.casefold()
        # Counted before the check: a hundred at the same moment are a hundred. Who is refused by address counts for no name.
        if not (self.addresses.admits(address, now) and self.names.admits(name, now)):
            wait = seconds_left(now)
            raise TooOften(f"Too many attempts to log in; try again in {wait} second{'' if wait == 1 else 's'}.", wait)
        yield
        self.addresses.take_back(address)
        self.names.take_back(name)


log_ins = LogInLimit(LOGINS_PER_ADDRESS, LOGINS_PER_NAME)
