"""Texts that came from outside: read as a number or a search, made fit to be kept and shown."""

MOST_DIGITS = 18  # Fits every column of the database.
MOST_SEARCHED = 200


def natural(text: str) -> int | None:
    """A whole number from 0 that fits a database id; None for everything else, `²` and `+1` among it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def search_words(text: str) -> str:
    """What somebody typed into a search field, as the database takes it: no NUL, no spaces around, not endless."""
    return text.replace("\0", "").strip()[:MOST_SEARCHED]


def printable(text: str) -> str:
    """Without control characters: PostgreSQL keeps no NUL, and pages need none of them."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
