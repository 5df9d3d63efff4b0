"""Run by the interpreter before a script: lines reach the log when they are printed, not when a buffer is full.

`PYTHONUNBUFFERED` would do that too, with up to six writes for one `print`; line buffering makes it one. Errors go the
same way as output, so that their order is kept, with marks around them that the platform takes out again. And in a sandbox,
which tells of a signal by an exit code that a script may end with too, it says that the script ends by itself.
"""

import atexit
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


def _tell_end(channel, pipe):
    """Tell the supervisor when this process, and no child of it, comes to its end by itself."""
    process, leave = os.getpid(), os._exit

    def tell():
        # An interrupt that nobody caught is told by the signal: Python sends it to itself when it has tidied up.
        if os.getpid() == process and getattr(sys, "last_type", None) is not KeyboardInterrupt:
            try:
                # Whatever the script has made of the number meanwhile.
                if str(os.fstat(channel).st_ino) == pipe:
                    os.write(channel, b'{"ends": true}\n')
            except OSError:
                pass

    def tell_and_leave(status):
        tell()
        leave(status)

    # Before all others, so the last of all.
    atexit.register(tell)
    os._exit = tell_and_leave


for _stream in (sys.stdout, sys.stderr):
    # Python 3.8 and newer; a stream may be missing when a script was started without it.
    if _stream is not None and hasattr(_stream, "reconfigure"):
        _stream.reconfigure(line_buffering=True)

# Taken away: what the script starts has an end of its own, which is none of the supervisor's business.
_pipe = os.environ.pop("PYSCHED_ENDING", "")
if _pipe and os.environ.get("PYSCHED_CHANNEL", "").isdigit():
    _tell_end(int(os.environ["PYSCHED_CHANNEL"]), _pipe)

try:
    _mark_errors()
except (OSError, AttributeError, ValueError):
    # Without marks it is as good, but for its colour.
    pass
