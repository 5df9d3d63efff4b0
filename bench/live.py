"""How long from a printed line until a client of the stream has it, and until it stands in the browser's page; beside a pipe."""

import http.client
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.environment import CLEAN, interpreter
from bench.options import options
from bench.subject import Subject, subject
from bench.table import Row, below, median, quantile, show
from tests.browser import CHROMIUM, opened
from tests.platform import PASSWORD

PAUSE_SECONDS = 0.1
# The page must be open before the first line: what it is told afterwards is another thing.
OPEN_SECONDS = 2.0
# The first line waits until somebody listens. Each line says when it was printed: a clock that the browser has too.
SCRIPT = """
import sys, time
time.sleep(float(sys.argv[1].partition("=")[2]))
for number in range({count}):
    print(f"line {{number}} at {{time.time():.6f}}", flush=True)
    time.sleep({pause})
"""
LINE = re.compile(r"line (\d+) at ([0-9.]+)")

# Notes for each line when it first stands in the page, in seconds of the epoch.
WATCH = """() => {
  window.seen = {};
  const look = () => {
    const now = (performance.timeOrigin + performance.now()) / 1000;
    const lines = document.querySelectorAll(".log-line");
    for (let at = lines.length - 1; at >= 0 && !(lines[at].textContent in window.seen); at -= 1) {
      window.seen[lines[at].textContent] = now;
    }
  };
  new MutationObserver(look).observe(document.body, { childList: true, characterData: true, subtree: true });
  look();
}"""


def bare_delays(script: Path, count: int) -> list[float]:
    command = [interpreter(), str(script), "--wait=0"]
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        return _complete([time.time() - _printed_at(line) for line in child.stdout], count)


def stream_delays(platform: Subject, thread: int, count: int) -> list[float]:
    """Of a client that reads the run's stream over the API and notes when a line's bytes have come."""
    run = int(platform.post(f"threads/{thread}/run", {"parameters": {"wait": 0.3}})["id"])
    connection = platform.begin("GET", f"/api/v1/runs/{run}/events")
    found = {}
    for data, came in _log_messages(connection):
        for number, printed in LINE.findall(data["text"]):
            found[number] = came - float(printed)
    connection.close()
    return _complete(list(found.values()), count)


def _log_messages(connection: http.client.HTTPConnection) -> Iterator[tuple[Any, float]]:
    """The log's pieces with the time they came, up to the run's end."""
    kind = ""
    with connection.getresponse() as stream:
        while line := stream.readline():
            came = time.time()
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "log":
                yield json.loads(value), came
            elif name == "data" and kind == "end":
                return


def page_delays(platform: Subject, page: Any, thread: int, count: int) -> list[float]:
    """In the run's page, until the line's element is in the document."""
    run = int(platform.post(f"threads/{thread}/run", {"parameters": {"wait": OPEN_SECONDS}})["id"])
    page.goto(f"{platform.url}/history/{run}")
    page.evaluate(WATCH)
    page.wait_for_timeout(1000 * (OPEN_SECONDS + count * PAUSE_SECONDS))
    platform.recorded_at(run)
    page.wait_for_timeout(300)
    return _complete([at - _printed_at(line) for line, at in page.evaluate("window.seen").items()], count)


def _printed_at(line: str) -> float:
    found = LINE.match(line)
    assert found, line
    return float(found[2])


def _complete(delays: list[float], count: int) -> list[float]:
    assert len(delays) == count, f"{len(delays)} lines came instead of {count}"
    return [1000 * delay for delay in delays]


@contextmanager
def browser_page(platform: Subject) -> Iterator[Any]:
    """A page of a logged-in browser; None where there is none."""
    if CHROMIUM is None:
        yield None
        return
    with opened() as page:
        page.goto(f"{platform.url}/login?next=/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", PASSWORD)
        page.click("form button")
        page.wait_for_selector("nav")
        yield page


def main() -> None:
    chosen = options(__doc__)
    repeats, count = (1, 20) if chosen.quick else (4, 50)
    source = SCRIPT.format(count=count, pause=PAUSE_SECONDS)
    bare, streamed, shown = [], [], []
    with subject() as platform, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "ticker.py")
        script.write_text(source)
        thread = platform.add_thread("Ticker", source)
        with browser_page(platform) as page:
            for _ in range(repeats):
                bare += bare_delays(script, count)
                streamed += stream_delays(platform, thread, count)
                if page:
                    shown += page_delays(platform, page, thread, count)
    _show(repeats * count, bare, streamed, shown)


def _show(count: int, bare: list[float], streamed: list[float], shown: list[float]) -> None:
    rows = []
    for what, delays in (("line printed -> read from the stream", streamed), ("line printed -> in the browser's page", shown)):
        if delays:
            rows += [
                Row(f"{what}, median", "ms", median(bare), median(delays), below(30, "ms")),
                Row(f"{what}, 99 of 100", "ms", quantile(bare, 0.99), quantile(delays, 0.99), below(100, "ms")),
            ]
    notes = ["bare: the same lines read from a pipe"] + ([] if shown else ["no Chromium was found: the page was not measured"])
    show(f"A live log at {1 / PAUSE_SECONDS:.0f} lines a second ({count} lines each)", rows, notes)


if __name__ == "__main__":
    main()
