"""Does a source compile? Asked of a child: the compiler is C, and a hostile source crashes it, or keeps it busy with the GIL held.

What was found is remembered by the source's digest, so that a page may ask as often as it likes.
"""

import hashlib
import json
import subprocess
import threading
from collections import OrderedDict
from dataclasses import dataclass

from core.interpreter import interpreter

CPU_SECONDS = 2
# A megabyte of ordinary statements takes 100 to 400 MB.
MEMORY_BYTES = 512 * 1024 * 1024
# For a machine that has no processor time to give; the child itself is ended by CPU_SECONDS.
WALL_SECONDS = 20
REMEMBERED = 2000
# Bounds what hostile sources take of the machine's memory together.
_at_once = threading.BoundedSemaphore(2)
TOO_COMPLEX = "The script is too complex to compile."
NOT_NOW = "The script could not be checked: the compiler did not start, or the machine is too busy. Try again in a moment."

# The limits come before the first byte is read. `surrogatepass`: what is no text is for the compiler to refuse.
_CHILD = f"""
import json, resource, sys
for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, {CPU_SECONDS}), (resource.RLIMIT_AS, {MEMORY_BYTES})):
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))
source = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
try:
    compile(source, "<script>", "exec", dont_inherit=True)
except SyntaxError as error:
    found = [str(error.msg)[:300], error.lineno, error.offset]
except (ValueError, OverflowError) as error:
    found = [str(error)[:300], None, None]
else:
    found = None
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """Why a source does not compile, and where, if the compiler could tell; `message` is a sentence that names the place."""

    message: str
    line: int | None = None
    column: int | None = None


class _Memory:
    """The last `size` faults, and sources without one, by digest. For several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._found: OrderedDict[bytes, SyntaxFault | None] = OrderedDict()

    def get(self, digest: bytes) -> tuple[SyntaxFault | None] | None:
        """What was found in a tuple; None when nothing is known."""
        with self._lock:
            if digest not in self._found:
                return None
            self._found.move_to_end(digest)
            return (self._found[digest],)

    def keep(self, digest: bytes, fault: SyntaxFault | None) -> None:
        with self._lock:
            self._found[digest] = fault
            if len(self._found) > self._size:
                self._found.popitem(last=False)


_memory = _Memory(REMEMBERED)


def find_fault(source: str) -> SyntaxFault | None:
    """What keeps the source from compiling, None when nothing does. About 20 ms for a source not seen before."""
    if not source.strip():
        return SyntaxFault("The script is empty.")
    if "\0" in source:
        return SyntaxFault("The script has a NUL character in it.")
    encoded = source.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(encoded).digest()
    if known := _memory.get(digest):
        return known[0]
    try:
        with _at_once:
            fault = _ask_compiler(encoded)
    except (OSError, subprocess.TimeoutExpired):
        # The machine's fault and not the script's: it is not remembered.
        return SyntaxFault(
            "The script could not be checked: the compiler did not start, or the machine is too busy. Try again in a moment."
        )
    _memory.keep(digest, fault)
    return fault


def _ask_compiler(source: bytes) -> SyntaxFault | None:
    # `subprocess` starts it by vfork: this process has threads, and what os.fork would copy is not whole.
    done = subprocess.run(
        [interpreter(), "-I", "-S", "-c", _CHILD],
        input=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        timeout=WALL_SECONDS,
        check=False,
    )
    if done.returncode:  # Killed by a limit or by its own stack, or ended by RecursionError or MemoryError.
        return SyntaxFault(TOO_COMPLEX)
    found = json.loads(done.stdout)
    if found is None:
        return None
    message, line, column = found
    place = f"Line {line}" + (f", column {column}" if column else "") if line else "The script"
    return SyntaxFault(f"{place} does not compile: {message}.", line, column)
