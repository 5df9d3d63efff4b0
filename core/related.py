"""Related rows without one query per row, and without knowing the related app.

A lower app may show what a higher one keeps about its rows (a thread its last run) by the relation's name alone.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import ForeignKey, Model, OuterRef, Subquery


def newest_related(rows: Sequence[Model], relation: str, *along: str) -> dict[int, Any]:
    """By the rows' ids: the row of `relation` (a reverse foreign key) with the highest id, one query for all.

    `along` names what those rows refer to and is read with them. The correlated LIMIT 1 reads one index entry per row,
    however many related rows there are.
    """
    if not rows:
        return {}
    model = type(rows[0])
    related: Any = model._meta.get_field(relation).related_model
    field = model._meta.get_field(relation).remote_field
    if not isinstance(field, ForeignKey):
        raise TypeError(f"{relation} is not a reverse foreign key of {model.__name__}")
    newest = related._default_manager.filter(**{field.name: OuterRef("pk")}).order_by("-pk").values("pk")[:1]
    ids = model._default_manager.filter(pk__in=[row.pk for row in rows]).values(newest=Subquery(newest))
    found = related._default_manager.filter(pk__in=ids)
    return {getattr(row, field.attname): row for row in (found.select_related(*along) if along else found)}


def keep_related(row: Model, relation: str, related: Sequence[Model]) -> None:
    """From now on `row.<relation>.all()` gives these rows, which were just written, as if they had been prefetched."""
    known = getattr(row, relation).all()
    known._result_cache, known._prefetch_done = list(related), True
    kept: Any = row
    kept._prefetched_objects_cache = getattr(row, "_prefetched_objects_cache", {}) | {relation: known}
