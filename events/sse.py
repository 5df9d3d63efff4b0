"""The wire format of server-sent events (WHATWG HTML, "Server-sent events")."""

import json
from typing import Any

from core.text import natural

# Ends proxies' buffering and tells the browser how soon to come back (milliseconds).
OPENING = b":" + b" " * 64 + b"\nretry: 1000\n\n"


def message(event: str, text: str, number: str) -> bytes:
    """One message; `text` is one line of JSON."""
    return f"event: {event}\nid: {number}\ndata: {text}\n\n".encode()


def heartbeat(number: str) -> bytes:
    """Nothing to dispatch, but the reader's place moves on, so that what it asks for later is still kept."""
    return f":\nid: {number}\n\n".encode()


def compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def parse_id(text: str) -> tuple[int | None, int | None]:
    """`<event id>.<log offset>` of a Last-Event-ID; None for what is missing or was not given out by us."""
    cursor, _, offset = text.partition(".")
    return natural(cursor), natural(offset)
