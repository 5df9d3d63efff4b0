"""The rows of a CSV, and what became of each."""

import atexit
import csv
import json
import os
import re
import sys
import time
import traceback

from threadkit import _channel
from threadkit._state import folder, write_whole

REPORT_SECONDS = 0.5
OK, FAILED, SKIPPED = "ok", "failed", "skipped"
# How often this script has asked for the rows of a file: a second pass is not the first one resumed.
_passes = {}


class MissingColumns(ValueError):
    """The header lacks columns that the script needs."""


class Row(dict):
    """One row by its columns. `number` counts from 1, without the header."""

    def __init__(self, values, number, settle):
        super().__init__(values)
        self.number = number
        self.outcome = None
        self._settle = settle

    def skip(self, reason=""):
        """Nothing is to be done with it."""
        self._end(SKIPPED, reason)

    def fail(self, reason=""):
        """It went wrong; the next attempt tries it again."""
        self._end(FAILED, reason)

    def _end(self, outcome, reason=""):
        if self.outcome is None:
            self.outcome = outcome
            self._settle(self.number, outcome, reason)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._end(OK)
        elif issubclass(kind, Exception):
            traceback.print_exception(kind, error, trace)
            self.fail(f"{kind.__name__}: {error}")
            return True
        return False


class Rows:
    """An iterator over the rows that are still to be done. `ok`, `failed`, `skipped` count what this attempt did."""

    def __init__(self, path, columns, resume, delimiter, encoding):
        self.path = os.fspath(path) if path is not None else os.environ.get("PYSCHED_INPUT", "")
        if not self.path:
            raise FileNotFoundError('this run has no input CSV: add one to the thread, or name a file, as in rows("names.csv")')
        self.ok = self.failed = self.skipped = self.passed_over = 0
        self._file = open(self.path, newline="", encoding=encoding)  # noqa: SIM115 - closed with the last row.
        self._size = os.fstat(self._file.fileno()).st_size
        self._reader = csv.reader(self._file, delimiter=delimiter)
        self._number, self._current, self._next_report = 0, None, 0.0
        self.columns = self._header(columns, delimiter)
        self._outcomes = Outcomes(self.path, resume)
        atexit.register(self._at_exit)

    def _header(self, needed, delimiter):
        found = [name.strip() for name in self._read() or ()]
        if not found:
            raise MissingColumns(f"{self._name()} is empty: its first line must name the columns")
        doubled = sorted({name for name in found if found.count(name) > 1})
        missing = [name for name in ([needed] if isinstance(needed, str) else needed) if name not in found]
        if doubled:
            raise MissingColumns(f"{self._name()} has more than one column {_listed(doubled)}")
        if missing:
            other = next((mark for mark in ";\t|," if mark != delimiter and mark in found[0]), None)
            hint = f"; it seems to be separated by {other!r}: rows(delimiter={other!r})" if other and len(found) == 1 else ""
            raise MissingColumns(f"{self._name()} has no column {_listed(missing)}; it has {_listed(found)}{hint}")
        return found

    def _name(self):
        return os.path.basename(self.path)

    def _read(self):
        """The next line's values; None at the end. Errors say where."""
        try:
            return next(self._reader, None)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self._name()} is not in the encoding {error.encoding}: name its own, as in rows(encoding='latin-1')"
            ) from None
        except csv.Error as error:
            raise ValueError(f"{self._name()} cannot be read after row {self._number}: {error}") from None

    def __iter__(self):
        return self

    def __next__(self):
        if self._current is not None:
            self._current._end(OK)
            self._current = None
        while True:
            values = self._read()
            if values is None:
                self.close()
                raise StopIteration
            if not values:
                continue  # An empty line.
            self._number += 1
            self._report()
            if self._number in self._outcomes.done:
                self.passed_over += 1
            elif len(values) == len(self.columns):
                self._current = Row(zip(self.columns, values), self._number, self._settle)
                return self._current
            else:
                reason = f"it has {len(values)} value{'s' * (len(values) != 1)}, the header has {len(self.columns)}"
                print(f"Row {self._number} of {self._name()} is passed over: {reason}.", file=sys.stderr)
                self._settle(self._number, FAILED, reason)

    def _settle(self, number, outcome, reason=""):
        setattr(self, outcome, getattr(self, outcome) + 1)
        self._outcomes.add(number, outcome, reason)

    def _report(self):
        """How far it is, unless the script tells that itself."""
        now = time.monotonic()
        if _channel.told or now < self._next_report:
            return
        self._next_report = now + REPORT_SECONDS
        _channel.report(min(1.0, self._file.buffer.tell() / self._size), f"row {self._number}")

    def close(self):
        """No more rows are read. Done by itself at the end of the file."""
        self._file.close()
        self._outcomes.close()
        atexit.unregister(self._at_exit)

    def _at_exit(self):
        """The script ends within a row: by an exception that is a failure of the row, else nobody knows how far it got."""
        error = getattr(sys, "last_value", None)
        if self._current is not None and error is not None:
            self._current.fail(f"{type(error).__name__}: {error}")
        self.close()


def _listed(names):
    return ", ".join(repr(name) for name in names)


class Outcomes:
    """What became of each row, as a CSV in the run's directory: a line is written when a row is done, the last of a row counts.

    It belongs to one input as it is: for another content it begins anew. Outside the platform nothing is kept.
    """

    def __init__(self, path, resume):
        self.done = set()
        self._descriptor = None
        state = folder()
        if not state:
            return
        name = _name_of(path, state)
        place = os.path.join(os.environ.get("PYSCHED_RUN_DIR", "."), name)
        mark = os.path.join(state, name + ".of")
        print_of_input = _fingerprint(path)
        if resume and _content(mark) == print_of_input:
            self.done = _done(place)
        else:
            write_whole(place, b"row,outcome,reason\r\n")
            write_whole(mark, print_of_input)
        self._descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, number, outcome, reason):
        if self._descriptor is not None:
            words = '"{}"'.format(" ".join(reason.split())[:500].replace('"', '""')) if reason else ""
            # One write each, so that nothing of it is lost when the script is killed.
            os.write(self._descriptor, (f"{number},{outcome},{words}\r\n").encode("utf-8", "replace"))

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _name_of(path, state):
    count = _passes[path] = _passes.get(path, 0) + 1
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", os.path.splitext(os.path.basename(path))[0])[:60]
    return "rows-{}-{}{}.csv".format(os.path.basename(state), stem, "" if count == 1 else f"-{count}")


def _fingerprint(path):
    """What tells one content from another: the size, and the sum of the first megabyte."""
    import hashlib

    with open(path, "rb") as file:
        beginning = hashlib.sha256(file.read(1024 * 1024)).hexdigest()
    return json.dumps([os.stat(path).st_size, beginning]).encode()


def _content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _done(place):
    """The numbers of the rows that need not be done again."""
    last = {}
    for line in (_content(place) or b"").decode("utf-8", "replace").splitlines():
        number, _, rest = line.partition(",")
        if number.isdigit():
            last[int(number)] = rest.partition(",")[0]
    return {number for number, outcome in last.items() if outcome in (OK, SKIPPED)}
