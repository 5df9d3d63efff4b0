"""What is looked for among processes."""

from django.db.models import Q, QuerySet

from processes.models import Process


def named(rows: "QuerySet[Process]", text: str) -> "QuerySet[Process]":
    """Those with the text in name, safe name or description; all of them for no text."""
    if not text:
        return rows
    return rows.filter(Q(name__icontains=text) | Q(safe_name__icontains=text) | Q(description__icontains=text))
