"""The verbs about schedules: who may, what is refused by which field, what becomes of due times when one changes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.names import MAX_NAME
from events.models import Event
from history.models import Run
from history.status import Trigger
from schedules.models import Firing, Schedule
from schedules.services import change_schedule, clone_schedule, create_schedule, delete_schedule, run_now, set_enabled, skip_next
from threads.services import change_thread

Maker = Callable[..., Any]


def latest_event() -> dict[str, Any]:
    event = Event.objects.filter(topic="schedule").latest("id")
    return {**event.payload, "team_id": event.team_id}


def test_a_cron_schedule_knows_its_next_time_in_its_own_zone(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(datetime(2026, 3, 28, 12, tzinfo=UTC))
    schedule = make_schedule(
        "  Night   shift ", cron=" 30  2 * * * ", timezone="Europe/Berlin", priority=5, parameters={"depth": [1, None]}
    )
    row = Schedule.objects.get(pk=schedule.pk)
    assert row.next_run_at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert (row.name, row.cron, row.priority, row.parameters) == ("Night shift", "30 2 * * *", 5, {"depth": [1, None]})
    assert latest_event() == {
        "id": row.pk, "name": "Night shift", "enabled": True, "next_run_at": "2026-03-29T01:00:00+00:00", "run_count": 0, "fault": "",
        "deleted": False, "outcome": None, "reason": "", "due_at": None, "run": None, "team_id": people.team.pk,
    }  # fmt: skip
    assert AuditEntry.objects.filter(verb="created", target_type="schedule", target_name="Night shift", user=people.editor).exists()


def test_the_first_time_of_an_interval_is_one_interval_away(make_schedule: Maker, at: Maker) -> None:
    at(now := datetime(2026, 3, 28, 12, 0, 7, 500, tzinfo=UTC))
    schedule = make_schedule(kind="interval", interval_seconds=90)
    assert schedule.next_run_at == schedule.anchor_at + timedelta(seconds=90)
    assert timedelta(seconds=89) < schedule.next_run_at - now <= timedelta(seconds=90)


def test_a_once_time_without_offset_is_wall_time_of_the_zone(make_schedule: Maker) -> None:
    year = timezone.now().year + 1
    schedule = make_schedule(kind="once", run_at=f"{year}-07-01T09:00", timezone="Europe/Berlin")
    assert schedule.next_run_at == datetime(year, 7, 1, 7, tzinfo=UTC)
    aware = make_schedule(kind="once", run_at=datetime(year, 7, 1, 9, tzinfo=UTC), timezone="Europe/Berlin")
    assert aware.next_run_at == datetime(year, 7, 1, 9, tzinfo=UTC)


def test_a_disabled_or_manual_schedule_has_no_next_time(make_schedule: Maker) -> None:
    assert make_schedule(enabled=False).next_run_at is None
    assert make_schedule(kind="manual").next_run_at is None


def test_what_a_kind_does_not_use_is_not_kept(make_schedule: Maker) -> None:
    schedule = make_schedule(kind="interval", interval_seconds=60, cron="61 nonsense", run_at="2020-01-01")
    assert (schedule.cron, schedule.run_at) == ("", None)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"cron": "61 * * * *"}, ["cron"]),
        ({"cron": "0 0 31 2 *"}, ["cron"]),
        ({"cron": "\0"}, ["cron"]),
        ({"cron": None}, ["cron"]),
        ({"kind": "interval", "interval_seconds": 0}, ["interval_seconds"]),
        ({"kind": "interval", "interval_seconds": 10**9}, ["interval_seconds"]),
        ({"kind": "interval", "interval_seconds": 1.5}, ["interval_seconds"]),
        ({"kind": "interval"}, ["interval_seconds"]),
        ({"kind": "once"}, ["run_at"]),
        ({"kind": "once", "run_at": datetime(2020, 1, 1, tzinfo=UTC)}, ["run_at"]),
        ({"kind": "once", "run_at": "\0"}, ["run_at"]),
        ({"kind": "yearly"}, ["kind"]),
        ({"starts_at": "soon"}, ["starts_at"]),
        ({"starts_at": "2031-01-01T00:00", "ends_at": "2031-01-01T00:00"}, ["ends_at"]),
        ({"ends_at": "2020-01-01T00:00"}, ["ends_at"]),
        ({"jitter_seconds": -1}, ["jitter_seconds"]),
        ({"jitter_seconds": 86401}, ["jitter_seconds"]),
        ({"jitter_seconds": "10"}, ["jitter_seconds"]),
        ({"overlap": "sometimes"}, ["overlap"]),
        ({"overlap": None}, ["overlap"]),
        ({"missed": ["all"]}, ["missed"]),
        ({"retries": 21}, ["retries"]),
        ({"timeout_seconds": 0}, ["timeout_seconds"]),
        ({"kind": {}}, ["kind"]),
        ({"timezone": "Mars/Olympus"}, ["timezone"]),
        ({"timezone": 5}, ["timezone"]),
        ({"name": ""}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": "x" * 300}, ["name"]),
        ({"name": None}, ["name"]),
        ({"enabled": "yes"}, ["enabled"]),
        ({"priority": 101}, ["priority"]),
        ({"priority": "high"}, ["priority"]),
        ({"priority": True}, ["priority"]),
        ({"parameters": ["a"]}, ["parameters"]),
        ({"parameters": {1: 2}}, ["parameters"]),
        ({"parameters": {"a": {2: 3}}}, ["parameters"]),
        ({"parameters": {"a": "\0"}}, ["parameters"]),
        ({"parameters": {"\ud800": 1}}, ["parameters"]),
        ({"parameters": {"a": float("nan")}}, ["parameters"]),
        ({"parameters": {"a": datetime(2026, 1, 1, tzinfo=UTC)}}, ["parameters"]),
        ({"parameters": {"a": "x" * 100_001}}, ["parameters"]),
        ({"target": "hello"}, ["target"]),
        ({"name": "", "cron": "x", "timezone": "x", "priority": 101}, ["name", "timezone", "cron", "priority"]),
    ],
)
def test_bad_input_is_refused_by_field_and_nothing_is_kept(make_schedule: Maker, given: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        make_schedule(**given)
    assert list(refusal.value.fields) == fields
    assert all(message for messages in refusal.value.fields.values() for message in messages)
    assert not Schedule.objects.exists()


def test_deeply_nested_parameters_are_refused(make_schedule: Maker) -> None:
    nested: Any = 1
    for _ in range(10_000):
        nested = [nested]
    with pytest.raises(InvalidInput, match="nested"):
        make_schedule(parameters={"a": nested})


def test_a_target_of_another_team_is_refused(make_schedule: Maker, make_thread: Maker, people: Any) -> None:
    foreign = make_thread(team=people.other_team, user=people.stranger)
    with pytest.raises(InvalidInput) as refusal:
        make_schedule(target=foreign)
    assert list(refusal.value.fields) == ["target"]


@pytest.mark.parametrize(("who", "error"), [("runner", Forbidden), ("viewer", Forbidden), ("stranger", NotFound)])
def test_only_editors_write_schedules(make_schedule: Maker, people: Any, who: str, error: type[Exception]) -> None:
    schedule, user = make_schedule(), people.named(who)
    verbs: list[Callable[[], Any]] = [
        lambda: create_schedule(team=people.team, user=user, name="Mine", target=schedule.target, kind="manual"),
        lambda: change_schedule(schedule=schedule, user=user, name="Mine"),
        lambda: set_enabled(schedule=schedule, user=user, enabled=False),
        lambda: delete_schedule(schedule=schedule, user=user),
    ]
    for verb in verbs:
        with pytest.raises(error):
            verb()
    assert list(Schedule.objects.values_list("name", "enabled")) == [("Hourly", True)]


def test_a_new_timing_counts_from_now_and_other_changes_leave_the_next_time(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule(kind="interval", interval_seconds=3600)
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=schedule.next_run_at - timedelta(minutes=30))
    renamed: Any = change_schedule(
        schedule=schedule, user=people.editor, name="Renamed", priority=7, kind="interval", interval_seconds=3600
    )
    assert renamed.next_run_at == schedule.next_run_at - timedelta(minutes=30)
    moved: Any = change_schedule(schedule=schedule, user=people.editor, interval_seconds=60)
    assert timedelta(seconds=58) < moved.next_run_at - timezone.now() <= timedelta(seconds=60)
    nightly: Any = change_schedule(schedule=schedule, user=people.editor, kind="cron", cron="0 2 * * *", timezone="Asia/Tokyo")
    assert (nightly.next_run_at.hour, nightly.interval_seconds) == (17, None)
    assert list(AuditEntry.objects.filter(verb="changed").order_by("pk").values_list("detail", flat=True))[1] == {
        "fields": ["interval_seconds"]
    }


def test_a_change_that_changes_nothing_tells_nobody(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    told = Event.objects.count()
    change_schedule(schedule=schedule, user=people.editor, name="Hourly", kind="cron", cron="0 * * * *", timezone="UTC", enabled=True)
    assert Event.objects.count() == told
    assert not AuditEntry.objects.filter(verb="changed").exists()


def test_a_change_is_checked_like_a_creation(make_schedule: Maker, make_thread: Maker, people: Any) -> None:
    schedule = make_schedule()
    for changes, field in (
        ({"cron": "61 * * * *"}, "cron"),
        ({"kind": "interval"}, "interval_seconds"),
        ({"kind": "once"}, "run_at"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"target": make_thread(team=people.other_team, user=people.stranger)}, "target"),
        ({"team": people.other_team}, "team"),
        ({"next_run_at": None}, "next_run_at"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            change_schedule(schedule=schedule, user=people.editor, **changes)
        assert list(refusal.value.fields) == [field]
    assert Schedule.objects.get().cron == "0 * * * *"


def test_the_target_can_become_a_process(make_schedule: Maker, make_process: Maker, people: Any) -> None:
    process = make_process()
    schedule = change_schedule(schedule=make_schedule(), user=people.editor, target=process)
    assert Schedule.objects.get(pk=schedule.pk).target == process


def test_a_once_that_has_run_can_be_renamed_but_not_enabled_again(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule(kind="once", run_at=timezone.now() + timedelta(hours=1))
    past = timezone.now() - timedelta(hours=1)
    Schedule.objects.filter(pk=schedule.pk).update(run_at=past, next_run_at=None)
    renamed = change_schedule(schedule=schedule, user=people.editor, name="Done", kind="once", run_at=past, timezone="UTC")
    assert renamed.name == "Done"
    set_enabled(schedule=schedule, user=people.editor, enabled=False)
    with pytest.raises(Conflict, match="has passed"):
        set_enabled(schedule=schedule, user=people.editor, enabled=True)
    with pytest.raises(InvalidInput):
        change_schedule(schedule=schedule, user=people.editor, run_at=past - timedelta(hours=1))


def test_a_change_enables_by_the_same_rules_as_the_switch(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule(kind="once", run_at=timezone.now() + timedelta(hours=1), enabled=False)
    past = timezone.now() - timedelta(hours=1)
    Schedule.objects.filter(pk=schedule.pk).update(run_at=past)
    with pytest.raises(Conflict, match="has passed"):
        change_schedule(schedule=schedule, user=people.editor, name="Again", enabled=True)
    assert Schedule.objects.filter(name="Hourly", enabled=False).exists()
    later = timezone.now() + timedelta(hours=2)
    changed = change_schedule(schedule=schedule, user=people.editor, run_at=later, enabled=True)
    assert (changed.enabled, changed.next_run_at) == (True, later)
    verbs = AuditEntry.objects.filter(target_type="schedule").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["created", "changed", "enabled"]
    assert Event.objects.filter(topic="schedule").count() == 2


def test_a_change_that_enables_tries_one_again_that_was_set_aside(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    Schedule.objects.filter(pk=schedule.pk).update(fault="The zone was gone.", next_run_at=None)
    tried = change_schedule(schedule=schedule, user=people.editor, enabled=True)
    assert (tried.fault, tried.next_run_at is None) == ("", False)


def test_times_while_a_schedule_is_disabled_count_for_nothing(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    off = set_enabled(schedule=schedule, user=people.editor, enabled=False)
    assert (off.enabled, off.next_run_at) == (False, None)
    assert set_enabled(schedule=schedule, user=people.editor, enabled=False).enabled is False
    on: Any = set_enabled(schedule=schedule, user=people.editor, enabled=True)
    assert on.next_run_at > timezone.now()
    assert not Firing.objects.exists()
    assert list(AuditEntry.objects.filter(target_type="schedule").order_by("pk").values_list("verb", flat=True)) == [
        "created",
        "disabled",
        "enabled",
    ]


@pytest.mark.parametrize("how", ["disable", "change"])
def test_a_due_time_that_nobody_will_start_any_more_is_recorded(make_schedule: Maker, people: Any, at: Maker, how: str) -> None:
    at(datetime(2026, 5, 4, 9, 30, tzinfo=UTC))
    schedule = make_schedule()
    at(datetime(2026, 5, 4, 11, 30, tzinfo=UTC))
    if how == "disable":
        set_enabled(schedule=schedule, user=people.editor, enabled=False)
    else:
        change_schedule(schedule=schedule, user=people.editor, cron="15 * * * *")
    rows = Firing.objects.order_by("due_at")
    assert [(row.due_at.hour, row.outcome) for row in rows] == [(10, "skipped"), (11, "skipped")]
    assert all(row.reason.startswith("editor ") and row.run is None for row in rows)


def test_a_schedule_with_a_broken_row_can_be_disabled_and_repaired(make_schedule: Maker, people: Any, make_due: Maker) -> None:
    schedule = make_schedule()
    Schedule.objects.filter(pk=schedule.pk).update(cron="broken")
    make_due(schedule)
    set_enabled(schedule=schedule, user=people.editor, enabled=False)
    assert Firing.objects.count() == 1
    with pytest.raises(InvalidInput):
        set_enabled(schedule=schedule, user=people.editor, enabled=True)
    repaired: Any = change_schedule(schedule=schedule, user=people.editor, cron="0 * * * *", enabled=True)
    assert repaired.next_run_at > timezone.now()


def test_run_now_queues_a_run_that_knows_its_schedule(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule(priority=9, parameters={"depth": 2}, enabled=False)
    run = run_now(schedule=schedule, user=people.runner)
    row = Run.objects.get()
    assert run == row
    assert (row.schedule_id, row.schedule_name, row.trigger, row.user) == (schedule.pk, "Hourly", Trigger.MANUAL, people.runner)
    assert (row.priority, row.parameters) == (9, {"depth": 2})
    assert Schedule.objects.get().run_count == 1
    assert not Firing.objects.exists()
    assert AuditEntry.objects.filter(verb="started", user=people.runner).exists()


def test_run_now_is_refused_by_role_and_by_what_is_missing(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    with pytest.raises(Forbidden):
        run_now(schedule=schedule, user=people.viewer)
    with pytest.raises(NotFound):
        run_now(schedule=schedule, user=people.stranger)
    change_thread(thread=schedule.target, user=people.editor, enabled=False)
    with pytest.raises(Conflict, match="disabled"):
        run_now(schedule=Schedule.objects.get(), user=people.runner)
    assert not Run.objects.exists()


def test_deleting_tells_the_streams_and_keeps_the_runs(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    run = run_now(schedule=schedule, user=people.runner)
    delete_schedule(schedule=schedule, user=people.editor)
    assert not Schedule.objects.exists()
    assert Run.objects.get() == run
    assert latest_event()["deleted"] is True
    with pytest.raises(NotFound):
        change_schedule(schedule=Schedule(pk=schedule.pk or 1, team=people.team), user=people.editor, name="Gone")


def test_a_team_sees_its_own_schedules_alone(make_schedule: Maker, people: Any) -> None:
    make_schedule()
    assert Schedule.objects.visible_to(people.viewer).count() == 1
    assert Schedule.objects.visible_to(people.operator).count() == 1
    assert Schedule.objects.visible_to(people.stranger).count() == 0


def test_deleting_the_target_takes_its_schedules_along(make_schedule: Maker, make_thread: Maker) -> None:
    thread = make_thread()
    make_schedule(target=thread)
    thread.delete()
    assert not Schedule.objects.exists()


def test_the_next_time_alone_is_left_out_and_one_may_think_again(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    assert skip_next(schedule=schedule, user=people.editor).skip_next_by == "editor"
    assert skip_next(schedule=schedule, user=people.editor, skip=False).skip_next_by == ""
    set_enabled(schedule=schedule, user=people.editor, enabled=False)
    with pytest.raises(Conflict, match="no time to come"):
        skip_next(schedule=schedule, user=people.editor)
    with pytest.raises(Forbidden):
        skip_next(schedule=schedule, user=people.runner)


def test_kinds_that_do_not_repeat_have_neither_bounds_nor_jitter(make_schedule: Maker) -> None:
    schedule = make_schedule(kind="url", starts_at="2031-01-01T00:00", ends_at="nonsense", jitter_seconds=5)
    assert (schedule.starts_at, schedule.ends_at, schedule.jitter_seconds, schedule.next_run_at) == (None, None, 0, None)


def test_a_new_start_moves_the_next_time_and_a_new_policy_does_not(make_schedule: Maker, people: Any) -> None:
    schedule = make_schedule()
    before = schedule.next_run_at
    assert change_schedule(schedule=schedule, user=people.editor, overlap="skip", missed="all", retries=2).next_run_at == before
    moved = change_schedule(schedule=schedule, user=people.editor, starts_at="2031-05-04T09:30", timezone="Europe/Berlin")
    assert moved.next_run_at == datetime(2031, 5, 4, 8, tzinfo=UTC)


def test_a_clone_has_all_of_the_original_but_its_name_and_is_disabled(make_schedule: Maker, people: Any) -> None:
    original = make_schedule(
        "N" * MAX_NAME, cron="5 4 * * *", overlap="skip", missed="all", jitter_seconds=9, retries=2, parameters={"a": 1}
    )
    copy = clone_schedule(schedule=original, user=people.editor)
    assert (copy.name, copy.enabled, copy.next_run_at) == ("N" * (MAX_NAME - 7) + " (copy)", False, None)
    own = {"id", "name", "enabled", "next_run_at", "next_due_at", "anchor_at", "created_at", "updated_at"}
    fields = [field.attname for field in Schedule._meta.concrete_fields if field.attname not in own]
    assert [getattr(copy, name) for name in fields] == [getattr(original, name) for name in fields]


def test_of_a_clone_an_end_that_has_passed_is_left_out_and_a_single_time_is_refused(make_schedule: Maker, people: Any, at: Maker) -> None:
    at(datetime(2026, 5, 4, tzinfo=UTC))
    ended = make_schedule(ends_at="2026-06-01T00:00")
    once = make_schedule(kind="once", run_at="2026-06-01T00:00")
    at(datetime(2026, 7, 1, tzinfo=UTC))
    assert clone_schedule(schedule=ended, user=people.editor).ends_at is None
    with pytest.raises(InvalidInput) as refusal:
        clone_schedule(schedule=once, user=people.editor)
    assert list(refusal.value.fields) == ["run_at"]
