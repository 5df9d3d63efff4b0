"""Paging by key: the next page starts behind the last row's id, so page 40,000 costs what page 1 does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Model, QuerySet

from core.errors import InvalidInput

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Cursor:
    """`before` an id (older rows) or `after` one (newer rows); text form `b123` or `a123`."""

    id: int
    older: bool

    def __str__(self) -> str:
        return f"{'b' if self.older else 'a'}{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """None for an empty text; InvalidInput for one that no page of ours gave out."""
        if not text:
            return None
        if text[0] not in "ab" or not text[1:].isascii() or not text[1:].isdigit() or len(text) > 19:
            raise InvalidInput.of("cursor", "This cursor was not given out here; start from the first page.")
        return cls(id=int(text[1:]), older=text[0] == "b")


@dataclass(frozen=True, slots=True)
class Page[Row: Model]:
    """Rows newest first, and the cursors of the neighbouring pages, None at the ends."""

    rows: Sequence[Row]
    next: Cursor | None
    previous: Cursor | None


def page_of[Row: Model](rows: "QuerySet[Row, Any]", cursor: Cursor | None, limit: int = DEFAULT_LIMIT) -> Page[Row]:
    """The page of `rows` at `cursor`, by descending id; two queries at most, no counting."""
    if cursor is None or cursor.older:
        window = rows.filter(pk__lt=cursor.id) if cursor else rows
        found = list(window.order_by("-pk")[: limit + 1])
        more = len(found) > limit
        found = found[:limit]
        has_previous = cursor is not None
        has_next = more
    else:
        found = list(rows.filter(pk__gt=cursor.id).order_by("pk")[: limit + 1])
        has_previous = len(found) > limit
        found = found[:limit][::-1]
        has_next = True
    return Page(
        rows=found,
        next=Cursor(found[-1].pk, older=True) if found and has_next else None,
        previous=Cursor(found[0].pk, older=False) if found and has_previous else None,
    )


def cut[Row: Model](page: Page[Row], cursor: Cursor | None, weights: Sequence[int], most: int) -> Page[Row]:
    """The part of a page whose rows weigh `most` together, one row at least; the neighbouring page has the others."""
    older = cursor is None or cursor.older
    total, kept = 0, 0
    for weight in weights if older else reversed(weights):
        total += weight
        if kept and total > most:
            break
        kept += 1
    if kept == len(page.rows):
        return page
    if older:
        rows = page.rows[:kept]
        return replace(page, rows=rows, next=Cursor(rows[-1].pk, older=True))
    rows = page.rows[-kept:]
    return replace(page, rows=rows, previous=Cursor(rows[0].pk, older=False))
