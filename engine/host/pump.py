"""From the script's pipe into the run's log: whole chunks, no loop over lines, secrets masked, never more than the cap."""

import os
import time
from collections import deque

from core.marks import ERR, OUT
from engine.host.bars import Bars
from engine.host.masking import Masker
from engine.host.streams import Lane, Marks, Piece, Splitter

CHUNK = 65536
# Of what comes after the cap the end is kept: there the script says what it died of.
KEPT_END = 1_048_576


class Pump:
    """Copies what the script prints. `prefix` is put before each line when steps share the log side by side.

    Past `limit` bytes it writes a notice and goes on reading, since a pipe that nobody empties would stop the script; the last
    `KEPT_END` bytes are written when all was said.
    """

    def __init__(self, source: int, log: int, limit: int, prefix: bytes = b"", *, marks: str = "", masker: Masker | None = None) -> None:
        self.source = source
        self.log = log
        self.limit = limit
        self.written = 0
        self.is_cut = False
        self.fault = ""
        self.bars = Bars()
        self.has_bar_moved = False
        self._splitter = Splitter()
        self._lanes = [Lane(masker.twin() if masker else Masker([]), prefix) for _ in (OUT, ERR)]
        self._marks = Marks(marks) if marks else None
        self._end: deque[tuple[int, bytearray]] = deque()
        self._end_bytes = self._lost_bytes = 0

    def move(self) -> int:
        """One chunk; returns its size, 0 at the end of the stream."""
        chunk = os.read(self.source, CHUNK)
        if chunk:
            self.has_bar_moved |= self.bars.look(chunk)
            self._keep([(stream, self._lanes[stream].feed(piece)) for stream, piece in self._splitter.feed(chunk)])
        return len(chunk)

    def finish(self) -> None:
        """What was kept back: begun lines, what might have become a secret, and the end of a log that was cut."""
        self._keep([(stream, self._lanes[stream].feed(piece)) for stream, piece in self._splitter.finish()])
        self._keep([(stream, lane.finish()) for stream, lane in enumerate(self._lanes)])
        if self._end:
            notice = b"[%d bytes are left out here. What follows is the end.]\n" % self._lost_bytes
            self._write([(OUT, notice), *((stream, bytes(piece)) for stream, piece in self._end)])
            self._end.clear()

    def _keep(self, pieces: list[Piece]) -> None:
        room = self.limit - self.written
        for at, (stream, piece) in enumerate(pieces):
            if self.is_cut:
                self._keep_end(stream, piece)
            elif len(piece) > room:
                self.is_cut = True
                notice = b"\n[The log was cut here: it reached its limit of %d bytes. The script goes on.]\n" % self.limit
                self._write([*pieces[:at], (stream, piece[:room]), (OUT, notice)])
                self._keep_end(stream, piece[room:])
            else:
                room -= len(piece)
        if not self.is_cut:
            self._write(pieces)

    def _keep_end(self, stream: int, piece: bytes) -> None:
        if self._end and self._end[-1][0] == stream and len(self._end[-1][1]) < CHUNK:
            self._end[-1][1].extend(piece)
        elif piece:
            self._end.append((stream, bytearray(piece)))
        self._end_bytes += len(piece)
        while self._end and self._end_bytes - len(self._end[0][1]) >= KEPT_END:
            lost = len(self._end.popleft()[1])
            self._end_bytes -= lost
            self._lost_bytes += lost

    def _write(self, pieces: list[Piece]) -> None:
        content = b"".join(piece for _, piece in pieces)
        if not content:
            return
        view, at = memoryview(content), time.time()
        try:
            while view:
                view = view[os.write(self.log, view) :]
            if self._marks:
                # Several steps may append to the log: where it stands is known only afterwards.
                end = os.lseek(self.log, 0, os.SEEK_CUR)
                self._marks.add(end - len(content), end, at, pieces)
        except OSError as error:
            # No room on the disk: the script is not to blame and goes on, and so does the log if there is room again.
            self.fault = str(error.strerror)
        self.written += len(content) - len(view)
