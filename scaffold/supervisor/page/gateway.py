"""One address for a front end: each path leads to the service that the cluster's Ingress sends it to.

Bodies go through in both directions as they come, none of which is held whole, and so do the
messages of WebSockets.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        WebsocketDisconnectEvent,
        WebsocketScope,
    )

    from scaffold.supervisor.service import State

IDLE_TIMEOUT = 60.0
"""Seconds in which nothing goes in either direction, as an Ingress has by default."""
CONNECT_TIMEOUT = 5.0
MOST_OF_A_MESSAGE = 16 * 1024 * 1024
"""Bytes of a message of a WebSocket, as much as a service takes."""
_SENDABLE = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""Codes with which an end may close a WebSocket (RFC 6455, section 7.4); the others say why none was sent."""
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}
    | {b"transfer-encoding", b"proxy-authenticate", b"proxy-authorization"}
)
"""Headers that are about a connection, and go no further (RFC 9110, section 7.6.1)."""
_OURS = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port"}
    | {b"x-forwarded-proto", b"x-real-ip", b"expect"}
)
"""Headers that a client may not say of itself, and what the server has answered already."""
_OF_THE_CLIENT = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
"""What aiohttp would add."""
_SANDBOX = (
    b"content-security-policy",
    b"sandbox allow-downloads allow-forms allow-popups allow-scripts",
)
"""A service's HTML is of no origin, so that it cannot read the page or use its token."""

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a request goes."""

    service: str
    host: str
    port: int
    state: Callable[[], "State"]
    change: Callable[[], Awaitable[object]]
    """Returns after another change of any service's state."""

    @property
    def place(self) -> str:
        """Its host and port, as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    async def until(self, *states: "State") -> "State":
        """Return its state as soon as that is one of these."""
        while (state := self.state()) not in states:
            await self.change()
        return state

    async def ready(self) -> None:
        """Return as soon as a process serves; raises _Gone where none comes soon."""
        if await self.until("ready", "failed", "draining", "stopped") != "ready":
            raise _Gone


class _Gone(ConnectionError):  # noqa: N818 - it is said in words
    """No process of a service serves, or comes soon."""


class _Left(Exception):  # noqa: N818 - is no error
    """The client has left before its body was there."""


class Gateway:
    """Sends requests on to services; `async with` it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # A connection for each request: none is lost when a process takes over from another.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_OF_THE_CLIENT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def answer(
        self,
        upstream: Upstream,
        target: bytes,
        scope: "HTTPScope",
        receive: "ASGIReceiveCallable",
        send: "ASGISendCallable",
    ) -> None:
        """Answer a request with what a service answers at a target: its path with its query."""
        headers = list(scope["headers"])
        if any(name == b"service-worker" for name, _ in headers):
            await refuse(send, 403, "No script of a service may control the page")
            return
        has_begun = False

        async def note(message: "ASGISendEvent") -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        is_read = asyncio.Event()
        if not _has_body(headers):
            is_read.set()

        async def leave() -> None:
            await is_read.wait()
            while (await receive())["type"] != "http.disconnect":
                pass

        leaving = asyncio.create_task(leave())
        sending = asyncio.create_task(
            self._send_on(upstream, target, scope, receive, note, is_read)
        )
        # What waits in its backlog then would wait in vain.
        failing = asyncio.create_task(upstream.until("failed"))
        tasks = {leaving, sending, failing}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            is_cut = not (leaving.done() or sending.done() or has_begun)
            if not is_cut:
                await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if is_cut:
            await refuse(send, *_explain(_Gone(), upstream))

    async def join(
        self,
        upstream: Upstream,
        target: bytes,
        scope: "WebsocketScope",
        receive: "ASGIReceiveCallable",
        send: "ASGISendCallable",
    ) -> None:
        """Join a client's WebSocket with that of a service, until either end closes it."""
        assert self._session is not None

        async def answer(message: Any) -> None:  # by the extension "websocket.http.response"
            await send(cast("Any", {**message, "type": f"websocket.{message['type']}"}))

        await receive()  # that it wants to connect
        headers = headers_for(scope)
        for name in [each for each in headers if each.lower().startswith("sec-websocket-")]:
            headers.popall(name, None)
        try:
            async with asyncio.timeout(IDLE_TIMEOUT):
                await upstream.ready()
                joined = await self._session.ws_connect(
                    URL(f"ws://{upstream.place}{quote_target(target)}", encoded=True),
                    headers=headers,
                    protocols=scope["subprotocols"],
                    max_msg_size=MOST_OF_A_MESSAGE,
                )
        except aiohttp.WSServerHandshakeError as error:
            await refuse(answer, error.status, f"{upstream.service} opens no WebSocket here")
        except (aiohttp.ClientError, OSError) as error:
            await refuse(answer, *_explain(error, upstream))
        else:
            async with joined:
                await send(
                    {"type": "websocket.accept", "subprotocol": joined.protocol, "headers": []}
                )
                ends = [
                    asyncio.create_task(each)
                    for each in (_send_messages(receive, joined), _give_messages(joined, send))
                ]
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in ends:
                        each.cancel()
                    await asyncio.gather(*ends, return_exceptions=True)

    async def _send_on(  # noqa: PLR0913 - an ASGI request, and where it goes
        self,
        upstream: Upstream,
        target: bytes,
        scope: "HTTPScope",
        receive: "ASGIReceiveCallable",
        send: "ASGISendCallable",
        is_read: asyncio.Event,
    ) -> None:
        assert self._session is not None
        loop, has_begun = asyncio.get_running_loop(), False
        try:
            async with asyncio.timeout(IDLE_TIMEOUT) as idle:

                def go_on() -> None:
                    if not idle.expired():
                        idle.reschedule(loop.time() + IDLE_TIMEOUT)

                # Of a client that leaves meanwhile, nothing waits for the process that comes.
                await upstream.ready()
                go_on()
                async with self._session.request(
                    scope["method"],
                    URL(f"http://{upstream.place}{quote_target(target)}", encoded=True),
                    headers=headers_for(scope),
                    data=read_body(receive, is_read, go_on)
                    if _has_body(scope["headers"])
                    else None,
                    allow_redirects=False,
                ) as response:
                    answered = [*_without_hops(response.raw_headers), _SANDBOX]
                    await send(
                        {
                            "type": "http.response.start",
                            "status": response.status,
                            "headers": answered,
                            "trailers": False,
                        }
                    )
                    has_begun = True
                    async for chunk in response.content.iter_any():
                        go_on()
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except _Left:
            return
        except (aiohttp.ClientError, OSError) as error:
            if has_begun:  # cut off, so that the client does not take it for whole
                raise
            await refuse(send, *_explain(error, upstream))


async def _send_messages(
    receive: "ASGIReceiveCallable", joined: aiohttp.ClientWebSocketResponse
) -> None:
    """Send on what a client says, and its end."""
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None:
            await joined.send_str(text)
        else:
            await joined.send_bytes(message["bytes"] or b"")
    code = cast("WebsocketDisconnectEvent", message)["code"]
    await joined.close(code=code if code in _SENDABLE else 1001)


async def _give_messages(joined: aiohttp.ClientWebSocketResponse, send: "ASGISendCallable") -> None:
    """Give what a service says, and its end."""
    async for message in joined:
        is_text = message.type is aiohttp.WSMsgType.TEXT
        text, data = (message.data, None) if is_text else (None, message.data)
        await send({"type": "websocket.send", "text": text, "bytes": data})
    code = joined.close_code or 1011
    await send(
        {"type": "websocket.close", "code": code if code in _SENDABLE else 1011, "reason": None}
    )


def _explain(error: BaseException, upstream: Upstream) -> tuple[int, str]:
    """Return the status and the message of an error before the service has answered."""
    match error:
        case _Gone():  # its reason is for the page alone: any site may ask here
            return 502, f"{upstream.service} does not run: see the page"
        case aiohttp.ServerTimeoutError():
            what = "has not taken the connection"
            return 504, f"{upstream.service} {what} within {CONNECT_TIMEOUT:g} s"
        case TimeoutError():
            return 504, f"{upstream.service} has not answered within {IDLE_TIMEOUT:g} s"
    return 502, f"{upstream.service} does not answer"


async def refuse(send: "ASGISendCallable", status: int, message: str) -> None:
    """Answer with an error in the envelope of the contract, which no other site can read."""
    body = orjson.dumps({"message": message, "success": False}) + b"\n"
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), length],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def read_body(
    receive: "ASGIReceiveCallable", is_read: asyncio.Event, go_on: Callable[[], None]
) -> AsyncIterator[bytes]:
    """Give a body as it comes; raises where the client leaves before its end."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Left
        go_on()
        if message["body"]:
            yield message["body"]
        if not message["more_body"]:
            is_read.set()
            return


def _has_body(headers: Iterable[Header]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


def headers_for(scope: "HTTPScope | WebsocketScope") -> "CIMultiDict[str]":
    """Return the client's headers, and those in which an Ingress tells of it."""
    found = CIMultiDict[str]()
    for name, value in _without_hops(scope["headers"]):
        if name.lower() not in _OURS:
            found.add(name.decode("latin-1"), _text(value))
    client, host = scope.get("client"), found.get("Host", "")
    port = host.rpartition(":")[2] if not host.endswith("]") else ""
    found["X-Forwarded-For"] = found["X-Real-IP"] = client[0] if client else "127.0.0.1"
    found["X-Forwarded-Host"] = host
    found["X-Forwarded-Port"] = port if port.isdigit() else "80"
    found["X-Forwarded-Proto"] = "http"  # by which the page is reached
    return found


def _without_hops(headers: Iterable[Header]) -> list[Header]:
    """Return headers without those of the connection, which it may name itself."""
    headers = list(headers)
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    } - {b"host", b"content-length", b"content-type"}
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in _OF_A_CONNECTION and name.lower() not in named
    ]


def _text(value: bytes) -> str:
    """Return a header's value as text that aiohttp writes as the same bytes, where there is one."""
    with suppress(UnicodeDecodeError):
        return value.decode()
    return value.decode("latin-1")


def quote_target(target: bytes) -> str:
    """Return a path with its query, what is no ASCII of it as percent-encoded bytes."""
    return "".join(
        chr(each) if 0x20 < each < 0x7F and each != 0x23 else f"%{each:02X}" for each in target
    )
