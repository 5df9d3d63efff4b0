"""Secrets at rest: sealed by a key derived from the platform's secret key, opened by it or by one that was in use before it.

`cryptography` takes 13 MB of memory: it is imported where the first value is sealed or opened, not at the start.
"""

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

from core.errors import DomainError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

# What the derived key is for: another use of the platform's secret key gets another one.
_PURPOSE = b"pyscheduler variables 1"


class CannotOpen(DomainError):
    """It was sealed with a secret key that this installation does not have: add that to PYSCHED_SECRET_KEY_FALLBACKS, or set it anew."""

    status = 409
    code = "conflict"


def seal(text: str) -> str:
    """The text as it is kept, sealed by the present key."""
    return _box(_keys()).encrypt(text.encode()).decode()


def open_sealed(sealed: str) -> str:
    """The text; CannotOpen when neither the present key nor an earlier one sealed it."""
    from cryptography.fernet import InvalidToken

    try:
        return _box(_keys()).decrypt(sealed).decode()
    except InvalidToken:
        raise CannotOpen from None


def seal_anew(sealed: str) -> str:
    """The same text sealed by the present key; CannotOpen as above."""
    return seal(open_sealed(sealed))


def _keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> "MultiFernet":
    """Seals by the first key, opens by any."""
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return base64.urlsafe_b64encode(HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode()))
