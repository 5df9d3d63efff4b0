"""The first start: an administrator and a team to work in."""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from accounts.models import Team, User
from accounts.services import create_team, record
from core import layout

CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A log-in. `was_given` says that the operator chose the password himself: there is no need to print it."""

    username: str
    password: str
    was_given: bool

    @property
    def sentence(self) -> str:
        """What the operator is told, once."""
        return f"First log-in: {self.username}, password: {'as given in PYSCHED_ADMIN_PASSWORD' if self.was_given else self.password}"


def prepare() -> Credentials | None:
    """Bring folder and database up to date and make the first administrator; the log-in if one was made now."""
    layout.data_path().mkdir(parents=True, exist_ok=True, mode=0o700)
    if layout.data_path().stat().st_mode & 0o077:
        # Of an earlier start, or made by hand: it holds the database and the secret key.
        layout.data_path().chmod(0o700)
    call_command("migrate", interactive=False, verbosity=0)
    return ensure_administrator()


@transaction.atomic
def ensure_administrator() -> Credentials | None:
    """The log-in of the first administrator, made now; None when there is one already.

    Name and password are those of PYSCHED_ADMIN_USERNAME and PYSCHED_ADMIN_PASSWORD; without them `admin` and a
    password made here, which is kept nowhere else. CommandError names the variable that cannot be used.
    """
    if User.objects.filter(is_superuser=True).exists():
        return None
    username = _usable(settings.ADMIN_USERNAME)
    password = settings.ADMIN_PASSWORD or readable_password()
    user = User.objects.create_superuser(username, password=password)
    record(user=None, verb="created", target=user)
    if not Team.objects.exists():
        create_team(name="Default", user=user)
    return Credentials(username=username, password=password, was_given=bool(settings.ADMIN_PASSWORD))


def readable_password() -> str:
    """Four groups one can read out and type, `tasiko-bemuna-…`: more than 70 random bits."""
    syllables = (secrets.choice(CONSONANTS) + secrets.choice(VOWELS) for _ in range(12))
    text = "".join(syllables)
    return "-".join(text[start : start + 6] for start in range(0, len(text), 6))


def _usable(username: str) -> str:
    if User.objects.filter(username=username).exists():
        raise CommandError(f"PYSCHED_ADMIN_USERNAME: {username!r} is a user who is not an administrator; choose another name")
    try:
        User(username=username).clean_fields(exclude=["password"])
    except ValidationError as error:
        raise CommandError(
            f"PYSCHED_ADMIN_USERNAME: {username!r} cannot be used ({' '.join(error.messages)}); choose another name"
        ) from None
    return username
