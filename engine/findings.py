"""What the canary found of a host: the levels as they were tried, in words that say what is to be done."""

from dataclasses import dataclass
from typing import Any

from core.errors import DomainError
from engine.isolation import Level

# What a script tries, by the names of `engine.host.escapes`: "it could …".
DEEDS = {
    "secret": "read the platform's secrets",
    "database": "read the platform's database",
    "neighbour": "look into another run's directory",
    "outside": "write outside its directory",
    "code": "change code that other runs use",
    "link": "link to the platform's files",
    "mode": "change who may read the platform's files",
    "environ": "read a platform process's environment",
    "root": "look through a platform process's files",
    "ptrace": "attach to a platform process",
    "keeper": "give orders to the keeper",
    "network": "reach the network that it was to be kept from",
    "signal": "send signals to the platform's processes",
    "privilege": "use or gain privileges",
    "namespace": "make a namespace of its own",
    "processes": "see other processes",
}
_CONTAINER = "allow clone, unshare, mount, umount2, pivot_root and setns in its seccomp profile"
# From what a failed start says to what is to be done: the first that fits.
REMEDIES = (
    ("setting up uid map: Permission denied", "AppArmor forbids it: install the profile bwrap-userns-restrict for /usr/bin/bwrap."),
    ("RTM_NEWADDR", "AppArmor forbids it: install the profile bwrap-userns-restrict for /usr/bin/bwrap."),
    ("No permissions to create", f"In a container: {_CONTAINER}."),
    ("Creating new namespace failed", f"In a container: {_CONTAINER}."),
    ("Failed to make / slave", f"In a container: {_CONTAINER}, and use --security-opt apparmor=unconfined."),
    ("mount proc", "In a container, add --security-opt systempaths=unconfined."),
    ("Resource temporarily unavailable", "Raise the limit of processes of the platform's user."),
    ("Permission denied", "Put the data path and the Python where other users may pass (no folder above them closed to all)."),
)


class IsolationUnavailable(DomainError):
    """The level that the operator demands cannot be had."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One level as it was tried: `fault` is empty when it holds, else why not, with a `remedy` if one is known.

    `reached` are the deeds a script succeeded with, by name; None when none could be tried.
    """

    level: str
    fault: str = ""
    remedy: str = ""
    gaps: tuple[str, ...] = ()
    own_proc: bool = True
    can_cut_network: bool = True
    reached: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a host can do: the levels that were tried, the highest first, down to one that holds."""

    host: str
    checked_at: float
    boot_id: str
    basis: list[Any]
    attempts: tuple[Attempt, ...]

    @property
    def level(self) -> Level:
        """The highest that holds, or the demanded one; IsolationUnavailable when that does not hold."""
        held = next((attempt for attempt in self.attempts if not attempt.fault), None)
        if held is None:
            [failed] = self.attempts
            advice = failed.remedy or "Use another level, or PYSCHED_ISOLATION=auto for the highest that works here."
            raise IsolationUnavailable(f"PYSCHED_ISOLATION: {failed.level} cannot be had: {failed.fault}. {advice}")
        above = [f"{attempt.level} cannot be had: {attempt.fault}." for attempt in self.attempts if attempt.fault]
        return Level(held.level, " ".join(above), held.gaps, " ".join(self.remedies), held.own_proc, held.can_cut_network)

    @property
    def remedies(self) -> list[str]:
        return [attempt.remedy for attempt in self.attempts if attempt.fault and attempt.remedy]
