"""kill -9 of everything that a run stands on: it ends truthfully, once, and nothing of the script is left."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from core import layout
from engine import keeper
from engine.host import kernel, records
from engine.recovery import START_PATIENCE, is_tried_again
from history import ledger
from history.models import Run, StepRun
from history.services import request_stop
from history.status import Status
from tests.engine.conftest import Engine, keeper_pid, log_of, processes_of, supervisor_pid

pytestmark = pytest.mark.engine

Make = Callable[..., Any]

FAMILY = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    time.sleep(300)
print('ready', flush=True)
time.sleep(300)
"""


def gone(run: Run) -> bool:
    return processes_of(run) == []


def test_a_killed_supervisor_ends_the_script_and_the_run_is_lost(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Family", FAMILY)))
    assert len(processes_of(run)) >= 3
    os.kill(supervisor_pid(run), signal.SIGKILL)
    engine.finish(run)
    assert run.status == Status.LOST
    assert run.reason == "Its supervisor died (signal 9), so the script was stopped: how far it got is not known."
    assert gone(run)


def test_a_killed_keeper_leaves_the_script_running_and_its_end_is_recorded(engine: Engine, make_thread: Make, make_run: Make) -> None:
    source = "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')\n"
    run = engine.started(make_run(make_thread("Sturdy", source)))
    os.kill(keeper_pid(), signal.SIGKILL)
    (layout.run_directory(run.output_dir) / "go").touch()
    engine.finish(run)
    assert (run.status, log_of(run)) == (Status.SUCCESS, b"up\ndone\n")


def test_the_next_step_finds_a_new_keeper(engine: Engine, make_thread: Make, make_process: Make, make_run: Make) -> None:
    first = make_thread("First", "import time; print('up', flush=True); time.sleep(2)")
    run = engine.started(make_run(make_process(threads=[first, make_thread("Second", "print('second')")])))
    os.kill(keeper_pid(), signal.SIGKILL)
    engine.finish(run)
    assert run.status == Status.SUCCESS
    assert b"second" in log_of(run)


def test_keeper_and_supervisor_killed_together_leave_nothing(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Family", FAMILY)))
    killed = [keeper_pid(), supervisor_pid(run)]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    while keeper.supervisor_of(layout.step_folder(run.pk, 1, 1)):
        time.sleep(0.01)
    engine.look()
    engine.finish(run)
    assert run.status == Status.LOST
    assert "Its supervisor died, so the script was stopped" in run.reason
    assert gone(run)


def test_a_lost_bell_is_made_good_by_the_look(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Quiet", "import time; print('up', flush=True); time.sleep(2)")))
    link = layout.ended_folder() / records.step_name(run.pk, 1, 1)
    deadline = time.monotonic() + 60
    while not os.path.lexists(link):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    link.unlink()
    engine.look()
    run.refresh_from_db()
    assert run.status == Status.SUCCESS


def test_a_step_begun_but_never_started_is_asked_for_again(engine: Engine, make_thread: Make, make_run: Make) -> None:
    """The worker died between the commit and the keeper."""
    run = make_run(make_thread("Late", "print('ran')"))
    assert [step.run_id for step in ledger.claim("testhost", 8, isolation="plain")] == [run.pk]
    Run.objects.filter(pk=run.pk).update(host_key=_host())
    StepRun.objects.filter(run=run).update(started_at=timezone.now() - 2 * START_PATIENCE)
    engine.look()
    engine.finish(run)
    assert (run.status, log_of(run)) == (Status.SUCCESS, b"ran\n")


def test_asking_the_keeper_twice_starts_once(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Once", "import time\nprint('started', flush=True)\ntime.sleep(2)")))
    for _ in range(3):
        assert keeper.start_steps([keeper.Start(layout.step_folder(run.pk, 1, 1))]) == [""]
    engine.finish(run)
    assert log_of(run) == b"started\n"


def test_a_run_of_a_vanished_host_is_lost_with_the_reason(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = make_run(make_thread())
    ledger.claim("far-away", 8, isolation="plain")
    Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - 2 * ledger.LEASE)
    engine.look()
    run.refresh_from_db()
    assert run.status == Status.LOST
    assert run.reason.startswith("Host far-away has not been heard of since ")


def test_a_vanished_host_s_run_goes_on_here_with_its_next_attempt_when_there_are_retries(
    engine: Engine, make_thread: Make, make_process: Make, make_run: Make
) -> None:
    threads = [make_thread("First", "raise SystemExit('ran twice')"), make_thread("Second", "print('here')", retries=1)]
    run = make_run(make_process(threads=threads), priority=3)
    ledger.claim("far-away", 8, isolation="plain")
    StepRun.objects.filter(run=run, position=1).update(status=Status.SUCCESS, finished_at=timezone.now())
    StepRun.objects.filter(run=run, position=2).update(status=Status.RUNNING, started_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - 2 * ledger.LEASE)
    engine.look()
    run.refresh_from_db()
    again = engine.finish(Run.objects.get(retry_of=run))
    assert (run.status, again.status, again.attempt, again.priority, again.user) == (Status.LOST, Status.SUCCESS, 2, 3, run.user)
    first, second = again.steps.order_by("position")
    assert (first.status, first.reason) == (Status.SUCCESS, f"Done in run #{run.number}.")
    assert (second.attempt, [earlier["reason"] for earlier in second.earlier_attempts]) == (2, [run.reason])
    engine.look()
    assert Run.objects.count() == 2


@pytest.mark.parametrize("stopped", [False, True])
def test_a_vanished_host_s_run_that_waited_for_its_next_attempt_has_it_elsewhere_unless_it_was_stopped(
    engine: Engine, make_thread: Make, make_run: Make, stopped: bool
) -> None:
    run = make_run(make_thread("Waits", retries=1))
    ledger.claim("far-away", 8, isolation="plain")
    later = timezone.now() + 10 * ledger.LEASE
    StepRun.objects.filter(run=run).update(status=Status.QUEUED, attempt=2, not_before=later, started_at=None)
    asked = timezone.now() if stopped else None
    Run.objects.filter(pk=run.pk).update(not_before=later, lease_expires_at=timezone.now() - 2 * ledger.LEASE, stop_requested_at=asked)
    assert ledger.lose_abandoned("here", is_tried_again) == 1
    assert [step.attempt for step in StepRun.objects.filter(run__retry_of=run, status=Status.QUEUED)] == ([] if stopped else [2])


def test_a_run_whose_hosts_vanish_again_and_again_ends_with_its_last_attempt(engine: Engine, make_thread: Make, make_run: Make) -> None:
    make_run(make_thread("Unlucky", retries=2))
    for _ in range(3):
        assert ledger.claim("far-away", 8, isolation="plain")
        Run.objects.filter(status=Status.RUNNING).update(lease_expires_at=timezone.now() - 2 * ledger.LEASE)
        ledger.lose_abandoned("here", is_tried_again)
    assert [(run.status, run.attempt) for run in Run.objects.order_by("pk")] == [(Status.LOST, 1), (Status.LOST, 2), (Status.LOST, 3)]
    assert StepRun.objects.get(run__attempt=3).attempt == 3


def test_what_ran_when_the_host_was_restarted_is_lost_and_tried_again_if_it_may_be(
    engine: Engine, make_thread: Make, make_run: Make
) -> None:
    source = "import os, time\nprint('up', flush=True)\nif os.environ['PYSCHED_ATTEMPT'] == '1': time.sleep(300)\n"
    run = engine.started(make_run(make_thread("Late", source, retries=1, retry_delay_seconds=1)))
    identity = layout.step_folder(run.pk, 1, 1) / records.SUPERVISOR
    noted = records.read(str(identity))
    assert noted
    # As a restart leaves it: neither supervisor nor keeper is there to tell, and the boot is another one.
    for pid in (keeper_pid(), supervisor_pid(run)):
        os.kill(pid, signal.SIGKILL)
    records.write(str(identity), {**noted, "boot_id": "that of another boot"})
    engine.look()
    engine.until(lambda: run.steps.filter(status=Status.QUEUED, attempt=2).exists())
    Run.objects.filter(pk=run.pk).update(not_before=timezone.now())
    run.steps.update(not_before=timezone.now())
    engine.look()
    engine.finish(run)
    step = run.steps.get()
    assert (run.status, step.attempt) == (Status.SUCCESS, 2)
    [earlier] = step.earlier_attempts
    assert earlier["status"] == Status.LOST
    assert earlier["reason"].startswith("The host was restarted while it ran")


def test_a_script_whose_interpreter_is_gone_fails_with_the_reason(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, make_thread: Make, make_run: Make
) -> None:
    monkeypatch.setattr("engine.prepare.interpreter", lambda: "/nowhere/python")
    run = engine.finish(make_run(make_thread()))
    assert run.status == Status.FAILED
    assert run.reason == "It could not be started: [Errno 2] No such file or directory: '/nowhere/python'."


def test_a_version_deleted_while_it_waited_is_said(engine: Engine, people: Any, make_thread: Make, make_run: Make) -> None:
    from threads.services import delete_thread

    thread = make_thread("Gone")
    run = make_run(thread)
    delete_thread(thread=thread, user=people.editor)
    engine.finish(run)
    assert run.status == Status.FAILED
    assert "the version was deleted before it could run" in run.reason


def test_one_run_that_makes_trouble_does_not_stop_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, make_thread: Make, make_run: Make
) -> None:
    from engine import advance as module

    poisoned = make_run(make_thread("Poisoned"))
    fine = make_run(make_thread("Fine"))
    real = module.found_files

    def trip(run: Run, inputs: Any) -> Any:
        if run.pk == poisoned.pk:
            raise RuntimeError("poison")
        return real(run, inputs)

    monkeypatch.setattr(module, "found_files", trip)
    engine.finish(fine)
    assert fine.status == Status.SUCCESS
    engine.finish(poisoned)
    assert (poisoned.status, poisoned.reason) == (Status.SUCCESS, "What it left could not be read (RuntimeError).")


def test_what_another_database_left_under_a_run_s_id_is_not_taken_for_its_end(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = make_run(make_thread("New", "print('new')"))
    stale = layout.step_folder(run.pk, 1, 1)
    stale.mkdir(parents=True)
    (layout.control_folder(run.pk) / "claim").write_text("of another database")
    (layout.control_folder(run.pk) / "log").write_text("old\n")
    records.write(str(stale / records.SUPERVISOR), {"pid": 1, "start_ticks": 0, "boot_id": "", "started_at": 0})
    records.write(str(stale / records.EXIT), {"run": run.pk, "position": 1, "attempt": 1, "cause": "", "exit_code": 3, "finished_at": 1})
    layout.ended_folder().mkdir(exist_ok=True)
    (layout.ended_folder() / records.step_name(run.pk, 1, 1)).symlink_to(stale / records.EXIT)
    engine.finish(run)
    assert (run.status, log_of(run)) == (Status.SUCCESS, b"new\n")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_exit_record_makes_the_run_lost(engine: Engine, make_thread: Make, make_run: Make, content: str) -> None:
    run = engine.started(make_run(make_thread("Fine", "import time; print('up', flush=True); time.sleep(60)")))
    kernel.signal_all([supervisor_pid(run)], signal.SIGSTOP)
    (layout.step_folder(run.pk, 1, 1) / records.EXIT).write_text(content)
    engine.look()
    run.refresh_from_db()
    assert (run.status, run.reason) == (Status.LOST, "The record of its end is damaged: how far it got is not known.")


def test_a_stray_name_in_the_ended_folder_stops_nothing(engine: Engine, make_thread: Make, make_run: Make) -> None:
    layout.ended_folder().mkdir(exist_ok=True)
    for name in ("foo", "1.2", "a.b.c", "9" * 50 + ".1.1"):
        (layout.ended_folder() / name).touch()
    assert engine.finish(make_run(make_thread())).status == Status.SUCCESS
    engine.look()
    assert list(layout.ended_folder().iterdir()) == []


def test_a_keeper_that_is_stopped_makes_way(engine: Engine, monkeypatch: pytest.MonkeyPatch, make_thread: Make, make_run: Make) -> None:
    monkeypatch.setattr("engine.keeper.ANSWER_SECONDS", 0.5)
    os.kill(keeper_pid(), signal.SIGSTOP)
    assert engine.finish(make_run(make_thread())).status == Status.SUCCESS


def test_a_supervisor_that_is_stopped_still_obeys(engine: Engine, people: Any, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Holder", "import time; print('up', flush=True); time.sleep(60)")))
    os.kill(supervisor_pid(run), signal.SIGSTOP)
    request_stop(run=run, user=people.runner)
    engine.finish(run)
    assert run.status == Status.STOPPED


def test_a_script_whose_run_was_given_up_is_ended(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Forgotten", "import time; print('up', flush=True); time.sleep(60)")))
    Run.objects.filter(pk=run.pk).update(status=Status.LOST, reason="given up", finished_at=timezone.now())
    engine.look()
    engine.until(lambda: not processes_of(run))


def test_hundreds_of_steps_at_once_fit_into_the_keeper_s_messages(engine: Engine, settings: Any, make_thread: Make, make_run: Make) -> None:
    settings.MAX_RUNS = 400
    thread = make_thread("Many", "pass")
    runs = [make_run(thread) for _ in range(150)]
    engine.until(lambda: not Run.objects.exclude(status=Status.SUCCESS).exists(), 60)
    assert len(runs) == 150


def _host() -> str:
    from django.conf import settings

    return str(settings.HOST_KEY)


def test_an_end_that_comes_after_the_run_was_given_up_is_put_away(engine: Engine, make_thread: Make, make_run: Make) -> None:
    run = engine.started(make_run(make_thread("Late", "import time; print('up', flush=True); time.sleep(2)")))
    Run.objects.filter(pk=run.pk).update(status=Status.LOST, reason="given up", finished_at=timezone.now())
    link = layout.ended_folder() / records.step_name(run.pk, 1, 1)
    engine.until(lambda: os.path.lexists(link))
    engine.look()
    assert not os.path.lexists(link)
    run.refresh_from_db()
    assert run.reason == "given up"
