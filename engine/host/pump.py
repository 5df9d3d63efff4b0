"""From the script's pipe into the run's log: whole chunks, no loop over lines, never more than the cap."""

import os

CHUNK = 65536


class Pump:
    """Copies what the script prints. `prefix` is put before each line when steps share the log side by side.

    Past `limit` bytes it writes a notice and goes on reading: a pipe that nobody empties would stop the script.
    """

    def __init__(self, source: int, log: int, limit: int, prefix: bytes = b"") -> None:
        self.source = source
        self.log = log
        self.limit = limit
        self.prefix = prefix
        self.written = 0
        self.is_cut = False
        self.fault = ""
        self._rest = b""

    def move(self) -> int:
        """One chunk; returns its size, 0 at the end of the stream."""
        chunk = os.read(self.source, CHUNK)
        if chunk:
            self._keep(self._prefixed(chunk) if self.prefix else chunk)
        return len(chunk)

    def finish(self) -> None:
        """The last line of a shared log may lack its end: give it one, so that the next step's line stands alone."""
        if self._rest:
            self._keep(self.prefix + self._rest + b"\n")
            self._rest = b""

    def _prefixed(self, chunk: bytes) -> bytes:
        complete, newline, rest = (self._rest + chunk).rpartition(b"\n")
        # A line without end is kept back until it has one, but not for ever.
        if len(rest) > CHUNK:
            complete, newline, rest = complete + newline + rest, b"\n", b""
        self._rest = rest
        return self.prefix + complete.replace(b"\n", b"\n" + self.prefix) + newline if newline else b""

    def _keep(self, chunk: bytes) -> None:
        if self.is_cut or not chunk:
            return
        room = self.limit - self.written
        if len(chunk) > room:
            self.is_cut = True
            chunk = chunk[:room] + b"\n[The log was cut here: it reached its limit of %d bytes. The script goes on.]\n" % self.limit
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self.log, view) :]
        except OSError as error:
            # No room on the disk: the script is not to blame and goes on, and so does the log if there is room again.
            self.fault = str(error.strerror)
        self.written += len(chunk) - len(view)
