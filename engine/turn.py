"""One worker of a host moves its runs on at a time; the others need not wait, and no wish for work is lost."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from core import layout


def wish_file(name: str) -> Path:
    return layout.data_path(f"{name}.wanted")


def turns(name: str) -> Iterator[None]:
    """Yields once for each round of work that is wanted, holding the host's lock.

    Every caller first says that work is wanted. Who gets the lock does rounds as long as somebody said so since the
    round began; who does not can go: its wish lies there, and the holder looks for wishes again after letting go.
    """
    folder = layout.data_path()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = wish_file(name)
    if not wanted.exists():
        # Made once and left as it is: its age tells the watchdog since when a wish has not been heard.
        wanted.touch()
    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while wanted.exists():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            try:
                while wanted.exists():
                    wanted.unlink(missing_ok=True)
                    yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)
