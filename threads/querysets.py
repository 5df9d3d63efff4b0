"""What is looked for among threads."""

from django.db.models import Q, QuerySet

from threads.models import Thread


def named(rows: "QuerySet[Thread]", text: str) -> "QuerySet[Thread]":
    """Those with the text in name, safe name or description; all of them for no text."""
    if not text:
        return rows
    return rows.filter(Q(name__icontains=text) | Q(safe_name__icontains=text) | Q(description__icontains=text))
