"""The event streams with real sockets, files and databases: who hears what, when, and what happens when things go wrong."""

import contextlib
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation, Listening

PRELUDE = """
from events import stream
stream.RECHECK_SECONDS = 1.0
stream.HEARTBEAT_SECONDS = 2.0
"""
POSTGRES = os.environ.get("PYSCHED_TEST_DATABASE") == "postgres"


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation(PRELUDE)
    yield made
    made.close()


@pytest.fixture
def site(installation: Installation) -> Installation:
    """With a web server that runs; a test may end it."""
    if installation.web.poll() is not None:
        installation.start_web()
    return installation


@pytest.fixture
def run(site: Installation) -> int:
    return int(site.tell("new_run", user_id=site.people["owner"]["id"], team_id=site.team))


@pytest.fixture
def log(site: Installation, run: int) -> Path:
    site.tell("start_run", run_id=run)
    return site.control(run) / "log"


def add(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(data)


def text_of(messages: list[tuple[str, Any]]) -> str:
    return "".join(data["text"] for event, data in messages if event == "log")


# Who may listen


def test_a_stream_needs_a_log_in(site: Installation) -> None:
    nobody = Listening(site.port, "/live?topics=run", {})
    assert (nobody.status, "www-authenticate" in nobody.head.lower()) == (401, True)
    assert Listening(site.port, "/live?topics=run", {"Cookie": "sessionid=invented"}).status == 401
    assert Listening(site.port, "/live?topics=run", site.key("viewer")).status == 401, "keys are for the API"


def test_the_api_refuses_in_the_shape_of_all_its_errors(site: Installation) -> None:
    for path, headers, status, code in (
        ("/api/v1/events", {}, 401, "not_authenticated"),
        ("/api/v1/events", {"Authorization": "Bearer psk_wrong"}, 401, "not_authenticated"),
        ("/api/v1/events", {"Authorization": "Bearer psk_wrong"} | site.cookie("viewer"), 401, "not_authenticated"),
        ("/api/v1/runs/999999/events", site.key("viewer"), 404, "not_found"),
        ("/api/v1/runs/999999999999999999/events", site.key("viewer"), 404, "not_found"),
    ):
        answer = site.request("GET", path, headers=headers)
        assert answer[0] == status
        assert json.loads(answer[2])["error"].keys() == {"code", "message", "fields"}
        assert json.loads(answer[2])["error"]["code"] == code
    assert site.request("POST", "/api/v1/events", headers=site.key("viewer"))[0] == 405


@pytest.mark.parametrize(
    "topics", ["", "nonsense", "run:x", "run:-1", "run:99999999999999999999", "log", "log:1,log:2", "run:", ",".join(f"run:{n}" for n in range(60))]
)
def test_topics_that_make_no_sense_are_refused(site: Installation, topics: str) -> None:
    assert site.live(topics).status == 400


def test_another_teams_run_is_not_there(site: Installation, run: int) -> None:
    for who, status in (("stranger", 404), ("viewer", 200), ("operator", 200)):
        assert site.live(f"run:{run}", who).status == status
        assert site.live(f"log:{run}", who).status == status
        assert site.api(f"/api/v1/runs/{run}/events", who).status == status


def test_pages_of_other_sites_and_names_that_are_not_ours_are_refused(site: Installation) -> None:
    origin = f"http://127.0.0.1:{site.port}"
    assert site.live("run", headers={"Origin": origin}).status == 200
    assert site.live("run", headers={"Origin": "http://evil.example"}).status == 403
    assert site.live("run", headers={"Origin": "null"}).status == 403
    assert site.request("GET", "/live?topics=run", headers=site.cookie("viewer") | {"Host": "evil.example"})[0] == 400


def test_events_of_other_teams_never_reach_a_stream(site: Installation) -> None:
    streams = {who: site.live("run,schedule", who) for who in ("viewer", "stranger", "operator")}
    keyed = {who: site.api("/api/v1/events", who) for who in ("viewer", "stranger", "operator")}
    site.tell("publish", topic="run", subject_id=1, team_id=site.team, whose="ours")
    site.tell("publish", topic="run", subject_id=2, team_id=site.other_team, whose="theirs")
    site.tell("publish", topic="schedule", subject_id=3, team_id=None, whose="all")
    expected = {"viewer": ["ours", "all"], "stranger": ["theirs", "all"], "operator": ["ours", "theirs", "all"]}
    for who, words in expected.items():
        for stream in (streams[who], keyed[who]):
            assert [stream.next()[1]["whose"] for _ in words] == words  # type: ignore[index]
            assert stream.next(seconds=0.2) is None


def test_a_replay_leaks_nothing_either(site: Installation) -> None:
    before = site.tell("publish", topic="run", subject_id=1, team_id=None, whose="all")
    site.tell("publish", topic="run", subject_id=1, team_id=site.other_team, whose="theirs")
    site.tell("publish", topic="run", subject_id=2, team_id=site.team, whose="ours")
    assert [data["whose"] for _, data in site.live("run", cursor=before).all(1)] == ["ours"]


def test_a_stream_ends_with_its_session(site: Installation) -> None:
    session = site.tell("log_in", user_id=site.people["viewer"]["id"])
    stream = Listening(site.port, "/live?topics=run", {"Cookie": f"sessionid={session}"})
    assert not stream.is_over(1.5)
    site.tell("log_out", session=session)
    assert stream.is_over(5)


def test_who_leaves_a_team_stops_hearing_of_it(site: Installation, run: int) -> None:
    user = site.people["runner"]["id"]
    general, one = site.live("run", "runner"), site.live(f"run:{run}", "runner")
    site.tell("leave_team", user_id=user, team_id=site.team)
    assert one.is_over(5), "a run that is no longer theirs"
    time.sleep(1.2)
    site.tell("publish", topic="run", subject_id=run, team_id=site.team)
    assert general.next("run", seconds=0.5) is None


# Events


def test_an_event_is_heard_within_moments(site: Installation) -> None:
    stream = site.live("schedule")
    took = []
    for number in range(20):
        began = time.monotonic()
        site.tell("publish", topic="schedule", subject_id=5, team_id=site.team, number=number)
        message = stream.next()
        took.append(time.monotonic() - began)
        assert message == ("schedule", {"id": 5, "number": number})
    assert sorted(took)[10] < 0.2


def test_an_event_without_a_bell_is_heard_a_second_later(site: Installation) -> None:
    stream = site.live("schedule")
    bells = site.folder / "bells"
    [bell] = [name for name in os.listdir(bells) if name.startswith("web-")]
    (bells / bell).rename(bells / "hidden")
    try:
        site.tell("publish", topic="schedule", subject_id=5, team_id=site.team)
        assert stream.next(seconds=7)
    finally:
        (bells / "hidden").rename(bells / bell)


def test_a_stream_that_comes_back_is_told_what_it_missed(site: Installation) -> None:
    stream = site.live("schedule")
    site.tell("publish", topic="schedule", subject_id=1, team_id=site.team, word="seen")
    assert stream.next()
    stream.close()
    for subject in (1, 2):
        site.tell("publish", topic="schedule", subject_id=subject, team_id=site.team, word="missed", times=3)
    again = site.live("schedule", headers={"Last-Event-ID": stream.last_id}, cursor=0)
    found = again.all(1)
    assert sorted((data["id"], data["n"]) for _, data in found) == [(1, 2), (2, 2)], "the header wins; the newest state of each"


def test_a_page_hears_what_happened_while_it_was_drawn(site: Installation) -> None:
    cursor = site.tell("publish", topic="schedule", subject_id=1, team_id=site.team, word="before")
    site.tell("publish", topic="schedule", subject_id=1, team_id=site.team, word="while")
    assert site.live("schedule", cursor=cursor).next() == ("schedule", {"id": 1, "word": "while"})


def test_a_place_that_is_no_longer_kept_means_a_fresh_start(site: Installation) -> None:
    first = site.tell("publish", topic="schedule", subject_id=1, team_id=site.team)
    last = site.tell("publish", topic="schedule", subject_id=1, team_id=site.team, times=3)
    site.tell("forget_events", up_to=last - 1)
    stream = site.live("schedule", cursor=first)
    assert stream.next() == ("resync", {})
    stream = site.live("schedule", cursor=last + 1_000_000)
    assert stream.next() == ("resync", {}), "a place from another life of the database"
    site.tell("publish", topic="schedule", subject_id=1, team_id=site.team, word="new")
    assert stream.next() == ("schedule", {"id": 1, "word": "new"})


def test_a_reader_far_behind_is_told_to_start_afresh(site: Installation) -> None:
    stream = site.live("process")
    site.tell("publish_many", topic="process", first=1, count=1500, team_id=site.team)
    assert stream.next()[0] == "resync"  # type: ignore[index]
    site.tell("publish", topic="process", subject_id=9000, team_id=site.team)
    assert ("process", {"id": 9000}) in stream.all(1)


def test_a_browsers_fifth_stream_replaces_its_oldest(site: Installation) -> None:
    streams = [site.live("run", cid="browser") for _ in range(4)]
    others = [site.live("run", cid="other"), site.live("run"), site.live("run", "owner", cid="browser")]
    streams.append(site.live("run", cid="browser"))
    assert streams[0].next() == ("evicted", {})
    assert streams[0].is_over()
    site.tell("publish", topic="run", subject_id=1, team_id=site.team)
    for stream in (*streams[1:], *others):
        assert stream.next("run")


def test_a_heartbeat_moves_the_place_on(site: Installation) -> None:
    stream = site.live("process")
    last = site.tell("publish", topic="schedule", subject_id=1, team_id=site.other_team, times=5)
    assert stream.next(seconds=3) is None
    assert stream.last_id == f"{last}.0"


@pytest.mark.skipif(not POSTGRES, reason="ids become visible in order under SQLite's single writer")
def test_an_event_that_is_committed_late_is_heard(site: Installation) -> None:
    import psycopg

    insert = "INSERT INTO events_event (topic, subject_id, team_id, payload, created_at) VALUES ('schedule', %s, %s, '{}', now()) RETURNING id"
    stream = site.live("schedule")
    with psycopg.connect(site.database_url) as late:
        [late_id] = late.execute(insert, (70, site.team)).fetchone() or [0]
        cursor = site.tell("publish", topic="schedule", subject_id=71, team_id=site.team)
        assert stream.next() == ("schedule", {"id": 71})
        assert int(stream.last_id.split(".")[0]) < late_id < cursor, "the place to come back to lies before the gap"
        drawn_meanwhile = site.live("schedule", cursor=cursor)
        late.execute("NOTIFY pyscheduler_events")
        late.commit()
    assert stream.next() == ("schedule", {"id": 70})
    assert drawn_meanwhile.next() == ("schedule", {"id": 70})
    assert site.live("schedule", cursor=cursor).next() == ("schedule", {"id": 70}), "a page that was drawn before and came after"
    site.tell("publish", topic="schedule", subject_id=72, team_id=site.team)
    assert stream.next() == ("schedule", {"id": 72})


@pytest.mark.skipif(not POSTGRES, reason="SQLite has no connection to lose")
def test_a_lost_database_connection_is_made_again(site: Installation) -> None:
    import psycopg

    stream = site.live("schedule")
    with psycopg.connect(site.database_url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE '%%INSERT%%'")
        time.sleep(2.5)
        listening = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'").fetchone()
        assert listening == (1,)
        admin.execute("INSERT INTO events_event (topic, subject_id, team_id, payload, created_at) VALUES ('schedule', 5, NULL, '{}', now())")
        admin.execute("NOTIFY pyscheduler_events")
    assert stream.next(seconds=3) == ("schedule", {"id": 5})


# Logs and progress


def test_a_log_is_told_as_it_grows(site: Installation, run: int, log: Path) -> None:
    stream = site.live(f"run:{run},log:{run}")
    took = []
    for number in range(20):
        began = time.monotonic()
        add(log, f"line {number}\n".encode())
        message = stream.next("log")
        took.append(time.monotonic() - began)
        assert message
        assert message[1]["text"] == f"line {number}\n"
        time.sleep(0.035)
    assert sorted(took)[10] < 0.1
    assert stream.last_id.endswith(f".{log.stat().st_size}")


def test_the_log_of_a_run_that_waits_is_told_as_soon_as_it_starts(site: Installation, run: int) -> None:
    stream = site.live(f"run:{run},log:{run}")
    folder = site.control(run)
    add(folder / "log", b"first\n")
    site.tell("start_run", run_id=run)
    began = time.monotonic()
    assert stream.next("log") == ("log", {"run": run, "offset": 0, "text": "first\n", "next": 6})
    assert time.monotonic() - began < 0.2


def test_a_line_without_an_end_is_told_at_once_and_characters_are_never_split(site: Installation, run: int, log: Path) -> None:
    stream = site.live(f"log:{run}")
    add(log, b"half a line ")
    assert stream.next("log")[1]["text"] == "half a line "  # type: ignore[index]
    euro = "€".encode()
    add(log, euro[:2])
    assert stream.next("log", seconds=0.3) is None
    add(log, euro[2:] + b"\n")
    assert stream.next("log")[1]["text"] == "€\n"  # type: ignore[index]
    add(log, b"\xff\xfe binary \x00\n")
    assert stream.next("log")[1]["text"] == "\ufffd\ufffd binary \x00\n"  # type: ignore[index]


def test_a_stream_goes_on_from_its_offset(site: Installation, run: int, log: Path) -> None:
    add(log, b"one\ntwo\n")
    assert site.live(f"log:{run}", offset=4).next("log")[1]["text"] == "two\n"  # type: ignore[index]
    again = site.live(f"log:{run}", headers={"Last-Event-ID": "1.4"}, offset=0)
    assert again.next("log")[1]["text"] == "two\n"  # type: ignore[index]
    assert site.live(f"log:{run}", offset=10**15).next("log", seconds=0.3) is None


def test_a_page_far_behind_skips_to_the_last_part(site: Installation, run: int, log: Path) -> None:
    line = b"x" * 99 + b"\n"
    add(log, line * 20_000)
    stream = site.live(f"log:{run}")
    assert stream.next("log", "logskip") == ("logskip", {"run": run, "offset": 2_000_000 - 655 * 100})
    shown = [stream.next("log") for _ in range(3)]
    assert all(message and message[1]["text"].startswith("x") and message[1]["text"].endswith("\n") for message in shown)
    assert shown[-1] is not None
    assert shown[-1][1]["next"] == 2_000_000


def test_progress_is_told_when_it_is_replaced(site: Installation, run: int, log: Path) -> None:
    progress = log.parent / "progress"
    stream = site.live(f"run:{run},log:{run}")
    for share in (0.1, 0.5, None):
        content = {"position": 1, "share": share, "message": "on it"}
        temporary = log.parent / ".progress"
        temporary.write_text(json.dumps(content))
        temporary.rename(progress)
        assert stream.next("progress") == ("progress", {"run": run, **content})
        time.sleep(0.05)
    assert site.live(f"run:{run}").next("progress") == ("progress", {"run": run, "position": 1, "share": None, "message": "on it"})


def test_the_api_tells_a_run_from_its_state_to_its_end(site: Installation, run: int, log: Path) -> None:
    add(log, b"first\n")
    stream = site.api(f"/api/v1/runs/{run}/events")
    assert stream.next("run")[1]["status"] == "running"  # type: ignore[index]
    add(log, b"last, without an end \xe2\x82")
    site.tell("end_run", run_id=run)
    messages = stream.all()
    assert [event for event, _ in messages if event != "log"] == ["run", "end"]
    assert text_of(messages) == "first\nlast, without an end \ufffd"
    assert messages[-2][1]["status"] == "success"
    assert stream.is_over()


def test_the_api_tells_of_a_run_that_ended_long_ago(site: Installation, run: int, log: Path) -> None:
    add(log, b"all of it\n")
    site.tell("end_run", run_id=run, status="failed")
    site.tell("forget_events", up_to=10**9)
    messages = site.api(f"/api/v1/runs/{run}/events").all()
    assert [event for event, _ in messages] == ["log", "run", "end"]
    assert messages[1][1]["status"] == "failed"


def test_a_run_that_was_stopped_before_it_started_has_an_end_too(site: Installation, run: int) -> None:
    stream = site.api(f"/api/v1/runs/{run}/events")
    site.tell("end_run", run_id=run, status="stopped")
    assert [event for event, _ in stream.all()][-2:] == ["run", "end"]


def test_a_million_lines_arrive_whole_over_the_api_and_cost_the_server_no_memory(site: Installation, run: int, log: Path) -> None:
    lines = 1_000_000
    with log.open("wb") as file:
        for number in range(lines):
            file.write(b"line %07d of a log that is very long indeed\n" % number)
    size = log.stat().st_size
    before = memory(site.web.pid)
    stream = site.api(f"/api/v1/runs/{run}/events")
    site.tell("end_run", run_id=run)
    expected, count = 0, 0
    while message := stream.next(seconds=20):
        if message[0] == "log":
            assert message[1]["offset"] == expected
            expected = message[1]["next"]
            count += message[1]["text"].count("\n")
    assert (expected, count) == (size, lines)
    assert memory(site.web.pid) - before < 8 * 1024 * 1024


def memory(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_reader_that_stops_reading_costs_nothing_and_holds_up_nobody(site: Installation, run: int, log: Path) -> None:
    stuck, quick = site.live(f"run,log:{run}"), site.live(f"run,log:{run}")
    stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before = memory(site.web.pid)
    for number in range(60):
        add(log, b"y" * 99_999 + b"\n")
        site.tell("publish", topic="run", subject_id=run, team_id=site.team, number=number)
        assert quick.next("run")
    assert memory(site.web.pid) - before < 8 * 1024 * 1024
    newest = None
    while message := stuck.next(seconds=1):
        newest = message[1].get("number", newest)
    assert newest == 59, "it is told the newest in the end"


def test_a_client_that_is_killed_leaves_nothing_behind(site: Installation, run: int, log: Path) -> None:
    before = len(os.listdir(f"/proc/{site.web.pid}/fd"))
    for _ in range(30):
        stream = site.live(f"run:{run},log:{run}")
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        stream.close()
    deadline = time.monotonic() + 5
    while len(os.listdir(f"/proc/{site.web.pid}/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(os.listdir(f"/proc/{site.web.pid}/fd")) <= before


# The end


def test_a_thousand_open_streams_do_not_hold_up_the_end(site: Installation, run: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    streams: list[Listening] = []
    try:
        before = memory(site.web.pid)
        openers = [threading.Thread(target=lambda: streams.extend(site.live(f"run,log:{run}") for _ in range(250))) for _ in range(4)]
        for opener in openers:
            opener.start()
        for opener in openers:
            opener.join()
        assert [stream.status for stream in streams] == [200] * 1000
        per_stream = (memory(site.web.pid) - before) / 1000
        status, errors, seconds = site.end_web(20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (status, errors) == (0, "")
    assert seconds < 2
    assert all(stream.is_over(1) for stream in streams)
    assert per_stream < 40_000
    for stream in streams:
        stream.close()


def test_a_restart_in_the_middle_of_a_run_loses_nothing(site: Installation, run: int, log: Path) -> None:
    stream = site.live(f"run:{run},log:{run}")
    add(log, b"one\n")
    assert stream.next("log")
    assert site.end_web()[0] == 0
    add(log, b"two\n")
    site.tell("end_run", run_id=run)
    site.start_web()
    again = site.live(f"run:{run},log:{run}", headers={"Last-Event-ID": stream.last_id})
    assert [message[0] for message in again.all(1)] == ["log", "run"]


def test_a_slow_reader_does_not_hold_up_the_end(site: Installation, run: int, log: Path) -> None:
    stuck = Listening.__new__(Listening)
    stuck.socket = socket.create_connection(("127.0.0.1", site.port), timeout=5)
    head = f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
    stuck.socket.sendall(f"{head}Authorization: Bearer {site.people['viewer']['key']}\r\n\r\n".encode())
    add(log, b"z" * 99 + b"\n" * 1)
    with contextlib.suppress(OSError):
        add(log, (b"z" * 99 + b"\n") * 200_000)
    time.sleep(0.7)
    status, _, seconds = site.end_web(20)
    assert status == 0
    assert seconds < 2
    stuck.close()
