"""The verbs about people, teams and keys."""

import pytest

from accounts import services
from accounts.models import ApiKey, AuditEntry, Membership, Team, User
from accounts.roles import Role
from accounts.services import create_api_key, create_team, delete_user, set_member
from core.errors import Conflict, Forbidden


@pytest.mark.parametrize("maker", ["owner", "editor"])
def test_nobody_makes_a_key_for_somebody_else(people, maker):
    for person in (people.operator, people.viewer):
        with pytest.raises(Forbidden, match="for yourself alone"):
            create_api_key(user=person, name="Stolen", by=people.named(maker))
    assert not ApiKey.objects.exists()
    assert create_api_key(user=people.named(maker), name="Own", by=people.named(maker))


def test_an_operator_makes_keys_for_others(people):
    key, _ = create_api_key(user=people.viewer, name="Given", by=people.operator)
    assert key.user == people.viewer


def test_two_who_make_a_team_of_one_name_at_once_both_get_one(people, monkeypatch):
    """The other's row appears between the look for a free slug and the writing."""
    real, came = services.first_free, []

    def overtaken(slug, taken):
        free = real(slug, taken)
        if not came:
            came.append(Team.objects.create(name="Sales", slug=free))
        return free

    monkeypatch.setattr(services, "first_free", overtaken)
    team = create_team(name="Sales", user=people.editor)
    assert (came[0].slug, team.slug) == ("sales", "sales-2")
    assert Membership.objects.get(team=team).role == Role.OWNER


def test_a_deleted_person_is_gone_and_what_he_made_stays(people, make_thread, make_run):
    thread, run = make_thread(), make_run(user=people.editor)
    create_api_key(user=people.editor, name="script", by=people.editor)
    username = people.editor.username
    delete_user(user=people.editor, by=people.operator)
    assert not User.objects.filter(username=username).exists()
    assert not ApiKey.objects.exists()
    thread.refresh_from_db()
    run.refresh_from_db()
    assert (thread.created_by, run.user) == (None, None)
    line = AuditEntry.objects.get(verb="deleted", target_type="user")
    assert (line.username, line.target_name) == ("operator", "editor")


def test_a_team_is_not_left_without_an_owner_by_deleting_him(people):
    with pytest.raises(Conflict, match="Weather would be left without an owner"):
        delete_user(user=people.owner, by=people.operator)
    assert User.objects.filter(pk=people.owner.pk).exists()
    set_member(team=people.team, member=people.editor, role=Role.OWNER, user=people.operator)
    delete_user(user=people.owner, by=people.operator)
    assert not User.objects.filter(username="owner").exists()


def test_people_are_deleted_by_operators_and_nobody_deletes_himself(people):
    with pytest.raises(Forbidden):
        delete_user(user=people.viewer, by=people.owner)
    with pytest.raises(Conflict, match="yourself"):
        delete_user(user=people.operator, by=people.operator)
    assert User.objects.filter(username__in=["viewer", "operator"]).count() == 2
