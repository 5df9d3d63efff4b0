"""The doorbell: wake the processes of this host that wait for something, without polling and without a broker.

A listener binds a datagram socket in the bell folder; to ring is to send a few bytes to each socket of that kind.
A bell is a hint and nothing more: lost ones are made good by a periodic look, too many are merged. Standard library
only, for the keeper and the supervisors ring too.
"""

import contextlib
import os
import select
import socket
from pathlib import Path


def _short(folder: Path, name: str) -> tuple[int, str]:
    """A directory descriptor and an address through it: a socket's path may have 107 bytes, a data path is longer at times."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return descriptor, f"/proc/self/fd/{descriptor}/{name}"


def ring(folder: Path | str, kind: str, message: bytes = b"1") -> int:
    """Wake all listeners of `kind`; returns how many were reached. Never blocks, never raises."""
    reached = 0
    try:
        names = [name for name in os.listdir(folder) if name.startswith(f"{kind}-")]
    except OSError:
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        for name in names:
            descriptor, address = _short(Path(folder), name)
            try:
                sender.sendto(message, address)
                reached += 1
            except BlockingIOError:
                reached += 1  # Its queue is full of bells: it will wake.
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=descriptor)  # Its listener is dead.
            except OSError:
                pass
            finally:
                os.close(descriptor)
    return reached


class Listener:
    """One process's ear for bells of `kind`: a selectable socket that is its own file in the folder."""

    def __init__(self, folder: Path | str, kind: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.name = f"{kind}-{os.getpid()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        descriptor, address = _short(self.folder, self.name)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.name, dir_fd=descriptor)
            self.socket.bind(address)
        finally:
            os.close(descriptor)

    def fileno(self) -> int:
        return self.socket.fileno()

    def drain(self) -> set[bytes]:
        """All bells that have rung since the last look, merged."""
        messages = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.add(self.socket.recv(256))
        return messages

    def wait(self, seconds: float) -> set[bytes]:
        """Sleep until a bell rings or the time is over; an empty set when none rang."""
        ready, _, _ = select.select([self.socket], [], [], max(0.0, seconds))
        return self.drain() if ready else set()

    def close(self) -> None:
        self.socket.close()
        with contextlib.suppress(OSError):
            (self.folder / self.name).unlink()
