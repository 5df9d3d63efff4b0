"""Rules that verbs of several rooms share. Each returns when it is content, else InvalidInput by field."""

from collections.abc import Collection, Mapping
from typing import Any

from core.errors import InvalidInput

MAX_DESCRIPTION = 5000


def check_known(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Nothing is given that nobody reads."""
    if unknown := sorted(given.keys() - set(known)):
        raise InvalidInput("Some fields are not known here.", fields={name: ["There is no such field."] for name in unknown})


def check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput.of("description", f"The description has more than {MAX_DESCRIPTION:,} characters.")
