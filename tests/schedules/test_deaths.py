"""Real clocks that are killed, hang and come back: no due time is lost, none is doubled."""

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from schedules.lease import LEASE_SECONDS
from tests.schedules.scene import Scene

pytestmark = pytest.mark.engine


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = Scene()
    yield found
    found.close()


def end(child: "subprocess.Popen[bytes]") -> None:
    """SIGTERM; returns when it has ended in order."""
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0


def settled(scene: Scene) -> dict[str, Any]:
    """The account once all clocks have ended."""
    for child in scene.clocks:
        if child.poll() is None:
            end(child)
    account: dict[str, Any] = scene.tell("account")
    assert account["fired"] == account["runs"] == account["counted"]
    assert (account["gaps"], account["doubles"]) == (0, 0), account
    return account


def leader_of(scene: Scene) -> "subprocess.Popen[bytes]":
    holder = scene.wait_for("lease", lambda name: name)
    return next(child for child in scene.clocks if f"/{child.pid}/" in holder)


def test_a_clock_fires_and_ends_in_order(scene: Scene) -> None:
    scene.tell("seed", schedules=3)
    clock = scene.start_clock()
    scene.wait_for("fired", lambda count: count >= 9)
    end(clock)
    assert scene.tell("lease") == ""
    settled(scene)


def test_killing_the_leader_loses_and_doubles_nothing(scene: Scene) -> None:
    scene.tell("seed", schedules=5)
    for _ in range(2):
        scene.start_clock()
    first = leader_of(scene)
    scene.wait_for("fired", lambda count: count >= 10)
    first.kill()
    first.wait()
    killed_at = scene.tell("fired")
    scene.wait_for("fired", lambda count: count >= killed_at + 15)
    assert leader_of(scene) is not first
    # A standby of the same machine sees that the leader's process is gone: it does not wait for the lease to end.
    assert settled(scene)["latest"] < LEASE_SECONDS


def test_a_leader_that_hangs_is_replaced_and_doubles_nothing_when_it_wakes(scene: Scene) -> None:
    scene.tell("seed", schedules=5)
    for _ in range(2):
        scene.start_clock()
    first = leader_of(scene)
    scene.wait_for("fired", lambda count: count >= 10)
    first.send_signal(signal.SIGSTOP)
    stopped_at = scene.tell("fired")
    scene.wait_for("fired", lambda count: count >= stopped_at + 15)
    assert leader_of(scene) is not first
    first.send_signal(signal.SIGCONT)
    woken_at = scene.tell("fired")
    scene.wait_for("fired", lambda count: count >= woken_at + 15)
    settled(scene)


def test_due_times_of_a_downtime_are_made_good_or_told(scene: Scene) -> None:
    scene.tell("seed", schedules=4)
    clock = scene.start_clock()
    scene.wait_for("fired", lambda count: count >= 8)
    clock.kill()
    clock.wait()
    time.sleep(3)
    killed_at = scene.tell("fired")
    scene.start_clock()
    scene.wait_for("fired", lambda count: count >= killed_at + 8)
    account = settled(scene)
    assert account["skipped"]
    assert account["latest"] < LEASE_SECONDS


def test_three_clocks_killed_at_random_keep_the_account_true(scene: Scene) -> None:
    scene.tell("seed", schedules=20)
    for _ in range(3):
        scene.start_clock()
    for _ in range(4):
        count = scene.tell("fired")
        scene.wait_for("fired", lambda now, count=count: now > count)
        victim = leader_of(scene)
        victim.kill()
        victim.wait()
        scene.clocks.remove(victim)
        scene.start_clock()
    count = scene.tell("fired")
    scene.wait_for("fired", lambda now: now >= count + 40)
    settled(scene)
