"""Verbs about variables and secrets: set, change, take away; and what a script gets of them."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.access import require
from accounts.models import Team, User
from accounts.roles import Role
from accounts.services import record
from core.errors import Conflict, InvalidInput
from core.plain import text_fault
from core.rows import select_rows
from threads.models import MAX_VARIABLE_NAME, Thread, Variable
from threads.sealing import CannotOpen, open_sealed, seal, seal_anew

MAX_VALUE_BYTES = 16_000
# Of one thread, or of a team: with both together a step's secrets still are one message to the keeper.
MAX_BYTES = 32_000
MAX_VARIABLES = 100
NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
# What the platform sets itself, and what would reach into the interpreter or loader before the script is on its own.
RESERVED = ("PATH", "HOME", "GCONV_PATH", "GLIBC_TUNABLES", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES")
RESERVED_BEGINNINGS = ("PYSCHED_", "PYTHON", "LD_")
_SEALED_FORM = '{"secret": true, "value": "TEXT"}'
_LAYOUT = "\t\n\r"


def set_variable(
    *, team: Team, user: User, name: str, value: str, is_secret: bool = False, thread: Thread | None = None, is_new: bool = False
) -> Variable:
    """Set a variable of a thread, or without one of the whole team; the one of that name is replaced.

    `is_new`: Conflict when there is one. A secret is never given back: who forgot it sets another.
    """
    require(user, team, Role.EDITOR)
    name = _checked_name(name)
    _check_value(value, is_secret=is_secret)
    with transaction.atomic():
        there = {variable.name: variable for variable in _turn(team, thread)}
        if is_new and name in there:
            raise Conflict(f"There is already a variable {name}; change that one.")
        variable = there.get(name) or Variable(team=team, thread=thread, name=name)
        return _write(variable, user, value, is_secret, beside=there.values())


def change_variable(*, variable: Variable, user: User, value: str | None = None, is_secret: bool | None = None) -> Variable:
    """Another value, or make a secret of it. A secret becomes plain with a new value alone: the old one stays unseen."""
    require(user, variable.team, Role.EDITOR)
    becomes_secret = variable.is_secret if is_secret is None else is_secret
    if value is None:
        if becomes_secret == variable.is_secret:
            return variable
        if variable.is_secret:
            raise InvalidInput.of("value", "A secret is not shown again: give the value that everybody may see.")
        value = variable.value
    _check_value(value, is_secret=becomes_secret)
    with transaction.atomic():
        there = _turn(variable.team, variable.thread)
        return _write(variable, user, value, becomes_secret, beside=there)


def remove_variable(*, variable: Variable, user: User) -> None:
    """Gone for every run that starts from now on."""
    require(user, variable.team, Role.EDITOR)
    with transaction.atomic():
        record(user=user, verb="deleted", target=variable, **_audited(variable))
        variable.delete()


@transaction.atomic
def put_variables(*, thread: Thread, user: User, given: Mapping[str, Any]) -> None:
    """Make the thread's own variables what `given` says; those it does not name are taken away. InvalidInput by `env`.

    A value is a text, or `{"secret": true, "value": TEXT}`; a secret without `value` stays as it is.
    """
    require(user, thread.team, Role.EDITOR)
    there = {variable.name: variable for variable in _turn(thread.team, thread)}
    for name in there.keys() - given.keys():
        remove_variable(variable=there[name], user=user)
    for name, wanted in given.items():
        value, is_secret = _read(name, wanted)
        if value is None and not (name in there and there[name].is_secret):
            raise InvalidInput.of("env", f"{name}: there is no such secret yet, so give its value: {_SEALED_FORM}.")
        if value is not None and not _is_same(there.get(name), value, is_secret):
            _set_one(thread, user, name, value, is_secret)


def _set_one(thread: Thread, user: User, name: str, value: str, is_secret: bool) -> None:
    try:
        set_variable(team=thread.team, thread=thread, user=user, name=name, value=value, is_secret=is_secret)
    except InvalidInput as error:
        raise InvalidInput.of("env", f"{name}: {error.message}") from None


def _read(name: str, wanted: Any) -> tuple[str | None, bool]:
    """The value, None for "as it is", and whether it is a secret."""
    if isinstance(wanted, str):
        return wanted, False
    is_form = isinstance(wanted, Mapping) and not wanted.keys() - {"secret", "value"} and wanted.get("secret") is True
    if is_form and isinstance(value := wanted.get("value"), str | None):
        return value, True
    raise InvalidInput.of("env", f"{name}: use a text, or {_SEALED_FORM} for a secret.")


def _is_same(variable: Variable | None, value: str, is_secret: bool) -> bool:
    return variable is not None and not is_secret and not variable.is_secret and variable.value == value


def seal_all_anew() -> tuple[int, list[Variable]]:
    """Seal every secret by the present key; returns how many were, and those that no key opens."""
    done, closed = 0, []
    for variable in Variable.objects.filter(is_secret=True).select_related("team", "thread").iterator():
        try:
            fresh = seal_anew(variable.sealed)
        except CannotOpen:
            closed.append(variable)
            continue
        # Set anew meanwhile, it is sealed by the present key already.
        done += Variable.objects.filter(pk=variable.pk, sealed=variable.sealed).update(sealed=fresh)
    return done, closed


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > MAX_VARIABLE_NAME:
        raise InvalidInput.of("name", f"A name has up to {MAX_VARIABLE_NAME} capital letters, digits and underscores, no digit first.")
    if name in RESERVED or name.startswith(RESERVED_BEGINNINGS):
        raise InvalidInput.of("name", f"{name} is set by the platform, or would change how the interpreter starts; choose another name.")
    return name


def _check_value(value: str, *, is_secret: bool) -> None:
    if fault := text_fault(value):
        raise InvalidInput.of("value", fault)
    if any(ord(char) < 32 and char not in _LAYOUT for char in value):
        raise InvalidInput.of("value", "There are control characters in it.")
    if (size := len(value.encode())) > MAX_VALUE_BYTES:
        raise InvalidInput.of("value", f"It has {size:,} bytes; the limit is {MAX_VALUE_BYTES:,}.")
    if is_secret and not value:
        raise InvalidInput.of("value", "A secret needs a value.")


def _turn(team: Team, thread: Thread | None) -> list[Variable]:
    """The variables of the thread, or of the team alone. Who changes one waits here for the other: numbers and names stay true."""
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    return list(Variable.objects.filter(team=team, thread=thread))


def _write(variable: Variable, user: User, value: str, is_secret: bool, *, beside: Collection[Variable]) -> Variable:
    others = [other for other in beside if other.pk != variable.pk]
    _check_room(others, value)
    verb = "changed" if variable.pk else "created"
    variable.is_secret, variable.updated_by, variable.updated_at = is_secret, user, timezone.now()
    variable.value, variable.sealed = ("", seal(value)) if is_secret else (value, "")
    variable.save()
    record(user=user, verb=verb, target=variable, **_audited(variable))
    return variable


def _check_room(others: Collection[Variable], value: str) -> None:
    if len(others) >= MAX_VARIABLES:
        raise InvalidInput.of("name", f"There are {MAX_VARIABLES} variables already; that is the limit.")
    # A seal is a third longer than what it holds.
    size = len(value.encode()) + sum(len(other.value.encode()) or len(other.sealed) * 3 // 4 for other in others)
    if size > MAX_BYTES:
        raise InvalidInput.of("value", f"All variables together have {size:,} bytes; the limit is {MAX_BYTES:,}.")


def _audited(variable: Variable) -> dict[str, Any]:
    """What the audit says of it besides the name. Never a value."""
    return {"secret": variable.is_secret, "thread": variable.thread.name if variable.thread else ""}


# What scripts get

_SELECT = """
    SELECT team_id, thread_id, name, is_secret, value, sealed FROM threads_variable
    WHERE (thread_id IS NULL AND team_id IN ({teams})) OR thread_id IN ({threads})
"""
Owner = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Handed:
    """What a script's environment gets: plain values, and secrets as they are kept."""

    plain: dict[str, str] = field(default_factory=dict)
    sealed: dict[str, str] = field(default_factory=dict)

    def opened(self) -> dict[str, str]:
        """The secrets; CannotOpen names the first that no key opens."""
        found = {}
        for name, sealed in self.sealed.items():
            try:
                found[name] = open_sealed(sealed)
            except CannotOpen as error:
                raise CannotOpen(f"The secret {name} cannot be opened. {error.message}") from None
        return found


def handed_to(owners: Iterable[Owner]) -> dict[Owner, Handed]:
    """What the scripts of these (team, thread) get; those that get nothing are left out. One query, which every start goes through."""
    asked = set(owners)
    if not asked:
        return {}
    teams, threads = {team for team, _ in asked}, {thread for _, thread in asked if thread is not None}
    # No thread has the number 0: a list in SQL must have something in it.
    statement = _SELECT.format(teams=_places(teams), threads=_places(threads or {0}))
    found: dict[Owner, Handed] = {}
    # Those of teams first: the thread's take their place.
    for team_id, thread_id, *variable in sorted(select_rows(statement, [*teams, *(threads or {0})]), key=lambda row: row[1] or 0):
        for owner in asked:
            if thread_id in (None, owner[1]) and team_id == owner[0]:
                _hand(found.setdefault(owner, Handed()), *variable)
    return found


def _places(values: Collection[int]) -> str:
    return ", ".join(["%s"] * len(values))


def _hand(handed: Handed, name: str, is_secret: bool, value: str, sealed: str) -> None:
    handed.plain.pop(name, None)
    handed.sealed.pop(name, None)
    if is_secret:
        handed.sealed[name] = sealed
    else:
        handed.plain[name] = value
