"""Where inotify is not to be had, or has overflowed, and what cannot be reached through a socket's other end."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import layout
from events import follow, inotify
from events.hub import MOST_PENDING, Hub, Subscriber
from events.outbox import Heard

pytestmark = pytest.mark.once


def event(number: int, subject: int | None = 1, team: int | None = 1, *, topic: str = "run", late: bool = False) -> Heard:
    return Heard(number, topic, subject, team, "{}", False, late)


def subscriber(*topics: tuple[str, int | None], teams: frozenset[int] | None = frozenset({1})) -> Subscriber:
    return Subscriber(frozenset(topics), teams)


def control(run_id: int) -> Path:
    folder = layout.control_folder(run_id)
    folder.mkdir(parents=True)
    return folder


async def followed(run_id: int, act: Callable[[], None], seconds: float) -> follow.Follower | None:
    """The follower, once it was woken by `act`; None when it was not in so many seconds."""
    woken = asyncio.Event()
    followers = follow.Followers(asyncio.get_running_loop())
    follower = followers.follow(run_id, wake := lambda _: woken.set())
    try:
        act()
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return None
    else:
        return follower
    finally:
        followers.unfollow(follower, wake)
        followers.close()


def test_a_change_is_noticed_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LOOK_SECONDS", 1000.0)
    folder = control(1)
    assert asyncio.run(followed(1, lambda: (folder / "log").write_bytes(b"x") and None, 30))


def test_without_inotify_files_are_looked_at(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def none(self: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify.Inotify, "__init__", none)
    folder = control(1)
    assert asyncio.run(followed(1, lambda: (folder / "log").write_bytes(b"x") and None, 30))
    assert "polling" in caplog.text


def test_a_folder_that_cannot_be_watched_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: Any, folder: Path) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify.Inotify, "watch", no_more)
    folder = control(1)
    assert asyncio.run(followed(1, lambda: (folder / "progress").write_text('{"share": 0.5}') and None, 30))


def test_a_change_that_inotify_lost_is_noticed_by_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify.Inotify, "read", lambda self: set())
    folder = control(1)
    assert asyncio.run(followed(1, lambda: (folder / "log").write_bytes(b"x") and None, 30))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff", b"7", b'{"share": ' + b"1" * 10_000 + b"}"])
def test_progress_that_makes_no_sense_is_passed_over(content: bytes) -> None:
    folder = control(1)
    follower = follow.Follower(1)
    (folder / "progress").write_bytes(b'{"position": 1, "share": 0.5, "message": ""}')
    follower.read_progress()
    (folder / "progress").write_bytes(content)
    follower.read_progress()
    assert follower.progress == '{"run":1,"position":1,"share":0.5,"message":""}'


def test_the_newest_state_of_a_subject_stands_for_those_before() -> None:
    one = subscriber(("run", None))
    for number in (3, 5, 4):
        one.offer(event(number))
    one.offer(event(2, subject=2, late=True))
    assert [found.id for found in one.take()] == [2, 5]
    assert one.take() == []


def test_what_was_replayed_is_not_told_again_unless_it_comes_late() -> None:
    one = subscriber(("run", None))
    one.floor = 10
    one.offer(event(9, subject=1))
    one.offer(event(8, subject=2, late=True))
    one.offer(event(11, subject=3))
    assert [found.id for found in one.take()] == [8, 11]


def test_too_much_that_waits_is_given_up_and_said() -> None:
    one = subscriber(("run", None))
    for number in range(MOST_PENDING + 1):
        one.offer(event(number + 1, subject=number))
    assert (one.overflowed, one.take()) == (True, [])


def test_events_go_to_who_asked_for_them_and_may_hear_them() -> None:
    hub = Hub()
    everyone = {
        "all runs": subscriber(("run", None)),
        "run 1": subscriber(("run", 1)),
        "run 2": subscriber(("run", 2)),
        "schedules": subscriber(("schedule", None)),
        "elsewhere": subscriber(("run", None), teams=frozenset({2})),
        "nowhere": subscriber(("run", None), teams=frozenset()),
        "operator": subscriber(("run", None), teams=None),
    }
    for one in everyone.values():
        hub.add(one)
    hub.deliver([event(1)])
    assert {name for name, one in everyone.items() if one.take()} == {"all runs", "run 1", "operator"}
    hub.deliver([event(2, team=None)])
    assert {name for name, one in everyone.items() if one.take()} == {"all runs", "run 1", "operator", "elsewhere", "nowhere"}
    for one in everyone.values():
        hub.remove(one)
    hub.deliver([event(3)])
    assert not any(one.take() for one in everyone.values())


def test_a_stream_that_comes_while_the_server_ends_is_closed() -> None:
    hub = Hub()
    hub.close()
    late = subscriber(("run", None))
    hub.add(late)
    assert late.closed
