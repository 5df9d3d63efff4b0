"""Python's tracebacks, found at the end of a log. Pure, one pass, and of logs that may hold anything."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.text import printable

MAX_TEXT = 500
# Behind a traceback that ended the script: the rest of a long message, what exit handlers say. Behind one that it got over: work.
MOST_LINES_AFTER = 40
HEADER = "Traceback (most recent call last):"
GROUP = f"+ Exception Group {HEADER}"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r'  File "(.+)", line (\d+)(?:, in (.+))?$')
_EXCEPTION = re.compile(r"([A-Za-z_][\w.<>]*)(?:: ?(.*))?$")
_CARETS = re.compile(r"[\s~^]+$")
_GROUP_END = re.compile(r"\s*\+-{20,}$")
_FIRST_OF_GROUP = re.compile(r"\s*\+-\+-+ 1 -+$")
_NEXT_OF_GROUP = re.compile(r"    \+-+(?: \d+ -+)?$")
# Tracebacks that tell of something else than the end of the script.
_ASIDE = ("Exception ignored in", "Exception in thread", "Error in atexit")


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in a source; `function` is empty where a file does not compile."""

    file: str
    line: int
    function: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Crash:
    """An uncaught exception: its type, the first line of what it says, and its frames, innermost last."""

    exception: str
    message: str
    frames: tuple[Frame, ...] = ()

    @property
    def line(self) -> str:
        return f"{self.exception}: {self.message}" if self.message else self.exception


def plain(text: str) -> str:
    """Short, and fit to be kept and shown."""
    return printable(text[:MAX_TEXT])


def find_crash(log: str) -> Crash | None:
    """The exception that ended the script whose log this is the end of; None when it does not end with one."""
    if "\x1b" in log:
        log = _COLOURS.sub("", log)
    lines = [line.rstrip() for line in log.split("\n")]
    return (_group(lines) if GROUP in log else None) or _single(lines)


def _single(lines: Sequence[str]) -> Crash | None:
    """From the end backwards: a line that names an exception, below indented ones with frames among them."""
    aside = None
    end = len(lines) - 1
    after = 0
    while end > 0 and after <= MOST_LINES_AFTER:
        if lines[end - 1].startswith("  ") and (found := _EXCEPTION.match(lines[end])):
            above = _above(lines, end)
            begin = _last_header(lines, above, end)
            if frames := _frames(lines[begin + 1 : end]):
                crash = Crash(plain(found[1]), plain(found[2] or ""), frames)
                if begin == 0 or not lines[begin - 1].startswith(_ASIDE):
                    return crash
                aside = aside or crash
                end = above
                continue
        after += bool(lines[end].strip())
        end -= 1
    return aside


def _above(lines: Sequence[str], end: int) -> int:
    """The line above the indented ones that stand before `end`; -1 when the log begins with them."""
    at = end - 1
    while at >= 0 and lines[at].startswith("  "):
        at -= 1
    return at


def _last_header(lines: Sequence[str], above: int, end: int) -> int:
    """A progress bar without a line's end stands before the header on its line, and may begin with spaces itself."""
    return next((at for at in range(end - 1, above, -1) if lines[at].endswith(HEADER)), above)


def _frames(lines: Iterable[str]) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    for line in lines:
        if found := _FRAME.match(line):
            frames.append(Frame(plain(found[1]), min(int(found[2][:9]), 2**31 - 1), plain(found[3] or "")))
        elif frames and not frames[-1].code and line.startswith("    ") and not _CARETS.match(line):
            frames[-1] = Frame(frames[-1].file, frames[-1].line, frames[-1].function, plain(line.strip()))
    return tuple(frames)


def _group(lines: Sequence[str]) -> Crash | None:
    """An exception group (Python 3.11): the group's own words, and of its members the first, where the fault is."""
    ends = [at for at, line in enumerate(lines) if _GROUP_END.match(line)]
    if not ends or sum(bool(line) for line in lines[ends[-1] + 1 :]) > MOST_LINES_AFTER:
        return None
    begin = next((at for at in range(ends[-1], -1, -1) if lines[at].endswith(GROUP)), None)
    first = next((at for at in range(begin or 0, ends[-1]) if _FIRST_OF_GROUP.match(lines[at])), None)
    if begin is None or first is None:
        return None
    head = _single([line[4:] for line in lines[begin:first]])
    if head is None:
        return None
    behind = next(at for at in range(first + 1, ends[-1] + 1) if at == ends[-1] or _NEXT_OF_GROUP.match(lines[at]))
    member = _member([line[6:] for line in lines[first + 1 : behind]])
    if member is None:
        return head
    return Crash(head.exception, plain(f"{head.message}, first {member.line}"), member.frames or head.frames)


def _member(lines: Sequence[str]) -> Crash | None:
    """One exception of a group; one that was never raised has no frames."""
    if crash := _single(lines):
        return crash
    found = next((found for line in lines if (found := _EXCEPTION.match(line))), None)
    return Crash(plain(found[1]), plain(found[2] or "")) if found else None
