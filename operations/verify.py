"""The way of a run on a live installation, from the order to the files, and what was seen of it."""

import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone

from core import layout
from core.addresses import url_of
from operations.probe import Api, Missing, guest

DUE_SECONDS = 3
OUTPUT = "proof.txt"
SOURCE = """import os
from pathlib import Path

print("{mark}: run", os.environ["PYSCHED_RUN_ID"], "in", os.getcwd())
Path("{output}").write_text("{mark}")
"""

Say = Callable[[str], None]


def verify(*, url: str, timeout: float, say: Say) -> None:
    """Make a thread, a process of it and a schedule, wait for the run and look at what it left; remove it all.

    Returns when all was as it should be; Missing with the reason else. `say` gets a line for each thing seen.
    """
    with guest(say) as visitor:
        Check(Api(url, visitor.key), timeout, say).carry_out()


def local_url() -> str:
    """Where the platform listens by its configuration, as seen from this machine."""
    return url_of(settings.HOST, settings.PORT)


class Check:
    """One pass; `mark` is found again in log and output only if the script really ran."""

    def __init__(self, api: Api, timeout: float, say: Say) -> None:
        self.api, self.timeout, self.say = api, timeout, say
        self.mark = f"verify-{secrets.token_hex(8)}"

    def carry_out(self) -> None:
        self.look_at_health()
        run = self.wait_for_run(self.order())
        self.look_at_status(run)
        self.look_at_disk(run)
        self.look_at_api(run)

    def look_at_health(self) -> None:
        health = self.api.read("health")
        checks = ", ".join(f"{name} {state}" for name, state in health["checks"].items())
        self.say(f"Health of {self.api.url} is {health['status']}: {checks}.")

    def order(self) -> int:
        """The id of a schedule that is due in a few seconds."""
        source = SOURCE.format(mark=self.mark, output=OUTPUT)
        thread = self.api.read("threads", {"name": "Verify thread", "source": source, "timeout_seconds": 60})
        self.say(f"Made the thread {thread['safe_name']}.")
        process = self.api.read("processes", {"name": "Verify process", "steps": [{"thread": thread["id"], "stage": 1}]})
        self.say(f"Made the process {process['safe_name']} of it.")
        due = timezone.now() + timedelta(seconds=DUE_SECONDS)
        wanted = {"name": "Verify schedule", "target_type": "process", "target": process["id"], "kind": "once", "run_at": due.isoformat()}
        schedule = self.api.read("schedules", wanted)
        self.say(f"Scheduled it for {due:%H:%M:%S} UTC.")
        return int(schedule["id"])

    def wait_for_run(self, schedule: int) -> Any:
        """The finished run as the API shows it."""
        until = time.monotonic() + DUE_SECONDS + self.timeout
        runs: list[Any] = []
        while time.monotonic() < until:
            runs = self.api.read(f"runs?schedule={schedule}")["results"]
            if runs and runs[0]["finished_at"]:
                return self.api.read(f"runs/{runs[0]['id']}")
            time.sleep(0.2)
        if not runs:
            raise Missing(f"the schedule started no run within {self.timeout:.0f} s of its time; is the scheduler running?")
        raise Missing(f"the run is still {runs[0]['status']} after {self.timeout:.0f} s; are workers running?")

    def look_at_status(self, run: Any) -> None:
        if run["status"] != "success":
            raise Missing(f"the run ended as {run['status']}: {run['reason'] or 'no reason was recorded'}")
        self.say(
            f"Run {run['id']} was started by its {run['trigger']} and ended as success after {run['duration_ms']} ms on {run['worker']}."
        )

    def look_at_disk(self, run: Any) -> None:
        directory = layout.run_directory(run["output_dir"])
        if not run["output_dir"] or not directory.is_dir():
            raise Missing(f"the run's directory {directory} is not on this machine's disk")
        self.say(f"Its directory is {directory}.")
        for name, content in (("run.log", f"{self.mark}: run {run['id']} in"), (OUTPUT, self.mark)):
            try:
                found = (directory / name).read_text()
            except OSError as error:
                raise Missing(f"{directory / name} cannot be read ({error.strerror})") from None
            self.compare(found, content, str(directory / name))

    def look_at_api(self, run: Any) -> None:
        self.compare(self.api.content(f"runs/{run['id']}/log").decode(), f"{self.mark}: run {run['id']} in", "The log over the API")
        files = self.api.read(f"runs/{run['id']}/files")
        listed = [file["path"] for file in (files["results"] if isinstance(files, dict) else files)]
        if OUTPUT not in listed:
            raise Missing(f"the API lists {', '.join(listed) or 'no files'}, but not {OUTPUT}")
        self.compare(self.api.content(f"runs/{run['id']}/files/{quote(OUTPUT)}").decode(), self.mark, f"The file {OUTPUT} over the API")

    def compare(self, found: str, content: str, what: str) -> None:
        if content not in found:
            raise Missing(f"{what} does not hold what the script wrote; it begins with {found[:80]!r}")
        self.say(f"{what} holds what the script wrote.")
