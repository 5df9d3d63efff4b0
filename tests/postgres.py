"""A PostgreSQL server for the tests, made of the installed binaries, in a folder of its own, gone afterwards."""

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import machine

PORTS = range(12_000, 30_000)


def binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL's programs; None where there is no server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to outgoing connections: one of them might take it meanwhile."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


def _as_server_user(folder: Path) -> dict[str, int | str]:
    """PostgreSQL refuses to run as root: hand the folder to an ordinary user then."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid}


class Server:
    """A running server: the `url` of its database `postgres`, and a `restart` that gives nobody time to finish."""

    def __init__(self, programs: Path, folder: Path, who: dict[str, int | str]) -> None:
        self.cluster, port = folder / "cluster", free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._program, self._log, self._who = programs / "pg_ctl", folder / "log", who
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"

    def control(self, *words: str) -> None:
        line = [self._program, "-D", self.cluster, "-w", "-l", self._log, "-o", self._options, *words]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **self._who)  # type: ignore[call-overload]

    def restart(self) -> None:
        """All connections are cut and it recovers from its write-ahead log, as after a crash."""
        self.control("restart", "-m", "immediate")


@contextmanager
def running() -> Iterator[Server]:
    """Yields a fresh server on the loopback address."""
    programs = binaries()
    if programs is None:
        machine.lacks("PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="pysched-pg-"))
    try:
        who = _as_server_user(folder)
        found = Server(programs, folder, who)
        line = [programs / "initdb", "-D", found.cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **who)  # type: ignore[call-overload]
        found.control("start")
        try:
            yield found
        finally:
            found.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server() -> Iterator[str]:
    """Yields the URL of the database `postgres` of a fresh server on the loopback address."""
    with running() as found:
        yield found.url
