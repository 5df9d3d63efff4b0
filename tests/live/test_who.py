"""Who may listen to what, with real sockets."""

import json
import time

import pytest

from tests.installation import Installation, Listening


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
    "topics",
    ["", "nonsense", "run:x", "run:-1", "run:99999999999999999999", "log", "log:1,log:2", "run:", ",".join(f"run:{n}" for n in range(60))],
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
    assert [data["whose"] for _, data in site.live("run", cursor=before).all(3)] == ["ours"]


def test_a_stream_ends_with_its_session(site: Installation) -> None:
    session = site.tell("log_in", user_id=site.people["viewer"]["id"])
    stream = Listening(site.port, "/live?topics=run", {"Cookie": f"sessionid={session}"})
    assert not stream.is_over(1.5)
    site.tell("log_out", session=session)
    assert stream.is_over()


def test_who_leaves_a_team_stops_hearing_of_it(site: Installation, run: int) -> None:
    user = site.people["runner"]["id"]
    general, one = site.live("run", "runner"), site.live(f"run:{run}", "runner")
    site.tell("leave_team", user_id=user, team_id=site.team)
    assert one.is_over(), "a run that is no longer theirs"
    time.sleep(3)
    site.tell("publish", topic="run", subject_id=run, team_id=site.team, word="since")
    assert all("word" not in data for _, data in general.all(1))
