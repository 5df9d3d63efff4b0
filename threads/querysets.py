"""What is looked for among threads."""

from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from accounts.models import User
from threads.models import Thread


def named(rows: "QuerySet[Thread]", text: str) -> "QuerySet[Thread]":
    """Those with the text in name, safe name or description; all of them for no text."""
    if not text:
        return rows
    return rows.filter(Q(name__icontains=text) | Q(safe_name__icontains=text) | Q(description__icontains=text))


def trigger_query(thread: Thread, user: User) -> str:
    """What the thread's trigger URL needs to name it alone among those that the user may trigger: `?folder=7`, or nothing.

    A thread without a saved version cannot run, and takes no name from others.
    """
    others = Thread.objects.visible_to(user).filter(safe_name=thread.safe_name).exclude(Q(pk=thread.pk) | Q(current_version=None))
    teams = set(others.values_list("team_id", flat=True))
    told: dict[str, str | int] = {"team": thread.team.slug} if teams - {thread.team_id} else {}
    if thread.team_id in teams:
        told["folder"] = thread.folder_id or 0
    return f"?{urlencode(told)}" if told else ""
