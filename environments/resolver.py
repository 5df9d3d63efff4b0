"""What is asked of `uv`: lock requirements, make an environment of a lock. It runs with an environment of its own:
the operator's choice of index, proxies and certificates, nothing else of the platform's."""

import configparser
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from core import layout
from environments.pythons import Python

DEADLINE_SECONDS = 1800
_PASSED_ON = (
    "PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
# The first two are of an environment that the platform itself was started in. The others run packages' code, or bring packages
# that the lock does not know.
_KEPT_BACK = (
    "UV_PROJECT_ENVIRONMENT", "UV_PYTHON",
    "UV_COMPILE_BYTECODE", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD_ISOLATION", "UV_VENV_SEED", "UV_SYSTEM_PYTHON",
)  # fmt: skip
_PIP_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")

Say = Callable[[str], None]


class ResolverRefused(Exception):
    """It could not be done; the message is the resolver's own words."""


def lock(requirements: str, python: Python, say: Say, held: int) -> str:
    """Exact versions with the digests of their wheels, sorted. Nothing is built from sources: that would run their code here."""
    words = ["pip", "compile", "-", "--generate-hashes", "--no-header", "--no-annotate", "--only-binary", ":all:", "--python", python.path]
    return sorted_lock(_run([*words, "--no-python-downloads"], say, held, requirements))


def make_empty(folder: Path, python: Python, say: Say, held: int) -> None:
    """A new environment in `folder`, which must not be there, without packages."""
    _run(["venv", "--quiet", str(folder), "--python", python.path, "--no-project", "--no-python-downloads"], say, held)


def install(folder: Path, lock_file: Path, say: Say, held: int) -> None:
    """What the lock says, into an environment that has no packages: `uv` starts its interpreter before it lays the first one there.

    Never into one that has some: they would run as the platform. Copied: what a script did to a link, the cache would give to others.
    """
    words = ["pip", "sync", str(lock_file), "--require-hashes", "--only-binary", ":all:", "--link-mode", "copy", "--no-compile-bytecode"]
    _run([*words, "--python", str(folder / "bin" / "python")], say, held)


def sorted_lock(text: str) -> str:
    """A line per package: two resolutions of the same packages are the same text."""
    return "\n".join(sorted(" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines() if line.strip()))


def packages_of(lock_text: str) -> dict[str, str]:
    """Versions (or addresses) by package."""
    found = {}
    for line in lock_text.splitlines():
        requirement = line.split(" --hash=")[0].split(" ;")[0].strip()
        name, _, version = requirement.partition(" @ " if " @ " in requirement else "==")
        found[name.strip()] = version.strip()
    return found


def variables() -> dict[str, str]:
    """The environment of `uv`. `cwd` is the root, so that no project's settings are taken for the operator's."""
    passed = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or (name.startswith("UV_") and name not in _KEPT_BACK)
    }
    index = pip_index(os.environ)
    if index and not any(name in passed for name in _INDEXES):
        passed["UV_DEFAULT_INDEX"] = index
    if "SSL_CERT_FILE" not in passed and os.environ.get("PIP_CERT"):
        passed["SSL_CERT_FILE"] = os.environ["PIP_CERT"]
    return passed | {
        "UV_CACHE_DIR": str(layout.environments_folder() / "cache"),
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def pip_index(given: Mapping[str, str]) -> str:
    """The index that pip uses here, by its variable or its configuration; `uv` reads neither. Empty: its default."""
    if given.get("PIP_INDEX_URL"):
        return given["PIP_INDEX_URL"]
    reader = configparser.RawConfigParser()
    try:
        reader.read([os.path.expanduser(path) for path in _PIP_FILES])
    except (configparser.Error, UnicodeDecodeError):
        return ""
    return reader.get("global", "index-url", fallback="")


def index_in_use() -> str:
    """Where packages come from, without a log-in that the address may carry."""
    given = variables()
    address = next((given[name] for name in _INDEXES if given.get(name)), "")
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else address


def _run(words: Sequence[str], say: Say, held: int, given: str = "") -> str:
    """Its standard output. Each line it says is passed on as it comes; the child holds the lock `held` as long as it lives."""
    say(f"$ uv {' '.join(word for word in words[:2] if not word.startswith('-'))}")
    with subprocess.Popen(
        [find_uv_bin(), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=variables(),
        cwd="/",
        # Scripts may run as other users than the platform, which keeps what it writes to itself.
        umask=0o022,
        pass_fds=[held],
    ) as child:
        out: list[str] = []
        reader = threading.Thread(target=_converse, args=(child, given, out))
        clock = threading.Timer(DEADLINE_SECONDS, child.kill)
        reader.start()
        clock.start()
        said = _listen(child, say)
        reader.join()
        clock.cancel()
        clock.join()
    if child.returncode < 0:
        raise ResolverRefused(f"It was ended after {DEADLINE_SECONDS // 60} minutes, or killed.")
    if child.returncode:
        raise ResolverRefused(said or f"uv ended with status {child.returncode} and without a word.")
    return "".join(out)


def _converse(child: "subprocess.Popen[str]", given: str, out: list[str]) -> None:
    """Hand over what it reads, take what it writes: in an OS thread of its own, for both may be more than a pipe holds."""
    assert child.stdin and child.stdout
    try:
        child.stdin.write(given)
        child.stdin.close()
    except BrokenPipeError:
        pass
    out.append(child.stdout.read())


def _listen(child: "subprocess.Popen[str]", say: Say) -> str:
    """Passes on what it says, and returns all of it."""
    assert child.stderr
    lines = []
    for line in child.stderr:
        lines.append(line.rstrip("\n"))
        say(lines[-1])
    return "\n".join(lines).strip()
