"""The history by parts finds the very rows that the plain query finds, for everybody, at any place."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.roles import Role
from accounts.services import create_team, set_member
from core.paging import Cursor, by_id, page_of
from history import querysets
from history.models import Run
from history.querysets import Scope
from history.status import Status
from tests.conftest import People

Make = Callable[..., Any]


@pytest.fixture
def mixed(people: People, make_run: Make, make_thread: Make) -> list[Any]:
    """Forty runs of two teams in turn, some stopped; the viewer and the operator see both teams, the runner one."""
    team = create_team(name="Second", user=people.owner)
    set_member(team=team, member=people.viewer, role=Role.VIEWER, user=people.owner)
    threads = [make_thread(), make_thread("Far", team=team, user=people.owner)]
    runs = [make_run(threads[number % 2], people.owner) for number in range(40)]
    Run.objects.filter(pk__in=[run.pk for run in runs[::3]]).update(status=Status.STOPPED, finished_at=runs[0].queued_at)
    return runs


@pytest.mark.parametrize("who", ["viewer", "runner", "operator", "stranger"])
@pytest.mark.parametrize("statuses", [(), (Status.STOPPED,), (Status.QUEUED, Status.STOPPED, Status.LOST)])
@pytest.mark.parametrize("cursor", [None, Cursor(20, older=True), Cursor(20, older=False)])
def test_parts_change_nothing_but_the_way(
    people: People, mixed: list[Any], who: str, statuses: tuple[str, ...], cursor: Cursor | None
) -> None:
    user = people.named(who)
    rows = Run.objects.visible_to(user)
    rows = rows.filter(status__in=statuses) if statuses else rows
    if cursor:
        cursor = Cursor(mixed[cursor.id].pk, older=cursor.older)
    plain, parted = page_of(rows, cursor, 7), page_of(rows, cursor, 7, Scope(user).parts(statuses))
    assert (parted.rows, parted.next, parted.previous) == (plain.rows, plain.next, plain.previous)
    assert bool(parted.rows) is (who != "stranger")


def test_a_number_that_no_column_holds_finds_nothing(people: People, mixed: list[Any]) -> None:
    rows = Run.objects.filter(pk__gt=10**30)
    assert by_id(rows, 5, Scope(people.viewer).parts()) == []


def test_very_many_teams_are_walked_the_plain_way(people: People, mixed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(querysets, "MOST_TEAMS", 1)
    scope = Scope(people.viewer)
    assert scope.parts([Status.STOPPED]) == []
    assert [run.pk for run in scope.newest(50, [Status.STOPPED])] == [run.pk for run in mixed[::3]][::-1]


def test_heads_of_several_teams_cost_two_questions(people: People, mixed: list[Any], django_assert_num_queries: Any) -> None:
    scope = Scope(people.viewer)
    with django_assert_num_queries(2):
        assert len(scope.newest(10, [Status.STOPPED, Status.QUEUED])) == 10
