"""How a body ends that nobody wants to read: dropped, so that its sender can read the answer."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )

WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
LINGER_TIMEOUT = 5.0
"""Seconds that a client gets to finish a body after it was answered."""


class LingeringBodies:
    """ASGI middleware that ends a response when the request has ended too.

    All of the answer is sent at once, but for its end. A server that closes a connection with
    bytes unread resets it, and its client loses an answer not read yet (RFC 9112, section 9.6).
    """

    def __init__(self, app: "ASGIFramework") -> None:
        self._app = app

    async def __call__(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        ended = asyncio.Event()

        async def receive_and_note() -> "ASGIReceiveEvent":
            event = await receive()
            if not event.get("more_body", False):
                ended.set()
            return event

        async def linger_and_send(event: "ASGISendEvent") -> None:
            if event["type"] == "http.response.body" and not event.get("more_body", False):
                await _wait_for(ended)
            await send(event)

        await self._app(scope, receive_and_note, linger_and_send)


async def _wait_for(ended: asyncio.Event) -> None:
    if ended.is_set():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_TIMEOUT):
            await ended.wait()
