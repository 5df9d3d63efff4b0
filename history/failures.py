"""Why a step failed, in words that a person can act on. Pure: from the end of its log and the record of its end."""

import hashlib
import re
import signal
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from history.tracebacks import Crash, Frame, find_crash, plain

MAX_FRAMES = 5
_NO_MODULE = re.compile(r"No module named '([\w.]+)'$")
_NO_FILE = re.compile(r"\[Errno 2\] [^:]*: (['\"])(.+?)\1")
_SYNTAX = frozenset({"SyntaxError", "IndentationError", "TabError"})
_LOST = frozenset({"lost", "supervisor", "damaged"})
# What differs from one time to the next though the failure is the same; the first that fits counts.
_VARYING = re.compile(
    r"""(?P<url>\w+://\S+) | (?P<quoted>'[^']*'|"[^"]*"|`[^`]*`) | (?P<path>(?<![\w.])/[\w.~-]+(?:/[\w.~-]*)*)
      | (?P<hex>\b0x[0-9a-fA-F]+|\b[0-9a-fA-F-]{16,}\b) | (?P<number>\d+)""",
    re.VERBOSE,
)
# A shell tells of its child's signal in this way, and scripts pass it on.
_BY_EXIT_CODE = {128 + number: number for number in (signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL,
                                                     signal.SIGSEGV, signal.SIGTERM)}  # fmt: skip
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})


@dataclass(frozen=True, slots=True)
class Script:
    """What belongs to the step's own script: the folder its version lies in, and the names of its files."""

    folder: str = ""
    names: Collection[str] = ()

    def own(self, path: str) -> str:
        """The file's name in the version; "" for what is not the script's own. A level of isolation may show the folder elsewhere."""
        if self.folder and path.startswith(f"{self.folder}/"):
            return path[len(self.folder) + 1 :]
        name = PurePosixPath(path).name
        is_library = "/site-packages/" in path or "/lib/python" in path
        return name if name in self.names and not is_library else ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Kept as `StepRun.failure`. `file`, `line` and `function` are the innermost place in the script's own files, if there is one.

    `kind`: exception, missing_module, missing_file, syntax_error, memory, timeout, limit, signal, exit_code, start, lost.
    `title` names it in words, `message` is what was said of it, `hint` what to do. `exception` is its type: of what Python
    raised, else the signal, exit code or limit. Equal failures have one `signature`.
    """

    kind: str
    title: str
    message: str = ""
    exception: str = ""
    file: str = ""
    line: int | None = None
    function: str = ""
    module: str = ""
    path: str = ""
    hint: str = ""
    frames: tuple[Frame, ...] = field(default=())

    @property
    def signature(self) -> str:
        """The same for the same failure, wherever its line has moved and whatever numbers, names and paths it speaks of."""
        said = self.module or normalised(self.message)
        parts = (self.kind, self.exception, said, self.file, self.function)
        return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]

    def as_record(self) -> dict[str, Any]:
        return {**asdict(self), "frames": [asdict(frame) for frame in self.frames], "signature": self.signature}


def normalised(message: str) -> str:
    return _VARYING.sub(lambda match: f"<{match.lastgroup}>", message)


def explain(record: dict[str, Any], *, log: str = "", script: Script | None = None, has_network: bool = True) -> Failure:
    """Why a step that ended by this exit record failed; `log` are its last words."""
    cause = record.get("cause", "damaged")
    if cause in _LOST:
        return lost(record.get("detail", ""), cause)
    if cause:
        return _refused(cause, record.get("detail", ""))
    if crash := find_crash(log):
        failure = _raised(crash, script or Script())
        return failure if has_network or not _is_of_network(crash) else replace(failure, hint=_NETWORK_HINT)
    number = record.get("signal")
    return _signalled(number, log) if number else _exited(record.get("exit_code"), log)


def lost(detail: str, cause: str = "lost") -> Failure:
    hint = "Look at what it has done so far before you run it again."
    return Failure("lost", "The platform lost sight of it", plain(detail), cause, hint=hint)


def _refused(cause: str, detail: str) -> Failure:
    """The platform ended it, or never got it started."""
    match cause:
        case "timeout":
            hint = "Give the thread a longer timeout, or look at the end of the log for what it was waiting for."
            return Failure("timeout", "It ran longer than it may", hint=hint)
        case "memory":
            return Failure("memory", "It used more memory than it may", hint=_MEMORY_HINT)
        case "start":
            return Failure("start", "It could not be started", plain(detail))
    hint = "Raise the thread's limit, or have the script do with less."
    return Failure("limit", _LIMITS.get(cause, "It went over one of its limits"), exception=cause, hint=hint)


_LIMITS = {
    "disk": "Its directory grew larger than it may",
    "output": "It printed more than it may",
    "cpu": "It used more processor time than it may",
    "processes": "It had more processes at once than it may",
}
_WRITE_HINT = "A script may write into the run's directory, which is its working directory, and nowhere else."
_TASKS_HINT = "it had as many processes and threads as it may. Have it make fewer, or raise the thread's limit of processes."
_MEMORY_HINT = "Raise the thread's memory limit, or read the data in pieces."


_NETWORK_HINT = "The network is off for this thread. If the script needs it, switch it on in the thread's settings."
# By Python, requests, urllib3, httpx and aiohttp.
_OF_NETWORK = frozenset({
    "gaierror", "herror", "ConnectionError", "ConnectionRefusedError", "URLError", "ConnectTimeout", "ConnectError", "ProxyError",
    "NewConnectionError", "MaxRetryError", "NameResolutionError", "ClientConnectorError", "ClientConnectorDNSError",
})  # fmt: skip
_SAYS_NETWORK = re.compile(
    r"name resolution|name or service not known|network is unreachable|could not translate host|failed to resolve|create socket", re.I
)


def _is_of_network(crash: Crash) -> bool:
    """Did it fail to reach something? Where the network is kept from it by a filter, making a socket is not permitted."""
    if crash.exception.rpartition(".")[2] in _OF_NETWORK or _SAYS_NETWORK.search(crash.message):
        return True
    return crash.exception == "PermissionError" and any(frame.file.endswith("/socket.py") for frame in crash.frames)


def _raised(crash: Crash, script: Script) -> Failure:
    """An exception that nobody caught."""
    own = tuple(replace(frame, file=name) for frame in crash.frames if (name := script.own(frame.file)))[-MAX_FRAMES:]
    place = own[-1] if own else None
    where = f" in {place.file}, line {place.line}" if place else ""
    failure = Failure(
        "exception", f"{crash.exception.rpartition('.')[2]}{where}", crash.message, crash.exception,
        place.file if place else "", place.line if place else None, place.function if place else "", frames=own,
    )  # fmt: skip
    return _named(failure, where)


def _named(failure: Failure, where: str) -> Failure:
    """The exceptions that tell by themselves what to do get names of their own."""
    match failure.exception:
        case "ModuleNotFoundError" if found := _NO_MODULE.match(failure.message):
            # Without its dots it would be another: Python names the first part that is not there.
            module = found[1]
            hint = "Add the package that has it to the thread's requirements."
            return replace(failure, kind="missing_module", title=f"The module {module} is not installed", module=module, hint=hint)
        case "ModuleNotFoundError" if "is not a package" in failure.message:
            return replace(failure, hint="A file of the same name hides the package: give the script or its module another name.")
        case "FileNotFoundError" if found := _NO_FILE.match(failure.message):
            return replace(failure, kind="missing_file", title=f"There is no file {found[2]}", path=found[2], hint=_file_hint(found[2]))
        case "PermissionError":
            return replace(failure, hint=_WRITE_HINT)
        case "OSError" if failure.message.startswith("[Errno 30]"):
            return replace(failure, hint=_WRITE_HINT)
        case "OSError" if failure.message.startswith("[Errno 28]"):
            return replace(
                failure, hint="There is no room left where it wrote: look at the limit of its directory, and at the host's disk."
            )
        case "BlockingIOError" if failure.message.startswith("[Errno 11] Resource temporarily"):
            return replace(failure, hint=f"If it was about to start a process: {_TASKS_HINT}")
        case "RuntimeError" if "can't start new thread" in failure.message:
            return replace(failure, hint=f"{_TASKS_HINT[0].upper()}{_TASKS_HINT[1:]}")
        case "MemoryError":
            return replace(failure, kind="memory", title=f"It ran out of memory{where}", hint=_MEMORY_HINT)
        case name if name in _SYNTAX:
            hint = "Mend the line, or choose the Python version that the script was written for."
            return replace(failure, kind="syntax_error", title=f"The script does not compile: {name}{where}", hint=hint)
    return failure


def _file_hint(path: str) -> str:
    if path.startswith("/"):
        return "A script does not see the whole disk. Upload the file with the thread and open it by its name alone."
    return "It was looked for in the run's directory. Upload it with the thread, or have an earlier step write it."


def _signalled(number: int, log: str) -> Failure:
    try:
        name, words = signal.Signals(number).name, (signal.strsignal(number) or "a signal").lower()
    except ValueError:
        name, words = f"signal {number}", "a signal"
    if number in _CRASHES:
        hint = "A compiled part of a package failed, not the script's own lines. Another version of the package may help."
        return Failure("signal", f"It crashed: {words} ({name})", last_line(log), exception=name, hint=hint)
    hint = "Neither the platform nor a person here did this. Most often the system does it when memory runs out." if number == 9 else ""
    return Failure("signal", f"It was ended from outside: {words} ({name})", last_line(log), exception=name, hint=hint)


def _exited(exit_code: int | None, log: str) -> Failure:
    hint = ""
    if exit_code == 2 and "usage: " in log[-4000:]:
        hint = "It did not take its arguments: compare the run's parameters with those the script expects."
    elif number := _BY_EXIT_CODE.get(exit_code or 0):
        hint = f"By this code a script often passes on that a program it had started was ended by {number.name}."
    return Failure("exit_code", f"It ended with exit code {exit_code}", last_line(log), exception=str(exit_code), hint=hint)


def last_line(log: str) -> str:
    """The last line that says anything, cut to what a page can show."""
    return plain(next((line.strip() for line in reversed(log[-20_000:].split("\n")) if line.strip()), ""))
