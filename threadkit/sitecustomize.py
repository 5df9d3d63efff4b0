"""Run by the interpreter before a script: lines reach the log when they are printed, not when a buffer is full.

`PYTHONUNBUFFERED` would do that too, with up to six writes for one `print`; line buffering makes it one. Errors go the
same way as output, so that their order is kept, with marks around them that the platform takes out again.
"""

import io
import os
import sys


class _Marked(io.FileIO):
    """Standard error. Marks what it writes as long as that goes to the platform and was not redirected since."""

    def write(self, data):
        pipe = os.environ.get("PYSCHED_OUTPUT")
        if not pipe or str(os.fstat(2).st_ino) != pipe:
            return super().write(data)
        # At once, so that nothing of another process comes between.
        rest = memoryview(b"\x1b_e\x1b\\" + bytes(data) + b"\x1b_o\x1b\\")
        while rest:
            written = super().write(rest)
            rest = rest[written or 0 :]
        return len(data)


def _mark_errors():
    plain = sys.stderr
    if plain is None or str(os.fstat(2).st_ino) != os.environ.get("PYSCHED_OUTPUT"):
        return
    raw = _Marked(2, "w", closefd=False)
    raw.name = "<stderr>"
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(io.BufferedWriter(raw), plain.encoding, plain.errors, line_buffering=True)
    # The plain one is kept: when it went it would close the descriptor.
    sys.stderr._plain = plain


for _stream in (sys.stdout, sys.stderr):
    # Python 3.8 and newer; a stream may be missing when a script was started without it.
    if _stream is not None and hasattr(_stream, "reconfigure"):
        _stream.reconfigure(line_buffering=True)

try:
    _mark_errors()
except (OSError, AttributeError, ValueError):
    # Without marks it is as good, but for its colour.
    pass
