"""What serves in place of Quart's own classes: connection, request, body and the map of routes.

Quart's own classes run two tasks for every request: one receives, one answers. Here a body is
received by the handler that reads it. A client that disconnects cancels the handler of a streamed
answer, which may have no end, and one that waits for a connection or a read; any other handler
runs to its end, and commits what it began.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator
from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Any, Self, cast

import quart
from quart import Response
from quart.asgi import ASGIHTTPConnection, ASGIWebsocketConnection
from quart.debug import traceback_response
from quart.routing import QuartMap
from quart.wrappers.base import BaseRequestWebsocket
from quart.wrappers.response import DataBody, ResponseBody
from werkzeug.datastructures import Headers
from werkzeug.exceptions import (
    ClientDisconnected,
    RequestEntityTooLarge,
    RequestTimeout,
    ServiceUnavailable,
)
from werkzeug.routing import MapAdapter, Rule
from werkzeug.sansio.utils import get_content_length

from quart_fleet.asgi._limits import BodyMemory
from quart_fleet.bounds import BOUND, DEADLINE_HEADER, Bound
from quart_fleet.errors import UnavailableError
from quart_fleet.logs import outside_requests
from quart_fleet.observation import REQUEST, REQUEST_ID, ObservedRequest

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )
    from quart.typing import ResponseTypes

    from quart_fleet.asgi._application import ServiceApplication

SMALL = 16_384
"""Bytes of an answer that every server buffers, so that sending them never waits."""
LOOK_INTERVAL = 0.25
"""Seconds from one look at the requests in progress to the next. Nearly all have ended before the
first: what lasts longer pays for it, by a task that waits for its client to leave."""
LINGER_TIMEOUT = 5.0
"""Seconds that a client gets to finish a body after it was answered."""

TAKES_CONTEXT = "ctx" in signature(quart.Quart.handle_exception).parameters
"""Whether Quart's handlers of errors are given the context, as they are from 0.23 on."""
_NEVER = float("inf")
_DEADLINE = DEADLINE_HEADER.lower().encode()
_USUALLY_WITHOUT_BODY = {"GET", "HEAD", "DELETE", "OPTIONS"}

_BLUEPRINTS: dict[str | None, list[str]] = {}
"""By endpoint, of which there are as many as routes: Quart asks three times for each request."""


class HTTPConnection:
    """What Quart asks of its `asgi_http_class`, without a task or a timer for a small answer.

    An application with a request class that is not derived from `Request` is served by Quart's own
    class, which cancels every handler whose client disconnects.
    """

    def __init__(self, app: "ServiceApplication", scope: "HTTPScope") -> None:
        self._app = app
        self._scope = scope

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        request_class = cast("type[Request]", self._app.request_class)
        if not issubclass(request_class, Request):
            await LingeringConnection(self._app, self._scope)(receive, send)
            return
        request = request_class.received(self._app, self._scope, receive)
        if (observed := REQUEST.get()) is not None:
            observed.body = request.body
        try:
            response = await self._app.handle_request(request)
        except Exception as error:
            if not (self._app.debug or self._app.testing):
                await self._fail(request, error, send)
                return
            response = await traceback_response(error)
        except (asyncio.CancelledError, BaseExceptionGroup) as error:
            await self._cut(request, error, send)
            return
        finally:
            request.body.release()
        body = response.response if isinstance(response, Response) else response.get_data()
        if isinstance(body, DataBody):
            body = body.data[body.begin : body.end]
        if isinstance(body, bytes) and len(body) <= SMALL and request.body.ended:
            head = _head_of(response)
            if observed is not None:
                note_head(observed, head)
                observed.sent, observed.is_whole = len(body), True
            await send(head)
            await send(_last_part(body))
            return
        if observed is not None:
            send = noting(observed, send)
        await _send_at_length(response, body, request.body, receive, send)

    async def _cut(
        self, request: "Request", error: BaseException, send: "ASGISendCallable"
    ) -> None:
        """Answer at the end of the time that an ending process has, in an `except` clause."""
        others = None
        if isinstance(error, BaseExceptionGroup):  # Quart was tearing down
            _, others = error.split(asyncio.CancelledError)
        if others is None:
            await self._app.refuse(503, send)
        elif isinstance(others, Exception):
            await self._fail(request, others, send, 503)
        else:
            raise error

    async def _fail(
        self, request: "Request", error: Exception, send: "ASGISendCallable", status: int = 500
    ) -> None:
        if (observed := REQUEST.get()) is not None:
            observed.error = error
        self._app.logger.exception("%s %s failed", request.method, request.path)
        await self._app.refuse(status, send)


class LingeringConnection(ASGIHTTPConnection):
    """Quart's own, which ends its answer when the request has ended too.

    A server that closes a connection with bytes unread resets it, and its client loses an answer
    not read yet (RFC 9112, section 9.6): that of 413, which comes before the end of the body.

    From 0.23 on, Quart receives until the client leaves, behind an answer that was cut as well, and
    holds all of a body that is too large. Here it does neither, with whichever Quart.
    """

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        ended, has_begun, send_noted = asyncio.Event(), False, send
        if (observed := REQUEST.get()) is not None:
            send_noted, receive = noting(observed, send), _noting_received(observed, receive)

        async def receive_noting_end() -> "ASGIReceiveEvent":
            message = await receive()
            if not message.get("more_body", False):
                ended.set()
            return message

        async def send_last_at_end(message: "ASGISendEvent") -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), LINGER_TIMEOUT)
            await send_noted(message)

        request = self._create_request_from_scope(send_last_at_end)
        answering = asyncio.ensure_future(self.handle_request(request, send_last_at_end))
        receiving = self.handle_messages(request, receive_noting_end, *_no_task())
        try:
            await _first_of(answering, asyncio.ensure_future(receiving))
        except asyncio.CancelledError:  # at the end of the time that an ending process has
            if not has_begun:
                await cast("ServiceApplication", self.app).refuse(503, send)
            return
        if not answering.cancelled():
            answering.result()  # one that has failed as it was cancelled, too

    async def handle_messages(
        self, request: quart.Request, receive: "ASGIReceiveCallable", *answering: Any
    ) -> None:
        """Give the body what it may hold, and receive the rest unread."""
        come, most = 0, request.body._max_content_length

        async def receive_bounded() -> "ASGIReceiveEvent":
            nonlocal come
            is_too_much = most is not None and come > most
            if is_too_much:  # the body has the last part, and raises behind it
                request.body._must_raise = RequestEntityTooLarge()
            while (message := await receive())["type"] == "http.request" and is_too_much:
                pass
            if message["type"] == "http.request":
                come += len(message.get("body", b""))
                if most is not None and come > most:
                    return {**message, "more_body": False}
            return message

        await super().handle_messages(request, receive_bounded, *answering)


class WebsocketConnection(ASGIWebsocketConnection):
    """Quart's own, which has ended when the handler has, as up to Quart 0.22.

    From then on it would wait for the client to leave, whose handshake may have been refused.
    """

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        if not TAKES_CONTEXT:
            await super().__call__(receive, send)
            return
        websocket = self._create_websocket_from_scope(send)
        handling = asyncio.ensure_future(self.handle_websocket(websocket, send))
        receiving = cast("Any", self).handle_messages(websocket, receive, *_no_task())
        await _first_of(handling, asyncio.ensure_future(receiving))
        if not handling.cancelled():
            handling.result()  # one that has failed as it was cancelled, too


def _no_task() -> "tuple[asyncio.Future[None], ...]":
    """Return what Quart may cancel, from 0.23 on, where a client leaves.

    A handler that is cancelled twice does not come to the end of its `finally`.
    """
    return (asyncio.get_running_loop().create_future(),) if TAKES_CONTEXT else ()


class RequestBody:
    """Read by `await`, whole, or by `async for`, part by part; in place of Quart's own class.

    Both raise RequestEntityTooLarge, as soon as more than `most` bytes are announced or have
    come, and ClientDisconnected; `await` raises RequestTimeout too, and ServiceUnavailable while
    the bodies of all requests are more than the process may hold.
    """

    is_receiving = False
    """Whether a handler waits for a part of it now."""

    def __init__(self, announced: int | None, most: int | None) -> None:
        self._most = most
        self._length = announced or 0
        self.come = 0
        """Bytes that have come."""
        self._whole: bytes | None = b""
        self._held = 0
        self.ended = True

    def read_from(
        self, receive: "ASGIReceiveCallable", timeout: float | None, memory: BodyMemory
    ) -> None:
        """Say that there is a body, where to ask for it, and how many seconds it may take.

        What is read of it whole counts in `memory` until it is released.
        """
        self._receive = receive
        self._timeout = timeout
        self._memory = memory
        self._whole = None
        self.ended = False

    def set_result(self, data: bytes) -> None:
        """Have these bytes for a body, as Quart's test requests do."""
        self._whole = data

    def clear(self) -> None:
        """Release the memory of what was read."""
        self._whole = b""

    def release(self) -> None:
        """Count what was read no more: the request has been answered."""
        if self._held:
            self._memory.held -= self._held
            self._held = 0

    def __await__(self) -> Generator[Any, None, bytes]:
        if self._whole is None:
            self._whole = yield from self._read().__await__()
        return self._whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._raise_if_too_large(max(self._length, self.come))
        if self._whole is not None:
            yield self._whole
        while not self.ended:
            part = await self._receive_part()
            self.come += len(part)
            self._raise_if_too_large(self.come)
            yield part

    async def drop(self) -> None:
        """Receive the rest and leave it unread, as LingeringConnection explains."""
        with suppress(TimeoutError, ClientDisconnected):
            async with asyncio.timeout(LINGER_TIMEOUT):
                while not self.ended:
                    self.come += len(await self._receive_part())

    async def wait_for_disconnect(self, receive: "ASGIReceiveCallable") -> None:
        """Return when the client has gone; parts of the body that come until then stay readable."""
        if self.ended:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        kept: asyncio.Queue[ASGIReceiveEvent] = asyncio.Queue()

        async def take() -> "ASGIReceiveEvent":
            message = await kept.get()
            if message["type"] == "http.request":
                self._hold(-len(message.get("body", b"")))
            return message

        self._receive = take
        length, is_last = 0, False
        try:
            while (message := await receive())["type"] == "http.request":
                if self._most is None or length <= self._most:
                    kept.put_nowait(message)  # the one that is too much too: it is refused
                    self._hold(len(message.get("body", b"")))
                    while self._memory.held > self._memory.most:  # noqa: ASYNC110 - others count it
                        await asyncio.sleep(LOOK_INTERVAL)  # no more is received
                length += len(message.get("body", b""))
                is_last = not message.get("more_body", False)
            kept.put_nowait(message)
        finally:
            self._receive = receive
            self.ended = self.ended or is_last

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeout):
                parts = []
                async for part in self:
                    parts.append(part)
                    if not self.ended or len(part) > SMALL:
                        self._hold(len(part))
                        if self._memory.held > self._memory.most:
                            raise ServiceUnavailable(retry_after=1)
                return b"".join(parts)
        except TimeoutError:
            self.ended = True  # the rest is not waited for
            raise RequestTimeout from None

    def _hold(self, length: int) -> None:
        self._held += length
        self._memory.held += length

    async def _receive_part(self) -> bytes:
        self.is_receiving = True
        try:
            message = await self._receive()
        finally:
            self.is_receiving = False
        if message["type"] != "http.request":
            self.ended = True
            _note_left()
            raise ClientDisconnected
        self.ended = not message.get("more_body", False)
        return message.get("body", b"")

    def _raise_if_too_large(self, length: int) -> None:
        if self._most is not None and length > self._most:
            raise RequestEntityTooLarge


class Request(quart.Request):
    """Quart's, with a body that is received when a handler reads it."""

    body_class = RequestBody  # type: ignore[assignment]  # has all that Quart asks of one
    body: RequestBody  # type: ignore[assignment]
    receive: "ASGIReceiveCallable"

    def __init__(self, *args: Any, **options: Any) -> None:
        scope: HTTPScope = options["scope"]
        sent = dict(scope["headers"])
        self._length = sent.get(b"content-length")
        self._coding = sent.get(b"transfer-encoding")
        self.caller_timeout = sent.get(_DEADLINE)
        """What DEADLINE_HEADER says, as it was sent."""
        # A body of HTTP/1.1 is announced (RFC 9112, section 6.3). One of HTTP/2 need not be, nor
        # that of a test client, which has no address; where bodies are usual, servers are asked too.
        self.has_body = bool(
            self._length is not None
            or self._coding is not None
            or scope["method"] not in _USUALLY_WITHOUT_BODY
            or not scope.get("client")
            or scope["http_version"] >= "2"
        )
        super().__init__(*args, **options)

    @classmethod
    def received(
        cls, app: "ServiceApplication", scope: "HTTPScope", receive: "ASGIReceiveCallable"
    ) -> Self:
        """Make the request of a normalised scope; nothing of the body is received."""
        config = app.config
        client = scope.get("client")
        headers = Headers()
        headers.add("Remote-Addr", client[0] if client else "<local>")  # before one that was sent
        for name, value in scope["headers"]:
            headers.add(name.decode("latin1").title(), value.decode("latin1"))
        if config["SERVER_NAME"] and scope["http_version"] < "1.1":
            headers.setdefault("Host", config["SERVER_NAME"])
        root = scope.get("root_path", "")
        request = cls(
            scope["method"],
            scope["scheme"],
            scope["path"].removeprefix(root),
            scope["query_string"],
            headers,
            root,
            scope["http_version"],
            scope=scope,
            max_content_length=config["MAX_CONTENT_LENGTH"],
            body_timeout=config["BODY_TIMEOUT"],
            send_push_promise=_push_nothing,
        )
        request.receive = receive
        if request.has_body:
            request.body.read_from(receive, config["BODY_TIMEOUT"], app.bodies)
        return request

    @property
    def content_length(self) -> int | None:
        """The bytes that the body has, where they are announced."""
        if not self.has_body:
            return None
        return get_content_length(
            None if self._length is None else self._length.decode("latin1"),
            None if self._coding is None else self._coding.decode("latin1"),
        )

    @property
    def blueprints(self) -> list[str]:
        """The names of the blueprints that the endpoint says, the innermost first."""
        endpoint = self.endpoint
        if endpoint not in _BLUEPRINTS:
            _BLUEPRINTS[endpoint] = super().blueprints
        return _BLUEPRINTS[endpoint]


class AnyHostMap(QuartMap):
    """Routes that are the same on every host, which therefore is not taken apart.

    With SERVER_NAME set, or host matching, it is.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fixed: dict[tuple[str, str, bool], Rule] = {}
        """Routes without variables that were found once, by path, method and whether WebSocket."""

    def bind_to_request(
        self, request: BaseRequestWebsocket, subdomain: str | None, server_name: str | None
    ) -> MapAdapter:
        """Return what matches this request."""
        if server_name is not None or self.host_matching:
            return super().bind_to_request(request, subdomain, server_name)
        return _AnyHostAdapter(self, request)


class _AnyHostAdapter(MapAdapter):
    """Finds a route; reads the Host header when an address is made, to redirect or by `url_for`."""

    map: AnyHostMap

    def __init__(self, routes: AnyHostMap, request: BaseRequestWebsocket) -> None:
        super().__init__(
            routes,
            "",
            request.root_path,
            "",
            request.scheme,
            request.path,
            request.method,
            request.query_string.decode("latin1"),
        )
        self._request = request

    def match(self, *args: Any, **options: Any) -> Any:
        """Return what werkzeug finds; what Quart asks is kept where no variable is in it.

        A health check needs 7 % less for it.
        """
        if args or options != {"return_rule": True}:
            return super().match(*args, **options)
        key = self.path_info, self.default_method, self.websocket
        if key in self.map.fixed:
            return self.map.fixed[key], {}
        rule, values = super().match(return_rule=True)
        if not rule.arguments:
            self.map.fixed[key] = rule
        return rule, values

    def get_host(self, domain_part: str | None) -> str:
        """Return the host as Quart's own map reads it."""
        whole = QuartMap.bind_to_request(self.map, self._request, None, None)
        self.server_name = whole.server_name
        return super().get_host(domain_part)


def has_large_body(scope: "HTTPScope") -> bool:
    """Whether a body is announced that counts in the memory of all; of chunks none knows."""
    return any(
        name == b"transfer-encoding"
        or (name == b"content-length" and value.isdigit() and int(value) > SMALL)
        for name, value in scope["headers"]
    )


class BoundedApplication(quart.Quart):
    """Answers each request within REQUEST_TIMEOUT seconds, and stops reading for clients that left."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds: dict[Bound, None] = {}
        """The requests in progress."""
        self._looking: asyncio.AbstractEventLoop | None = None

    async def handle_request(self, request: quart.Request) -> "ResponseTypes":
        """Answer as Quart's own method does, or end the handler as its bound says."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        ends = now + (self.config.get("REQUEST_TIMEOUT") or _NEVER)
        bound = Bound(asyncio.current_task(), request, now, ends)
        if isinstance(request, Request):
            timeout = request.caller_timeout
        else:  # Quart's own
            timeout = dict(request.scope["headers"]).get(_DEADLINE)
        if timeout is not None and timeout.isdigit() and len(timeout) <= 10:
            bound.deadline = now + int(timeout) / 1000
            bound.ends = min(ends, bound.deadline)
        self._bounds[bound] = None
        if self._looking is not loop:
            self._looking = loop
            # It is of all requests, and keeps nothing of the first.
            loop.call_later(LOOK_INTERVAL, self._look, loop, context=outside_requests())
        BOUND.set(bound)
        app: Any = self
        async with self.request_context(request) as context:
            _note_rule(request)
            given = (context,) if TAKES_CONTEXT else ()
            try:
                return await self.full_dispatch_request(context)
            except asyncio.CancelledError:
                if bound.ended_by is None or bound.task is None:
                    raise
                bound.task.uncancel()
                result = await app.handle_user_exception(*given, bound.ended_by)
                ordered = (context, result) if given else (result, context)
                return cast("ResponseTypes", await app.finalize_request(*ordered))
            except Exception as error:
                return cast("ResponseTypes", await app.handle_exception(*given, error))
            finally:
                del self._bounds[bound]
                bound.scope = request.scope
                bound.task = bound.request = None  # else they would refer to each other in a circle
                if bound.watcher is not None:
                    if bound.has_left:
                        _note_left()
                    bound.watcher.cancel()
                    await asyncio.wait([bound.watcher])
                    bound.watcher = None  # so does its traceback, which has all of the request
                if request.scope.get("_quart._preserve_context", False):  # as test clients ask for
                    self._preserved_context = context.copy()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the requests whose time is over, and watch for the clients of those that last.

        BODY_TIMEOUT is how long a body as a whole may take that is awaited, and how long each part
        of one that is read part by part.
        """
        now, timeout = loop.time(), self.config.get("REQUEST_TIMEOUT") or _NEVER
        pause = self.config["BODY_TIMEOUT"] or _NEVER
        for bound in [*self._bounds]:
            if now - bound.started < LOOK_INTERVAL and now < bound.ends:
                continue
            body = bound.request.body
            # Which has a timeout of its own.
            if getattr(body, "is_receiving", False) and now < bound.deadline:
                bound.started, bound.ends = now, min(now + timeout, bound.deadline)
                if bound.come != body.come:
                    bound.come, bound.came = body.come, now
                elif now - bound.came >= pause:
                    body.ended = True  # the rest is not waited for
                    bound.end(RequestTimeout())
                continue
            bound.come = -1
            if now >= bound.ends:
                bound.end(UnavailableError("Request timed out"))
            elif bound.watcher is None and isinstance(bound.request, Request):
                bound.watcher = asyncio.ensure_future(_watch(bound, bound.request))
        if not self._bounds:
            self._looking = None
            return
        end = min((each.ends for each in self._bounds if each.ended_by is None), default=_NEVER)
        loop.call_at(min(now + LOOK_INTERVAL, max(end, now + 0.001)), self._look, loop)


def _note_rule(request: quart.Request) -> None:
    """Tell those that observe the request which route it has."""
    if request.url_rule is not None and (observed := REQUEST.get()) is not None:
        observed.rule = request.url_rule.rule


def _note_left() -> None:
    """Tell those that observe the request that its client has left before all of its answer."""
    if (observed := REQUEST.get()) is not None:
        observed.left = True


async def _watch(bound: Bound, request: Request) -> None:
    """End a request whose client has left, where it does nothing but wait or read."""
    await request.body.wait_for_disconnect(request.receive)
    bound.has_left = True
    if bound.waits and not bound.has_written:
        bound.end(ClientDisconnected())


async def _push_nothing(path: str, headers: Headers) -> None:
    """Leave out HTTP/2's server push, which clients have given up."""


def _head_of(response: "ResponseTypes") -> "HTTPResponseStartEvent":
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def _send_at_length(
    response: "ResponseTypes",
    body: Any,
    request_body: "RequestBody",
    receive: "ASGIReceiveCallable",
    send: "ASGISendCallable",
) -> None:
    timeout = getattr(response, "timeout", ...)
    # Cancelled at the end of the time that an ending process has: the answer stays cut.
    with suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(None if timeout is ... else cast("float | None", timeout)):
            await send(_head_of(response))
            if isinstance(body, bytes):
                await send(_part(body))
            else:
                await _send_while_connected(body, request_body, receive, send)
            await request_body.drop()  # the answer ends when the request has ended too
            await send(_last_part())


def note_head(observed: ObservedRequest, head: "HTTPResponseStartEvent") -> None:
    """Note the status of an answer, and have the answer say the id of its request."""
    observed.status = head["status"]
    for name, _ in head["headers"]:
        if name == REQUEST_ID:
            return
    head["headers"] = [*head["headers"], (REQUEST_ID, observed.id)]


def noting(observed: ObservedRequest, send: "ASGISendCallable") -> "ASGISendCallable":
    """Return what sends the parts of an answer, and notes what was sent."""

    def send_noted(message: "ASGISendEvent") -> "Awaitable[None]":
        if message["type"] == "http.response.start":
            message = message.copy()  # which may be that of many answers
            note_head(observed, message)
        elif message["type"] == "http.response.body":
            observed.sent += len(message.get("body", b""))
            observed.is_whole = not message.get("more_body", False)
        return send(message)

    return send_noted


def _noting_received(
    observed: ObservedRequest, receive: "ASGIReceiveCallable"
) -> "ASGIReceiveCallable":
    """Return what receives, and notes what has come, and whether the client left before its answer."""

    async def receive_noted() -> "ASGIReceiveEvent":
        message = await receive()
        if message["type"] == "http.request":
            observed.received += len(message.get("body", b""))
        elif not observed.is_whole:
            observed.left = True
        return message

    return receive_noted


def _part(data: bytes) -> "HTTPResponseBodyEvent":
    return {"type": "http.response.body", "body": data, "more_body": True}


def _last_part(data: bytes = b"") -> "HTTPResponseBodyEvent":
    return {"type": "http.response.body", "body": data, "more_body": False}


async def _send_while_connected(
    body: ResponseBody,
    request_body: RequestBody,
    receive: "ASGIReceiveCallable",
    send: "ASGISendCallable",
) -> None:
    async def send_parts() -> None:
        async with body as parts:
            async for part in parts:
                await send(_part(part.encode() if isinstance(part, str) else part))

    # Begun first: from then on what reads the request's body asks that task, not the server.
    leaving = asyncio.ensure_future(request_body.wait_for_disconnect(receive))
    sending = asyncio.ensure_future(send_parts())
    try:
        ended = await _first_of(leaving, sending)
    finally:
        request_body.release()  # what has come meanwhile, which nobody reads any more
    if sending not in ended:
        _note_left()
    if sending in ended or not sending.cancelled():
        sending.result()  # one that was not cancelled here is no whole answer either


async def _first_of(*tasks: "asyncio.Future[None]") -> "set[asyncio.Future[None]]":
    """Return those that have ended first, or raise what they have; the others are cancelled."""
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        if not task.cancelled():
            task.result()
    return ended
