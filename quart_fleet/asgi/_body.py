"""What is sent with a request: read when it is asked for, dropped when nobody asks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout

from quart_fleet.asgi._deadline import within

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent

LINGER_TIMEOUT = 5.0
"""Seconds that a client gets to finish a body after it was answered."""


class RequestBody:
    """Read by `await`, whole, or by `async for`, part by part; in place of Quart's own class.

    Both raise RequestEntityTooLarge, as soon as more than `most` bytes are announced or have
    come, and ClientDisconnected; `await` raises RequestTimeout too.
    """

    def __init__(self, announced: int | None, most: int | None) -> None:
        self._most = most
        self._length = announced or 0
        self._come = 0
        self._whole: bytes | None = b""
        self.ended = True

    def read_from(self, receive: "ASGIReceiveCallable", timeout: float | None) -> None:
        """Say that there is a body, where to ask for it, and how many seconds it may take."""
        self._receive = receive
        self._timeout = timeout
        self._whole = None
        self.ended = False

    def set_result(self, data: bytes) -> None:
        """Have these bytes for a body, as Quart's test requests do."""
        self._whole = data

    def clear(self) -> None:
        """Forget what was read."""
        self._whole = b""

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._read().__await__()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._raise_if_too_large(max(self._length, self._come))
        if self._whole is not None:
            yield self._whole
        while not self.ended:
            part = await self._receive_part()
            self._come += len(part)
            self._raise_if_too_large(self._come)
            yield part

    async def drop(self) -> None:
        """Read the rest for nothing.

        A server that closes a connection with bytes unread resets it, and its client loses an
        answer not read yet (RFC 9112, section 9.6).
        """
        with suppress(TimeoutError, ClientDisconnected):
            async with asyncio.timeout(LINGER_TIMEOUT):
                while not self.ended:
                    await self._receive_part()

    def watch(self) -> Coroutine[None, None, None]:
        """Return what waits until the client has gone; what comes until then can still be read."""
        receive = self._receive
        kept: asyncio.Queue[ASGIReceiveEvent] = asyncio.Queue()
        self._receive = kept.get
        return self._keep(receive, kept)

    async def _keep(
        self, receive: "ASGIReceiveCallable", kept: "asyncio.Queue[ASGIReceiveEvent]"
    ) -> None:
        length, is_last = 0, False
        try:
            while (message := await receive())["type"] == "http.request":
                if self._most is None or length <= self._most:
                    kept.put_nowait(message)  # the one that is too much too: it is refused
                length += len(message.get("body", b""))
                is_last = not message.get("more_body", False)
        finally:
            self._receive = receive
            self.ended = self.ended or is_last

    async def _read(self) -> bytes:
        if self._whole is None:
            try:
                self._whole = await within(self._timeout, self._join())
            except TimeoutError:
                self.ended = True  # for all that anybody will wait
                raise RequestTimeout from None
        return self._whole

    async def _join(self) -> bytes:
        return b"".join([part async for part in self])

    async def _receive_part(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            self.ended = True
            raise ClientDisconnected
        self.ended = not message.get("more_body", False)
        return message.get("body", b"")

    def _raise_if_too_large(self, length: int) -> None:
        if self._most is not None and length > self._most:
            raise RequestEntityTooLarge
