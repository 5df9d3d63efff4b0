"""The canary's script: it really tries to get out, and says as JSON what it reached. Stands alone.

Arguments: `{"secrets": [file…], "database": file, "neighbour": file, "outside": [file to make…], "code": [folder…], "keeper": folder,
"port": number}` as JSON, then the pid of a process of the platform.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import Lock
from typing import Any

_CLONE_NEWUSER, _PTRACE_SEIZE = 0x10000000, 0x4206
_libc = ctypes.CDLL(None)


def read(path: str) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1) or True)


def entries(folder: str) -> bool:
    return bool(os.listdir(folder))


def write(path: str) -> bool:
    with open(path, "w") as file:
        file.write("escaped")
    return os.path.exists(path)


def change(folder: str) -> bool:
    names = [os.path.join(folder, name) for name in os.listdir(folder)]
    return any(succeeds(append, name) for name in names) or write(os.path.join(folder, "escaped"))


def append(path: str) -> bool:
    with open(path, "a"):
        return True


def signal(pid: int) -> bool:
    os.kill(pid, 0)
    return True


def look_into(pid: int) -> bool:
    return read(f"/proc/{pid}/environ")


def look_at_root(pid: int) -> bool:
    return bool(os.listdir(f"/proc/{pid}/root") and os.listdir(f"/proc/{pid}/fd"))


def attach(pid: int) -> bool:
    # Unlike attaching it does not stop who it succeeds with.
    return bool(_libc.ptrace(_PTRACE_SEIZE, pid, None, None) == 0)


def link(path: str) -> bool:
    os.link(path, "link-of-the-canary")
    os.unlink("link-of-the-canary")
    return True


def change_mode(path: str) -> bool:
    # To what it is: a success does no harm.
    os.chmod(path, os.stat(path).st_mode & 0o7777)
    return True


def own_namespace() -> bool:
    return bool(_libc.unshare(_CLONE_NEWUSER) == 0)


def become_root() -> bool:
    with open("/proc/self/status") as file:
        has_power = any(line.startswith("CapEff") and int(line.split()[1], 16) for line in file)
    if os.getuid() != 0:
        os.setuid(0)
        return True
    return has_power


def ask_keeper(folder: str) -> bool:
    # A socket's address is short; and to enter a folder needs less than to open it.
    os.chdir(folder)
    key = ""
    with contextlib.suppress(OSError), open("key") as file:
        key = file.read()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(2)
        connection.connect("socket")
        connection.send(json.dumps({"key": key, "do": "ping"}).encode())
        return bool(connection.recv(1000))


def reach(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), 2).close()
    return True


def succeeds(attempt: Callable[..., bool], *arguments: Any) -> bool:
    try:
        return attempt(*arguments)
    except Exception:
        return False


def escapes(targets: dict[str, Any], pid: int) -> dict[str, bool]:
    """What was reached, by name."""
    database, neighbour = targets["database"], targets["neighbour"]
    return {
        "secret": any(succeeds(read, path) for path in targets["secrets"]),
        "database": bool(database) and succeeds(read, database),
        "neighbour": succeeds(read, neighbour) or succeeds(entries, os.path.dirname(neighbour)),
        "outside": any(succeeds(write, path) for path in targets["outside"]),
        "code": any(succeeds(change, folder) for folder in targets["code"]),
        "link": any(succeeds(link, path) for path in targets["secrets"]),
        "mode": any(succeeds(change_mode, path) for path in targets["secrets"]),
        "environ": succeeds(look_into, pid),
        "root": succeeds(look_at_root, pid),
        "signal": succeeds(signal, pid),
        "ptrace": succeeds(attach, pid),
        "privilege": succeeds(become_root),
        "network": succeeds(reach, targets["port"]),
        "processes": os.path.exists(f"/proc/{pid}"),
        "keeper": succeeds(ask_keeper, targets["keeper"]),
        # Last: what comes after a success would be tried with other powers.
        "namespace": succeeds(own_namespace),
    }


def needs() -> None:
    """What every script may rely on; raises where it cannot."""
    assert write("written") and read("written")
    os.unlink("written")
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    Lock()
    helper = threading.Thread(target=int)
    helper.start()
    helper.join()
    assert subprocess.run([sys.executable, "-S", "-c", "print(1)"], stdout=subprocess.PIPE).stdout == b"1\n"


if __name__ == "__main__":
    needs()
    print(json.dumps(escapes(json.loads(sys.argv[1]), int(sys.argv[2]))))
