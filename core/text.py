"""Texts that came from outside, made fit to be kept and shown; and how spans and sizes read, everywhere alike."""

MOST_DIGITS = 18  # Fits every column of the database.
MOST_SEARCHED = 200
MINUTE, HOUR, DAY = 60, 3600, 86400
_SPANS = ((DAY, "day", "d"), (HOUR, "hour", "h"), (MINUTE, "minute", "min"), (1, "second", "s"))


def natural(text: str) -> int | None:
    """A whole number from 0 that fits a database id; None for everything else, `²` and `+1` among it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def search_words(text: str) -> str:
    """What somebody typed into a search field, as the database takes it: no NUL, no spaces around, not endless."""
    return text.replace("\0", "").strip()[:MOST_SEARCHED]


def printable(text: str) -> str:
    """Without control characters: PostgreSQL keeps no NUL, and pages need none of them."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def span_words(seconds: float, parts: int = 2, *, short: bool = False) -> str:
    """A span in its largest units, at most so many: "1 hour 30 minutes", or `short` "1 h 30 min". What is less than a second is none."""
    rest = int(seconds)
    words: list[str] = []
    for size, name, symbol in _SPANS:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {symbol}" if short else f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(words[:parts]) or ("0 s" if short else "0 seconds")


def size_words(count: float) -> str:
    """`900 B`, `1.4 MiB`, `48 MiB`: bytes in binary units, as the limits are set."""
    if count < 1024:
        return f"{int(count)} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1023.5:
            return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"
    return f"{count / 1024:.1f} TiB"
