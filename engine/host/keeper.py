"""The host's keeper: forks a supervisor for each step and cleans up after one that dies.

One small single-threaded process. It may die at any time: supervisors do not need it, and the next worker that does
starts another. A lock sees to it that there is never more than one.
"""

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

from core.kernel import become_subreaper, boot_id, hide_memory, renounce_privileges
from engine.host import kernel, records
from engine.host.supervisor import Supervisor

SOCKET, LOCK, KEY = "socket", "lock", "key"
IDLE_SECONDS = 60
MOST_BYTES = 262_144


class Keeper:
    """`folder` holds the socket, the lock and the key: who orders something proves by it that he may read there, as no script may."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.supervised: dict[int, str] = {}
        self.clients: dict[int, socket.socket] = {}

    def run(self) -> None:
        if not self._lock():
            return
        hide_memory()
        become_subreaper()
        # Inherited by all that comes after us: no script gains rights by a set-user-id program.
        renounce_privileges()
        self.boot_id = boot_id()
        self.filters = kernel.call_filters(os.getpid()) or 0
        self.server = self._listen()
        self.signals = self._catch_signals()
        self.poll = select.poll()
        self.poll.register(self.server, select.POLLIN)
        self.poll.register(self.signals, select.POLLIN)
        # What is here now stays as it is in all supervisors, shared with them.
        gc.collect()
        gc.freeze()
        gc.disable()
        self.has_to_quit = False
        while not self.has_to_quit and not self._is_forgotten():
            for descriptor, _ in self.poll.poll(IDLE_SECONDS * 1000):
                try:
                    self._turn(descriptor)
                except Exception:
                    sys.excepthook(*sys.exc_info())

    def _turn(self, descriptor: int) -> None:
        if descriptor == self.server.fileno():
            self._accept()
        elif descriptor == self.signals:
            self._reap()
        elif descriptor in self.clients:
            self._serve(descriptor)

    def _is_forgotten(self) -> bool:
        """Nothing to do, and nobody can ask any more: the installation's folder is gone, or another socket lies in its place."""
        try:
            return not self.supervised and os.stat(SOCKET).st_ino != self.inode
        except FileNotFoundError:
            return not self.supervised

    def _lock(self) -> bool:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.lock = os.open(os.path.join(self.folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # So that one which hangs can be ended by its pid.
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, str(os.getpid()).encode(), 0)
        return True

    def _listen(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        os.chdir(self.folder)  # A socket's address is short; a data path may not be.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        self.key = self._make_key()
        server.bind(SOCKET)
        os.chmod(SOCKET, 0o600)
        server.listen(128)
        self.inode = os.stat(SOCKET).st_ino
        return server

    def _make_key(self) -> str:
        """A new one for each keeper. There before the socket is, and whole: who finds the socket can read it."""
        key = os.urandom(32).hex()
        with open(os.open(f"{KEY}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(key)
        os.replace(f"{KEY}.new", KEY)
        return key

    def _catch_signals(self) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C in the terminal where the platform was started is not meant for us.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        return reading

    # Requests

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = self.server.accept()
            self.clients[client.fileno()] = client
            self.poll.register(client, select.POLLIN)

    def _serve(self, descriptor: int) -> None:
        """Answer one request, the one to quit by quitting."""
        client = self.clients[descriptor]
        try:
            message = client.recv(MOST_BYTES)
        except OSError:
            message = b""  # As from one who hangs up.
        request = {} if self._is_script(client) else _read(message)
        if request.get("key") != self.key:
            self.poll.unregister(descriptor)
            del self.clients[descriptor]
            client.close()
            return
        if request["do"] == "quit" and not self.supervised:
            self.has_to_quit = True
            # Before the socket is: who finds that closed starts another keeper, which must find the lock free.
            os.close(self.lock)
            return
        answer: object = {"supervised": len(self.supervised)}
        if request["do"] == "start":
            secrets = request.get("secrets", {})
            answer = [self._start(folder, secrets.get(folder, {})) for folder in request["folders"]]
        with contextlib.suppress(OSError):
            client.send(json.dumps(answer).encode())

    def _is_script(self, client: socket.socket) -> bool:
        """Did a script connect, or one who is gone? Landlock does not keep it from our socket, but it bears a filter that we do not.

        A first look alone: a pid is used again, and then says nothing of who connected. What lets nobody in is the key.
        """
        pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
        filters = kernel.call_filters(pid)
        return filters is None or filters > self.filters

    def _start(self, folder: str, secrets: dict[str, str]) -> str:
        """Fork a supervisor for the step, unless one was forked before: asking twice starts once. Returns the fault, "" for none."""
        try:
            mark = os.open(os.path.join(folder, records.SUPERVISOR), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return ""
        except OSError as error:
            return str(error)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(mark)
            os.unlink(os.path.join(folder, records.SUPERVISOR))
            return f"no process could be started ({error.strerror})"
        if pid == 0:
            self._become_supervisor(folder, mark, secrets)
        self.supervised[pid] = folder
        os.close(mark)
        return ""

    def _become_supervisor(self, folder: str, mark: int, secrets: dict[str, str]) -> None:
        status = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for descriptor in (self.server.fileno(), self.signals, self.lock, *self.clients):
                os.close(descriptor)
            Supervisor(folder, secrets).run(mark, self.boot_id)
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)

    # Ends

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.signals, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            folder = self.supervised.pop(pid, None)
            if folder is not None and status != 0:
                self._clean_up(folder, status)

    def _clean_up(self, folder: str, status: int) -> None:
        """A supervisor died: what it supervised came to us, its subreaper's parent. None of it lives on."""
        for _ in range(500):
            orphans = [child for child in kernel.descendants(os.getpid()) if not self._is_supervised(child)]
            if not kernel.signal_all(orphans, signal.SIGKILL):
                break
            time.sleep(0.002)
            self._reap_orphans(orphans)
        spec = records.read(os.path.join(folder, records.SPEC))
        if not spec or os.path.exists(os.path.join(folder, records.EXIT)):
            return
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        record = {
            "run": spec["run"],
            "position": spec["position"],
            "attempt": spec["attempt"],
            "claim": spec["claim"],
            "cause": "supervisor",
            "detail": how,
            "finished_at": time.time(),
        }
        records.announce_end(folder, spec, record)
        records.ring_end(spec["bells"])

    def _is_supervised(self, pid: int) -> bool:
        """Is the process one of the living supervisors, or below one?"""
        me = os.getpid()
        while pid not in (0, 1, me):
            if pid in self.supervised:
                return True
            pid = _parent_of(pid)
        return False

    def _reap_orphans(self, orphans: list[int]) -> None:
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _read(message: bytes) -> dict[str, Any]:
    """A request, empty when the message is none."""
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    Keeper(sys.argv[1]).run()
