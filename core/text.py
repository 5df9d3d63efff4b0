"""Texts that came from outside, read: what a number is, what a search is."""

MOST_DIGITS = 18  # Fits every column of the database.
MOST_SEARCHED = 200


def natural(text: str) -> int | None:
    """A whole number from 0 that fits a database id; None for everything else, `²` and `+1` among it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def search_words(text: str) -> str:
    """What somebody typed into a search field, as the database takes it: no NUL, no spaces around, not endless."""
    return text.replace("\0", "").strip()[:MOST_SEARCHED]
