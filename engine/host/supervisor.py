"""One supervisor per step: starts the script, keeps its log, ends it when it must end, says how it ended.

It is a subreaper, so no process of the script gets away from it, and it depends on nothing of the platform: worker,
cluster, web and clock may die or be replaced while the script runs on.
"""

import contextlib
import itertools
import json
import os
import resource
import select
import signal
import time
from typing import Any

from core.kernel import become_subreaper
from engine.host import kernel, records
from engine.host.hold import Hold
from engine.host.launch import spawn
from engine.host.masking import Masker
from engine.host.meter import Excess, Meter
from engine.host.outputs import read_outputs
from engine.host.pump import Pump
from engine.host.reports import ENDS_ITSELF, last_report

LEFT_BEHIND_GRACE = 2.0
SMALL_PIECE, GATHER_SECONDS = 16_384, 0.001
KILL_ROUNDS = 100


class Supervisor:
    """Life of one step. Times are monotonic seconds unless they end in `_at`."""

    def __init__(self, folder: str, secrets: dict[str, str]) -> None:
        self.folder = folder
        spec = records.read(os.path.join(folder, records.SPEC))
        assert spec, f"no {records.SPEC} in {folder}"
        self.spec: dict[str, Any] = spec
        # Here and in the script's environment alone: on no disk.
        spec["environment"].update(secrets)
        spec["secrets"] = list(secrets.values())
        self.masker = Masker(spec["secrets"])
        self.started_at = time.time()
        self.deadline = time.monotonic() + spec["timeout_seconds"]
        self.kill_at: float | None = None
        self.status: int | None = None
        self.has_children = False
        self.cause = ""
        self.detail = ""
        self.limit: int | None = None
        self.has_reported = self.ends_itself = False
        self.left_behind = 0
        self.child = 0
        self.hold = Hold(self._scripts)
        self.meter = Meter(folder, spec, self._scripts)

    def run(self, mark: int, boot_id: str) -> None:
        """Until nothing of the script is left; then the exit record, then the bell.

        `mark` is the open `supervisor.json`: written before the script starts, so who finds it empty knows it never did.
        """
        become_subreaper()
        self.signals = self._catch_signals()
        pid = os.getpid()
        identity = {"pid": pid, "start_ticks": kernel.start_ticks(pid), "boot_id": boot_id, "started_at": self.started_at}
        records.announce_start(self.folder, self.spec["running_folder"], self._name())
        os.write(mark, json.dumps(identity).encode())
        os.close(mark)
        output, self.progress = self._start()
        self.poll = select.poll()
        for descriptor in (output, self.progress, self.signals):
            self.poll.register(descriptor, select.POLLIN)
        while self.has_children:
            self._wait()
            self._enforce(time.monotonic())
        self._drain_output()
        self._finish()

    def _name(self) -> str:
        return records.step_name(self.spec["run"], self.spec["position"], self.spec["attempt"])

    # Start

    def _catch_signals(self) -> int:
        """SIGCHLD and SIGUSR1 ("there is a note for you") wake the loop. Caught before the script starts: none is missed."""
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        # Only SIGKILL ends a supervisor: a signal to a whole group or session is not meant for it.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        return reading

    def _start(self) -> tuple[int, int]:
        log = os.open(self.spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        output, output_end = os.pipe2(os.O_CLOEXEC)
        progress, progress_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(progress, False)
        self.pump = Pump(
            output,
            log,
            self.spec["log_limit_bytes"],
            self.spec["log_prefix"].encode(),
            marks=self.spec["log"] + records.MARKS,
            masker=self.masker,
        )
        # So that only what goes here, and nowhere else, is marked.
        self.spec["environment"]["PYSCHED_OUTPUT"] = str(os.fstat(output_end).st_ino)
        if self.spec["log_heading"]:
            os.write(log, self.spec["log_heading"].encode())
        self.spec["environment"]["PYSCHED_CHANNEL"] = str(progress_end)
        if self.spec["isolation"]["sandbox"]:
            self.spec["environment"]["PYSCHED_ENDING"] = str(os.fstat(progress_end).st_ino)
        self._obey()
        if not self.cause:
            try:
                self.child = spawn(self.spec, output_end, progress_end)
            except OSError as error:
                self.cause, self.detail = "start", str(error)
        self.has_children = bool(self.child)
        if self.hold.is_on:
            self.hold.look(time.monotonic())
        os.close(output_end)
        os.close(progress_end)
        return output, progress

    # Watch

    def _wait(self) -> None:
        times = [self.meter.next_sample, self.hold.next_look]
        if self.kill_at is not None:
            times.append(self.kill_at)
        elif self.status is None and not self.hold.is_on:
            times.append(self.deadline)
        pause = max(0.0, min(times) - time.monotonic())
        for descriptor, _ in self.poll.poll(pause * 1000 + 1):
            if descriptor == self.pump.source:
                moved = self.pump.move()
                self._tell_bar()
                self._limit(self.meter.count_output(moved))
                if moved == 0:
                    self.poll.unregister(descriptor)
                elif moved < SMALL_PIECE:
                    # Woken for each line the script would wait for us at each: let some gather.
                    time.sleep(GATHER_SECONDS)
            elif descriptor == self.progress:
                if not self._read_reports():
                    self.poll.unregister(descriptor)
            else:
                self._hear()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if signal.SIGUSR1 in os.read(self.signals, 4096):
                self._obey()
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.has_children = False
                return
            if pid == 0:
                return
            if pid == self.child:
                self._end_the_rest(status)

    def _end_the_rest(self, status: int) -> None:
        """The script is over; what it left running does not outlive it."""
        tree, excess = self.meter.count()
        # Of a bomb that grew until its first process could grow no more.
        self._limit(excess)
        self.status = status
        rest = [pid for pid in tree if kernel.start_ticks(pid) is not None]
        self.hold.end(time.monotonic())
        if rest and self.kill_at is None:
            self.left_behind = len(rest)
            kernel.signal_all(rest, signal.SIGCONT)
            kernel.signal_all(rest, signal.SIGTERM)
            self.kill_at = time.monotonic() + LEFT_BEHIND_GRACE

    def _tell_bar(self) -> None:
        """A bar in the output tells how far the script is, unless the script tells it itself."""
        if self.pump.has_bar_moved and not self.has_reported:
            self._tell({"share": self.pump.bars.share, "message": ""})
        self.pump.has_bar_moved = False

    def _read_reports(self) -> bool:
        """Of many reports the last good one counts; False at the end of the channel."""
        try:
            chunk = os.read(self.progress, 65536)
        except BlockingIOError:
            return True
        self.ends_itself |= ENDS_ITSELF in chunk
        if report := last_report(chunk, self.masker):
            self.has_reported = True
            self._tell(report)
        return bool(chunk)

    def _tell(self, report: dict[str, Any]) -> None:
        # However full the disk is: the script is not to blame.
        with contextlib.suppress(OSError):
            records.write(self.spec["progress"], {"position": self.spec["position"], **report})

    def _obey(self) -> None:
        """Is there a note that says to stop, or to stand still?"""
        note = records.read(os.path.join(self.folder, records.STOP))
        if note:
            self._end("stopped", note["detail"], grace=self.spec["grace_seconds"])
        elif self.cause or self.status is not None:
            return  # It is ending: a pause would only keep it from doing so.
        elif os.path.exists(os.path.join(self.folder, records.PAUSE)):
            self.hold.begin(time.monotonic())
        else:
            # Time that it stood still was not its own.
            self.deadline += self.hold.end(time.monotonic())

    def _scripts(self, most: int | None = None) -> list[int]:
        """What of all below us belongs to the script, no more than about `most`: of very many it takes long to find each.

        A sandbox has two processes of its own, and asked to end, it ends without grace.
        """
        tree = list(itertools.islice(kernel.descendants(os.getpid()), most))
        if not self.spec["isolation"]["sandbox"]:
            return tree
        of_sandbox = {*kernel.children(os.getpid()), *kernel.children(self.child)}
        return [pid for pid in tree if pid not in of_sandbox]

    # End

    def _enforce(self, now: float) -> None:
        if self.hold.is_on and now >= self.hold.next_look:
            self.hold.look(now)
        if now >= self.deadline and not self.hold.is_on:
            self._end("timeout", "", grace=self.spec["grace_seconds"])
        if now >= self.meter.next_sample:
            with kernel.first_in_line():
                self._limit(self.meter.sample(now))
        if self.kill_at is not None and now >= self.kill_at:
            with kernel.first_in_line():
                self._kill()
            self.kill_at = time.monotonic() + 0.02

    def _kill(self) -> None:
        """Until none is left. A tree that forks while it is killed has new members each time: no breath for those.

        Each as soon as it is found: with the first process of a sandbox die all the others.
        """
        killed: set[int] = set()
        for _ in range(KILL_ROUNDS):
            before = len(killed)
            for pid in kernel.descendants(os.getpid()):
                if pid not in killed:
                    kernel.signal_all([pid], signal.SIGKILL)
                    killed.add(pid)
            if len(killed) == before:
                break

    def _limit(self, excess: Excess | None) -> None:
        """It took more than it may: nothing of it goes on for a moment longer."""
        if excess and not self.cause and self.status is None:
            self.limit = excess.limit
            self._end(excess.cause, str(excess.used), grace=0)

    def _end(self, cause: str, detail: str, *, grace: float) -> None:
        """Ask all processes of the script to end; those that have not after `grace` seconds are killed."""
        if self.cause or self.status is not None:
            return
        self.cause, self.detail = cause, detail
        # Without any, its sandbox is still being made.
        tree = self._scripts() if grace > 0 else []
        if not tree:
            grace = 0
        else:
            kernel.signal_all(tree, signal.SIGTERM)
            kernel.signal_all(tree, signal.SIGCONT)
        self.hold.end(time.monotonic())
        self.kill_at = time.monotonic() + grace

    def _drain_output(self) -> None:
        """All writers are dead: what is still in the pipe is all there will be."""
        while select.select([self.pump.source], [], [], 0)[0] and self.pump.move():
            continue
        self.pump.finish()
        self._read_reports()

    def _finish(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        status = self.status
        record = {
            "run": self.spec["run"],
            "position": self.spec["position"],
            "attempt": self.spec["attempt"],
            "claim": self.spec["claim"],
            "cause": self.cause,
            "detail": self.detail,
            "limit": self.limit,
            **how_it_ended(status, tells_signals=not self.spec["isolation"]["sandbox"] or self.ends_itself),
            "started_at": self.started_at,
            "finished_at": time.time(),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_memory_bytes": max(self.meter.peak_bytes, usage.ru_maxrss * 1024),
            "left_behind": self.left_behind,
            "log_is_cut": self.pump.is_cut,
            "log_fault": self.pump.fault,
            "outputs": read_outputs(self.spec["directory"], self.spec["outputs"], self.masker),
        }
        self.meter.series.write()
        records.announce_end(self.folder, self.spec, record)
        records.ring_end(self.spec["bells"])


def how_it_ended(status: int | None, *, tells_signals: bool) -> dict[str, int | None]:
    """Exit code or signal of a wait status. A sandbox tells of a signal as shells do, by 128 and its number.

    A script may end with such a code by itself, but then its interpreter has said so: `tells_signals`.
    """
    if status is None:
        return {"exit_code": None, "signal": None}
    code = os.waitstatus_to_exitcode(status)
    if not tells_signals and 128 < code < 128 + signal.NSIG:
        code = 128 - code
    return {"exit_code": code if code >= 0 else None, "signal": -code if code < 0 else None}
