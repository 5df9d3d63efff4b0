"""Web, clock and workers as services of their own, on PostgreSQL; and the check of a live installation against both ways to run."""

import signal
from pathlib import Path

import pytest

from tests import postgres
from tests.engine.test_platform import WAITS, directory_on_disk
from tests.platform import Platform, platform

pytestmark = [pytest.mark.engine, pytest.mark.once]


def start_services(handle: Platform) -> None:
    handle.manage("prepare", "--no-demo")
    for service in ("web", "scheduler", "qcluster"):
        handle.start(service)
    handle.wait_until_ready()


def test_the_parts_run_as_services_on_postgresql_and_pass_the_check(tmp_path: Path) -> None:
    with postgres.server() as url, platform(tmp_path, {"PYSCHED_DATABASE_URL": url}) as handle:
        start_services(handle)
        said = handle.manage("verify")
        assert "over the API" in said, said
        run = handle.run_script(WAITS)
        handle.until(lambda: handle.log(run) == "up\n")
        for service in ("qcluster", "scheduler", "web"):
            handle.end(service, signal.SIGTERM)
        assert handle.scripts()
        directory_on_disk(handle).joinpath("go").touch()
        for service in ("web", "scheduler", "qcluster"):
            handle.start(service)
        handle.wait_until_ready()
        assert handle.finished(run)["status"] == "success"
        assert handle.log(run) == "up\ndone\n"


def test_the_check_passes_against_the_one_command(tmp_path: Path) -> None:
    with platform(tmp_path) as handle:
        handle.up()
        assert "over the API" in handle.manage("verify")


def test_the_check_says_what_is_missing(tmp_path: Path) -> None:
    """Without workers nothing runs: that must not pass."""
    with platform(tmp_path) as handle:
        handle.manage("prepare", "--no-demo")
        handle.start("web")
        handle.start("scheduler")
        handle.wait_until_ready()
        check = handle.start("verify", "--timeout", "8")
        assert check.wait(180) != 0
        assert handle.output("verify").strip()
