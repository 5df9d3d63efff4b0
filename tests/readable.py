"""Waiting for sockets, of any number: `select` itself knows descriptors up to 1024 alone."""

import selectors
import socket
from collections.abc import Iterable


def readable(sockets: Iterable[socket.socket], seconds: float) -> list[socket.socket]:
    """The sockets that can be read from, as soon as there is one; none when the time is over."""
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(max(0.0, seconds)) if isinstance(key.fileobj, socket.socket)]
