"""Run by the interpreter before a script: lines reach the log when they are printed, not when a buffer is full.

`PYTHONUNBUFFERED` would do that too, with up to six writes for one `print`; line buffering makes it one.
"""

import sys

for _stream in (sys.stdout, sys.stderr):
    # Python 3.8 and newer; a stream may be missing when a script was started without it.
    if _stream is not None and hasattr(_stream, "reconfigure"):
        _stream.reconfigure(line_buffering=True)
