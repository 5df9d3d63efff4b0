"""How late the runs of 200 schedules are queued that come due in the same second, beside a process that only sleeps and inserts rows."""

import math
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.options import options
from bench.subject import Subject, subject
from bench.table import Row, below, median, quantile, show

DUE = 200
AHEAD_SECONDS = 3


def bare_lateness(folder: Path) -> float:
    """Sleep until a full second, then write as many rows in one transaction as runs and firings would be."""
    database = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, text)"
    )
    due = math.ceil(time.time() + 0.2)
    time.sleep(due - time.time())
    database.execute("BEGIN IMMEDIATE")
    database.executemany("INSERT INTO row (text) VALUES (?)", [("x" * 300,)] * (2 * DUE))
    database.execute("COMMIT")
    late = time.time() - due
    database.close()
    return 1000 * late


def our_lateness(platform: Subject) -> tuple[float, float, list[float]]:
    """Milliseconds after the due time at which the first and the last run were seen in the database, and each run's own `queued_at`."""
    highest = _highest_run(platform)
    due = math.ceil(time.time() + AHEAD_SECONDS)
    chosen = platform.pen("make_due", count=DUE, at=due)
    query = f"SELECT count(*) FROM history_run WHERE id > ? AND schedule_id IN ({','.join(map(str, chosen))})"
    # The database is looked into by the monotonic clock, schedules go by the time of day.
    offset = time.time() - time.monotonic()
    time.sleep(max(0.0, due - 0.05 - time.time()))
    first = platform.wait_for(query, (highest,), 1) + offset - due
    last = platform.wait_for(query, (highest,), DUE) + offset - due
    with platform.database() as database:
        ended = "SELECT count(*) FROM history_run WHERE id > ? AND finished_at IS NOT NULL"
        platform.wait_for(ended, (highest,), DUE)
        stamps = database.execute("SELECT queued_at FROM history_run WHERE id > ?", (highest,)).fetchall()
    queued = [datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() - due for (stamp,) in stamps]
    return 1000 * first, 1000 * last, [1000 * late for late in queued]


def _highest_run(platform: Subject) -> int:
    with platform.database() as database:
        return int(database.execute("SELECT coalesce(max(id), 0) FROM history_run").fetchone()[0])


def main() -> None:
    quick = options(__doc__).quick
    repeats = 1 if quick else 3
    rows: list[Row] = []
    with subject() as platform, tempfile.TemporaryDirectory() as folder:
        thread = platform.add_thread("Scheduled", "pass\n")
        platform.recorded_at(platform.trigger(thread))
        defined = 0
        for count in (1_000, 10_000):
            platform.pen("define_schedules", thread=thread, count=count - defined)
            defined = count
            bare, ours = [], []
            for _ in range(repeats):
                bare.append(bare_lateness(Path(folder)))
                ours.append(our_lateness(platform))
            first, last = ([times[at] for times in ours] for at in (0, 1))
            queued = [late for _, _, lates in ours for late in lates]
            rows += [
                Row(f"{count:,} defined: first run queued", "ms", median(bare), median(first), below(20, "ms")),
                Row(f"{count:,} defined: median of all, by their own `queued_at`", "ms", median(bare), median(queued)),
                Row(f"{count:,} defined: 99 of 100, by their own `queued_at`", "ms", median(bare), quantile(queued, 0.99)),
                Row(f"{count:,} defined: last run queued", "ms", median(bare), median(last), below(500, "ms")),
            ]
    show(
        f"Lateness of {DUE} schedules due in the same second, while their runs run (medians of {repeats}, in turn)",
        rows,
        ["queued: seen by another process, so committed"],
    )


if __name__ == "__main__":
    main()
