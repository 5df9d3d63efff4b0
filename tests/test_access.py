"""Who may do what where, and what it costs to ask."""

import pytest

from accounts.access import abilities, audit_visible_to, require_somewhere, role_in, roles_in, team_for, team_named
from accounts.models import AuditEntry, User
from accounts.querysets import sees_all
from accounts.roles import Role
from accounts.services import create_api_key, create_team, set_member
from core.errors import Forbidden, InvalidInput
from schedules.services import create_schedule


def by_key(user, **more):
    """The user as he comes with a key."""
    key, _ = create_api_key(user=user, name="Test", by=None, **more)
    user = User.objects.get(pk=user.pk)
    user.key = key
    return user


@pytest.fixture
def twelve_teams(people):
    teams = [create_team(name=f"Team {number}", user=people.owner) for number in range(12)]
    for team in teams:
        set_member(team=team, member=people.viewer, role=Role.VIEWER, user=people.owner)
    return teams


def test_finding_the_team_for_a_new_thing_takes_no_query_per_team(people, twelve_teams, django_assert_max_num_queries):
    set_member(team=twelve_teams[3], member=people.viewer, role=Role.EDITOR, user=people.owner)
    with django_assert_max_num_queries(2):
        assert team_for(people.viewer, None, Role.EDITOR) == twelve_teams[3]
    with django_assert_max_num_queries(2), pytest.raises(InvalidInput, match=r"Which team\? Choose one of: team-0"):
        team_for(people.owner, None, Role.EDITOR)


def test_a_new_thing_goes_into_the_named_team_if_one_may_write_there(people, twelve_teams):
    assert team_for(people.owner, "team-5", Role.EDITOR) == twelve_teams[5]
    with pytest.raises(Forbidden, match="in Team 5 you are Viewer"):
        team_for(people.viewer, "team-5", Role.EDITOR)
    with pytest.raises(InvalidInput, match="no team 'team-5', or you are not in it"):
        team_named(people.stranger, "team-5")


def test_who_may_write_nowhere_is_told_the_same_at_every_door(people, as_user, make_thread):
    with pytest.raises(Forbidden) as refusal:
        require_somewhere(people.viewer, Role.EDITOR)
    words = refusal.value.message
    assert "Editor" in words
    assert "in no team" in words
    with pytest.raises(Forbidden, match="in no team"):
        team_for(people.viewer, None, Role.EDITOR)
    client = as_user(people.viewer)
    for method, path in (("post", "/threads/new"), ("post", "/threads/upload"), ("get", "/processes/new"), ("get", "/schedules/new")):
        answer = getattr(client, method)(path)
        assert (answer.status_code, words in answer.content.decode()) == (403, True), path


def test_roles_in_many_teams_are_asked_for_at_once(people, twelve_teams, django_assert_num_queries):
    set_member(team=twelve_teams[0], member=people.viewer, role=Role.OWNER, user=people.owner)
    with django_assert_num_queries(1):
        roles = roles_in(people.viewer, [*twelve_teams, people.other_team])
    assert roles == {twelve_teams[0].pk: Role.OWNER} | {team.pk: Role.VIEWER for team in twelve_teams[1:]}


def test_a_key_binds_the_role(people):
    assert role_in(by_key(people.owner, scopes=["run"]), people.team) is Role.RUNNER
    assert role_in(by_key(people.viewer), people.team) is Role.VIEWER
    assert role_in(by_key(people.operator, team=people.other_team), people.team) is None
    assert role_in(by_key(people.operator, scopes=["read"]), people.team) is Role.VIEWER


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("viewer", (False, False)),
        ("runner", (True, False)),
        ("editor", (True, True)),
        ("stranger", (False, False)),
        ("operator", (True, True)),
    ],
)
def test_what_a_page_offers_is_one_question(people, name, expected, django_assert_max_num_queries):
    with django_assert_max_num_queries(1):
        found = abilities(people.named(name), people.team)
    assert (found["may_run"], found["may_edit"]) == expected


@pytest.mark.parametrize("page", ["threads", "processes", "schedules"])
def test_a_page_asks_for_the_role_once(page, people, as_user, make_thread, make_process, django_assert_max_num_queries):
    thread = make_thread()
    schedule = create_schedule(team=people.team, user=people.editor, name="Hourly", target=thread, kind="interval", interval_seconds=3600)
    row = {"threads": thread, "processes": make_process(threads=[thread]), "schedules": schedule}[page]
    client = as_user(people.runner)
    with django_assert_max_num_queries(60) as seen:
        client.get(f"/{page}/{row.pk}")
    asked = [query["sql"] for query in seen if '"accounts_membership"."role"' in query["sql"]]
    assert len(asked) == 1, asked


def test_an_operator_sees_all_but_not_by_the_key_of_a_team(people):
    assert sees_all(people.operator)
    assert sees_all(by_key(people.operator))
    assert not sees_all(by_key(people.operator, team=people.team))
    assert not sees_all(people.owner)


def test_an_operators_key_reads_the_whole_audit_log_by_its_scope(people):
    AuditEntry.objects.create(verb="changed", target_type="user", username="operator")
    assert audit_visible_to(by_key(people.operator)).filter(team=None).exists()
    assert not audit_visible_to(by_key(people.operator, team=people.team)).filter(team=None).exists()
    with pytest.raises(Forbidden):
        audit_visible_to(by_key(people.operator, scopes=["read"]))
