"""What a script may say to PyScheduler, and what it can rely on. Standard library only, Python 3.8 and newer.

    import threadkit

    for row in threadkit.rows(columns=["name", "url"]):     # goes on where a failed attempt stopped
        with row:                                           # one bad row does not stop the others
            fetch(row["url"])

    with threadkit.dataset("prices") as prices:             # whole or not at all
        (prices / "prices.csv").write_text("name,price\\n")

    threadkit.output("count", 42)                           # {{steps.NAME.outputs.count}} in a later step's parameters

Outside PyScheduler the same script runs as well: nothing is told to anybody and nothing is remembered.
"""

import json
import os

from threadkit._channel import progress
from threadkit._state import checkpoint, output, restore

__all__ = ["checkpoint", "dataset", "output", "parameters", "progress", "restore", "rows"]


def parameters():
    """The run's parameters as a dict; empty outside the platform."""
    return json.loads(os.environ.get("PYSCHED_PARAMETERS", "{}"))


def rows(path=None, columns=(), resume=True, delimiter=",", encoding="utf-8-sig"):
    """The rows of a CSV as dicts, one after another; without `path` those of the run's input file.

    The header is checked first: MissingColumns (a ValueError) names the `columns` that are not there. What became of each
    row (`ok`, `failed`, `skipped`) is kept in a file `rows-….csv` in the run's directory. When the step is tried again, or
    its run resumed, rows that were ok or skipped are passed over; `resume=False` begins anew.

    A row is ok when the next one is asked for. What goes wrong within `with row:` is printed and kept as `failed`, and the
    loop goes on; without it an exception ends the script as ever, and the next attempt begins with that row.

        todo = threadkit.rows(columns=["name", "price"])
        for row in todo:
            if not row["price"]:
                row.skip("no price")
                continue
            with row:
                save(row["name"], float(row["price"]))
        print(todo.ok, todo.failed, todo.skipped, todo.passed_over)
        sys.exit(1 if todo.failed else 0)                   # a retry does the failed ones again
    """
    # Here, not above: a script that only tells its progress does not wait for `csv`.
    from threadkit._rows import Rows

    return Rows(path, columns, resume, delimiter, encoding)


def dataset(name, **metadata):
    """A directory of files that appears whole or not at all, under `name` in the working directory.

    Files are written into a directory beside it. At the end of the block that gets a `manifest.json` (SHA-256, size and
    rows of each file, `metadata`) and takes its name in one step; an exception takes it away. One that was there before
    is kept as `name@1`, `name@2` and so on, by its version.

        with threadkit.dataset("prices", source="https://example.org") as prices:
            with open(prices / "prices.csv", "w") as file:
                file.write("name,price\\n")
            prices.metadata["complete"] = True
    """
    from threadkit._datasets import Dataset

    return Dataset(name, metadata)
