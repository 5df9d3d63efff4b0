"""Events: when they are heard, and what is heard by who comes late, again or too slowly."""

import os
import time

import pytest

from tests.installation import Installation

POSTGRES = os.environ.get("PYSCHED_TEST_DATABASE") == "postgres"


def test_an_event_is_heard_within_moments(site: Installation) -> None:
    stream = site.live("schedule")
    took = []
    for number in range(20):
        began = time.monotonic()
        site.tell("publish", topic="schedule", subject_id=5, team_id=site.team, number=number)
        message = stream.next()
        took.append(time.monotonic() - began)
        assert message == ("schedule", {"id": 5, "number": number})
    assert min(took) < 0.2, "a bell tells of it; a look at the table comes each second"


def test_an_event_without_a_bell_is_heard_a_second_later(site: Installation) -> None:
    stream = site.live("schedule")
    bells = site.folder / "bells"
    [bell] = [name for name in os.listdir(bells) if name.startswith("web-")]
    (bells / bell).rename(bells / "hidden")
    try:
        site.tell("publish", topic="schedule", subject_id=5, team_id=site.team)
        assert stream.next()
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
    found = again.all(3)
    # On PostgreSQL a state may be told twice: ids become visible out of order, so nothing says that it was told already.
    assert {(data["id"], data["n"]) for _, data in found} == {(1, 2), (2, 2)}, "the header wins; the newest state of each"
    assert len(found) == 2 or POSTGRES


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
    assert ("process", {"id": 9000}) in stream.all(3)


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
    deadline = time.monotonic() + 30
    while stream.last_id != f"{last}.0":
        assert stream.next(seconds=1) is None
        assert time.monotonic() < deadline


@pytest.mark.skipif(not POSTGRES, reason="ids become visible in order under SQLite's single writer")
def test_an_event_that_is_committed_late_is_heard(site: Installation) -> None:
    import psycopg

    insert = (
        "INSERT INTO events_event (topic, subject_id, team_id, payload, created_at) VALUES ('schedule', %s, %s, '{}', now()) RETURNING id"
    )
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
        ours = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        admin.execute(f"SELECT pg_terminate_backend(pid) {ours}")
        site.tell("reconnect")
        deadline = time.monotonic() + 30
        while admin.execute(f"SELECT count(*) {ours} AND query LIKE 'LISTEN%'").fetchone() != (1,):
            assert time.monotonic() < deadline, "it listens again"
            time.sleep(0.1)
        admin.execute(
            "INSERT INTO events_event (topic, subject_id, team_id, payload, created_at) VALUES ('schedule', 5, NULL, '{}', now())"
        )
        admin.execute("NOTIFY pyscheduler_events")
    assert stream.next() == ("schedule", {"id": 5})
