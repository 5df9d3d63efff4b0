"""The doorbell: wake the processes of this host that wait for something, without polling and without a broker.

A listener binds a datagram socket in the bell folder; to ring is to send a few bytes to each socket of that kind.
A bell is a hint and nothing more: lost ones are made good by a periodic look, too many are merged. Only the standard
library, and of that only what is small: the keeper and the supervisors ring too.
"""

import os
import select
import socket

# A socket's path may have 107 bytes, a data path is longer at times: go by way of a descriptor of the folder.
_ADDRESS = "/proc/self/fd/{}/{}"


def ring(folder: str | os.PathLike[str], kind: str, message: bytes = b"1") -> int:
    """Wake all listeners of `kind`; returns how many were reached. Never blocks, never raises."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        names = [name for name in os.listdir(descriptor) if name.startswith(f"{kind}-")]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            return sum(_send(sender, descriptor, name, message) for name in names)
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _send(sender: socket.socket, folder: int, name: str, message: bytes) -> bool:
    try:
        sender.sendto(message, _ADDRESS.format(folder, name))
    except BlockingIOError:
        return True  # Its queue is full of bells: it will wake.
    except ConnectionRefusedError:
        os.unlink(name, dir_fd=folder)  # Its listener is dead.
        return False
    except OSError:
        return False
    return True


class Listener:
    """One process's ear for bells of `kind`: a selectable socket that is its own file in the folder."""

    def __init__(self, folder: str | os.PathLike[str], kind: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.path = os.path.join(folder, f"{kind}-{os.getpid()}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._remove()
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.socket.bind(_ADDRESS.format(descriptor, os.path.basename(self.path)))
        finally:
            os.close(descriptor)

    def fileno(self) -> int:
        return self.socket.fileno()

    def drain(self) -> set[bytes]:
        """All bells that have rung since the last look, merged."""
        messages: set[bytes] = set()
        while True:
            try:
                messages.add(self.socket.recv(256))
            except BlockingIOError:
                return messages

    def wait(self, seconds: float) -> set[bytes]:
        """Sleep until a bell rings or the time is over; an empty set when none rang."""
        ready, _, _ = select.select([self.socket], [], [], max(0.0, seconds))
        return self.drain() if ready else set()

    def close(self) -> None:
        self.socket.close()
        self._remove()

    def _remove(self) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
