"""What the web server says itself, before or without Django; and the types of ASGI (its specification, 3.0)."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import CODES, error_body

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LINGER_SECONDS = 3.0


async def refuse(
    scope: Scope, send: Send, status: int, message: str, headers: Mapping[str, str] | None = None, unread: Receive | None = None
) -> None:
    """A refusal in words; for the API in the shape of all its errors. `unread` is where more of the request may still come from."""
    if scope["path"].startswith("/api/"):
        kind, body = "application/json", json.dumps(error_body(CODES.get(status, "invalid"), message)).encode()
    else:
        kind, body = "text/plain; charset=utf-8", message.encode()
    named = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Content-Type-Options": "nosniff", **(headers or {})}
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if unread:
        await _discard(unread)
    await send({"type": "http.response.body", "body": b""})


async def _discard(unread: Receive) -> None:
    """A connection that is closed upon bytes nobody has read is reset, and its client may never see why it was refused."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await unread()).get("more_body"):
                pass
