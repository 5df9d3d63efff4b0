"""Paging by key: the next page starts behind the last row's id, so page 40,000 costs what page 1 does."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet

from core.errors import InvalidInput
from core.text import natural

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
        number = natural(text[1:])
        if text[0] not in "ab" or number is None:
            raise InvalidInput.of("cursor", "This cursor was not given out here; start from the first page.")
        return cls(id=number, older=text[0] == "b")


type Part = Mapping[str, Any]


def by_id[Row: Model](rows: "QuerySet[Row, Any]", count: int, parts: Sequence[Part] = (), *, newest_first: bool = True) -> list[Row]:
    """The first `count` of `rows` by id.

    "All of several teams, by id" makes databases sort everything there is. `parts` says how to do better: equalities
    (`{"team": 3, "status": "failed"}`), under each of which an index has the rows by id, and which together are all
    of `rows`. The heads of the parts are found and merged in one query, whatever the size of the table.
    """
    order = "-pk" if newest_first else "pk"
    if len(parts) < 2:
        return list(rows.filter(**(parts[0] if parts else {})).order_by(order)[:count])
    heads = [rows.filter(**part).order_by(order).values("pk")[:count] for part in parts]
    ids = sorted(_ids_of(heads), reverse=newest_first)[:count]
    return list(rows.filter(pk__in=ids).order_by(order))


def _ids_of(heads: "Sequence[QuerySet[Any, Any]]") -> list[int]:
    compiled = []
    for head in heads:
        # Raised where Django knows without asking that there is nothing: a number that no column can hold, say.
        with contextlib.suppress(EmptyResultSet):
            compiled.append(head.query.sql_with_params())
    if not compiled:
        return []
    # SQLite takes a LIMIT within a UNION only in a subquery of its own; Django's `union` does not write one.
    text = " UNION ALL ".join(f"SELECT * FROM ({sql}) AS head{number}" for number, (sql, _) in enumerate(compiled))  # noqa: S608 - Django's own SQL
    with connection.cursor() as cursor:
        cursor.execute(text, [value for _, values in compiled for value in values])
        return [pk for (pk,) in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Page[Row: Model]:
    """Rows newest first, and the cursors of the neighbouring pages, None at the ends."""

    rows: Sequence[Row]
    next: Cursor | None
    previous: Cursor | None


def page_of[Row: Model](
    rows: "QuerySet[Row, Any]", cursor: Cursor | None, limit: int = DEFAULT_LIMIT, parts: Sequence[Part] = ()
) -> Page[Row]:
    """The page of `rows` at `cursor`, by descending id; two queries at most, no counting. For `parts` see `by_id`."""
    if cursor is None or cursor.older:
        window = rows.filter(pk__lt=cursor.id) if cursor else rows
        found = by_id(window, limit + 1, parts)
        more = len(found) > limit
        found = found[:limit]
        has_previous = cursor is not None
        has_next = more
    else:
        found = by_id(rows.filter(pk__gt=cursor.id), limit + 1, parts, newest_first=False)
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
