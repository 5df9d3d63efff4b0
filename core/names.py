"""Names for people and the safe names made of them: for paths, URLs and triggers."""

import re
import unicodedata
from collections.abc import Container
from itertools import count

from core.errors import InvalidInput

MAX_NAME = 100
MAX_SAFE_NAME = 60
# Invisible too, but emoji, Persian and the scripts of India are written with them.
JOINERS = "\u200c\u200d"


def clean_name(name: str) -> str:
    """The name without surrounding or doubled white space; InvalidInput by `name` when it cannot name anything."""
    cleaned = " ".join(str(name).split())
    if not cleaned:
        raise InvalidInput.of("name", "Give it a name.")
    if len(cleaned) > MAX_NAME:
        raise InvalidInput.of("name", f"The name has {len(cleaned)} characters; the limit is {MAX_NAME}.")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in JOINERS for char in cleaned):
        raise InvalidInput.of("name", "The name has control characters in it, or invisible ones that change how it reads.")
    if not any(char.isalnum() for char in cleaned):
        raise InvalidInput.of("name", "The name needs at least one letter or digit.")
    return cleaned


def safe_name(name: str, fallback: str) -> str:
    """Lower-case ASCII letters, digits and hyphens: "API Call #1" becomes `api-call-1`.

    A name of which nothing is left (Chinese, say) becomes `fallback`; the name itself stays as it was written.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")
    return slug[:MAX_SAFE_NAME].strip("-") or fallback


def first_free(slug: str, taken: Container[str]) -> str:
    """`slug`, or the first of `slug-2`, `slug-3` … that is not taken."""
    if slug not in taken:
        return slug
    return next(name for n in count(2) if (name := f"{slug[: MAX_SAFE_NAME - 6]}-{n}") not in taken)
