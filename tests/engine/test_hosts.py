"""Two worker hosts with data paths of their own, on one PostgreSQL."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.platform import Platform, platform

pytestmark = [pytest.mark.engine, pytest.mark.once]

SOURCE = "import sys\nprint(sys.prefix)\n"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Platform, Platform]]:
    """The first serves the web; the second has nothing but workers, once they are started."""
    with postgres.server() as url:
        given = {"PYSCHED_DATABASE_URL": url, "PYSCHED_SECRET_KEY": "one key for both of the hosts, long enough"}
        folders = [tmp_path / name for name in ("first", "second")]
        for folder in folders:
            folder.mkdir()
        # They share media, as hosts do.
        (folders[0] / "media").mkdir()
        (folders[1] / "media").symlink_to(folders[0] / "media")
        with platform(folders[0], given) as first, platform(folders[1], given) as second:
            yield first, second


def test_a_host_builds_the_environment_that_another_host_built_and_runs_in_it(hosts: tuple[Platform, Platform]) -> None:
    first, second = hosts
    first.up("--no-demo")
    thread = first.post("threads", {"name": "bare", "source": SOURCE, "python_version": f"3.{sys.version_info[1]}"})
    built = first.until(lambda: (found := first.get(f"threads/{thread['id']}/environment"))["status"] == "ready" and found, 120)
    run = first.finished(first.post(f"threads/{thread['id']}/run"), 120)
    place = Path("environments", "ready", built["key"])
    assert (run["status"], first.log(run)) == ("success", f"{first.folder / place}\n")
    first.end()
    assert not (second.folder / place).exists()
    second.start("qcluster")
    first.start("web")
    first.wait_until_ready()
    run = first.finished(first.post(f"threads/{thread['id']}/run"), 120)
    host = second.environment["PYSCHED_HOST_KEY"]
    assert (run["status"], run["reason"], run["worker"], run["attempt"]) == ("success", "", host, 1)
    assert (first.folder / "media" / "process_runs" / run["output_dir"] / "run.log").read_text() == f"{second.folder / place}\n"
