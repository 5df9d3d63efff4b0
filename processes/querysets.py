"""What is looked for among processes."""

from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from accounts.models import User
from processes.models import Process


def named(rows: "QuerySet[Process]", text: str) -> "QuerySet[Process]":
    """Those with the text in name, safe name or description; all of them for no text."""
    if not text:
        return rows
    return rows.filter(Q(name__icontains=text) | Q(safe_name__icontains=text) | Q(description__icontains=text))


def trigger_query(process: Process, user: User) -> str:
    """What the process's trigger URL needs to name it alone among those that the user may trigger: `?team=weather`, or nothing."""
    others = Process.objects.visible_to(user).filter(safe_name=process.safe_name).exclude(pk=process.pk)
    return f"?{urlencode({'team': process.team.slug})}" if others.exists() else ""
