"""Serving by uvicorn, with bounds on what a client may send and on how long it may take.

uvicorn has none for the head of a request, and closes what its listener has not handed over yet.
"""

import asyncio
import signal
import socket
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from types import FrameType
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.asgi._http import SMALL
from quart_fleet.logs import HOSTED, outside_requests
from quart_fleet.server._connections import (
    ANSWER,
    BODY,
    CUT_TIMEOUT,
    FRAMING,
    HEAD,
    HOST,
    IDLE,
    MOST_QUEUED,
    REFUSED,
    REST,
    Connection,
    Connections,
)
from quart_fleet.server._listener import end_listening
from quart_fleet.server._workers import Link

_VERSIONS = ("1.1", "1.0")
_QUEUED_SIZE = 4096
"""Bytes that a request takes while it waits for the answer before it, besides its body."""
_LINE_ENDS = 4
"""Bytes of a header's line besides its name and its value."""
_KEY = b"sec-websocket-key"
_VERSION = b"sec-websocket-version"


class _Refused(Exception):  # noqa: N818 - stops the parser, and is no error
    """The request that is being parsed is answered already."""


class BoundedProtocol(HttpToolsProtocol, Connection):
    """uvicorn's, which refuses heads that are too large, and answers half-closed clients.

    Nothing else in it is awaited or timed: `Connections` looks at it from outside.
    """

    transport: asyncio.Transport

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._all = connections
        self._unparsed = 0
        """Bytes that have come since the last part of a body, or since the last request."""
        self._hosts = 0
        self._trailers = 0
        self._is_in_head = False
        self._is_in_body = False
        self._has_to_read_again = False
        """Whether the head asks for an upgrade that is ignored."""
        self._running: RequestResponseCycle | None = None
        """The request that is answered; uvicorn's `cycle` is the last one that has come."""
        self._refusal: int | None = None
        """The status that ends the connection, behind the answers of what came whole before."""
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in."""
        super().connection_made(transport)
        self._all.admit(self, len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._all.forget(self)
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; what comes after a refusal is dropped."""
        if self._refusal is not None:
            return
        self._unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(400)
        if self._unparsed > self._all.most_head:
            self.refuse(431)
        is_large = self._running is not None and len(self._running.body) > SMALL
        if self._unparsed or self.pipeline or self.held or is_large:
            self.measure()
        if is_large:
            self.loop.call_soon(self.measure)  # when its handler has had a turn to take it

    def measure(self) -> None:
        """Count what has come and what no handler has taken."""
        held = self._unparsed
        if self._running is not None and len(self._running.body) > SMALL:
            held += len(self._running.body)
        held += sum(_QUEUED_SIZE + len(cycle.body) for cycle, _ in self.pipeline)
        if held == self.held or self.transport.is_closing():
            return
        is_unfinished = self._unparsed or (self.cycle is not None and self.cycle.more_body)
        if (
            self._all.hold(self, held) and is_unfinished
        ):  # a whole one is the application's to refuse
            self.refuse(503)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # there it always closes
        """Stay for the answer of a client that closes its sending side only."""
        if self.find_state()[0] != ANSWER:
            return None
        self._forget_unfinished()
        last = self.pipeline[0][0] if self.pipeline else self._running
        assert last is not None
        last.keep_alive = False
        self.watch_half_closed()
        return True

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._hosts = self._trailers = 0
        self._is_in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head; drop one behind a chunked body (RFC 9110, section 6.5.1)."""
        if not self._is_in_head:
            self._trailers += 1
            if self._trailers > self._all.most_headers:
                self._stop(431)
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
            if value != self._all.host:
                if not HOST.fullmatch(value.rstrip()):
                    self._stop(400)
                self._all.host = value
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            self._stop(501)
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = self.parser.get_http_version() == "1.1"
        self.headers.append((name, value))
        if len(self.headers) > self._all.most_headers:
            self._stop(431)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is too large or names no host (RFC 9112, section 3.2)."""
        if self._unparsed > self._all.most_head:  # with what has come of a body
            line = f"{self.parser.get_method().decode()}  HTTP/1.1\r\n\r\n"
            size = len(line) + len(self.url)
            size += sum(len(name) + len(value) + _LINE_ENDS for name, value in self.headers)
            if size > self._all.most_head:
                self._stop(431)
        self._unparsed = 0
        self._is_in_head = False
        version = self.parser.get_http_version()
        if version not in _VERSIONS or (self._hosts != 1 and (self._hosts or version != "1.0")):
            self._stop(400)
        if len(self.pipeline) >= MOST_QUEUED:
            self._stop(503)
        self._has_to_read_again = (
            self.parser.should_upgrade()
            and self.parser.get_method() != b"CONNECT"
            and not self._should_upgrade()
        )
        if self._has_to_read_again:
            return
        super().on_headers_complete()
        self._is_in_body = True
        if not self.pipeline:
            self._running = self.cycle

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._has_to_read_again:
            return
        self._unparsed = 0
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, as uvicorn does, without a timer until it comes."""
        self.server_state.total_requests += 1
        if self.held:
            self.measure()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._running, app = self.pipeline.pop()
            # In no context of the request before, which called this.
            running = self._running.run_asgi(app)
            task = self.loop.create_task(running, context=outside_requests())
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        elif self._refusal is not None:
            self._end(self._refusal)

    def shutdown(self) -> None:
        """Let the request that runs end the connection; an idle one waits for one on its way."""
        if self.find_state()[0] in (BODY, ANSWER):
            super().shutdown()

    def find_state(self) -> tuple[int, object]:
        """Return what is waited for, by the request that is answered."""
        cycle = self._running
        if self._is_refused:
            return REFUSED, None
        if cycle is None or cycle.response_complete:
            if self._is_in_body and cycle is self.cycle:
                return REST, cycle
            return (HEAD if self._is_in_head else IDLE), cycle
        return (BODY if cycle.more_body else ANSWER), cycle

    def is_waiting_to_send(self) -> bool:
        """Whether uvicorn holds answers back, or closes what has been answered."""
        return self.flow.write_paused or self.transport.is_closing()

    def has_answered(self) -> bool:
        """Whether the answer has begun."""
        return self._running is not None and self._running.response_started

    def takes_interim(self) -> bool:
        """Whether the client that is answered speaks HTTP/1.1."""
        return self._running is not None and self._running.scope["http_version"] != "1.0"

    def refuse(self, status: int) -> None:
        """Answer in place of a handler; what came whole before is answered first."""
        if self._refusal is not None:
            return
        self._refusal = status
        self._forget_unfinished()
        if self.find_state()[0] != ANSWER:
            self._end(status)

    def _end(self, status: int) -> None:
        phase = self.find_state()[0]
        if phase != REST and not (phase == BODY and self.has_answered()):
            self.transport.write(self._all.write(status))
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        self._is_refused = True
        self._unparsed = 0
        self.parser = cast("Any", None)  # with what has come of a head
        if self._is_in_head:
            self.headers.clear()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _forget_unfinished(self) -> None:
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()

    def _stop(self, status: int) -> None:
        self.refuse(status)
        raise _Refused

    def _should_upgrade(self) -> bool:
        return (
            self._all.opens_websockets
            and self.parser.get_http_version() == "1.1"
            and self.parser.get_method() == b"GET"
            and super()._should_upgrade()
        )

    def _upgrade(self, rest: bytes) -> None:
        """Open a WebSocket, or read the request as one that asks for no upgrade.

        Any other is ignored (RFC 9110, section 7.8), and the parser takes the body for what comes
        behind it.
        """
        if self._has_to_read_again:
            lines = [
                b"%s %s HTTP/%s"
                % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
            ]
            lines += [b"%s: %s" % each for each in self.headers if each[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self._unparsed = 0
            self.data_received(b"\r\n".join([*lines, b"", rest]))
            return
        if not self._should_upgrade():  # CONNECT
            self.cycle.keep_alive = False
            return
        headers = dict(self.headers)
        if headers.get(_VERSION) != b"13":  # RFC 6455, section 4.4
            self.refuse(426)
        elif (
            not headers.get(_KEY)
            or headers.keys() & FRAMING
            or self.find_state()[0] == ANSWER  # behind a request, whose answer would come later
        ):
            self.refuse(400)
        else:
            self._all.forget(self)
            self.handle_websocket_upgrade()


class BoundedServer(uvicorn.Server):
    """uvicorn's, whose end is not the end of what its listener took in."""

    def __init__(self, config: uvicorn.Config, connections: Connections, link: Link) -> None:
        super().__init__(config)
        self._all = connections
        self._link = link
        self._seen: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator there
        """Handle signals, unless they are for several servers of this process."""
        return super().capture_signals() if HOSTED.get() is None else nullcontext()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in good order at the first signal, at once at the second; the third one kills."""
        if self._link.is_second(sig, self._seen):
            signal.signal(sig, signal.SIG_DFL)
            if self._loop is None:
                signal.raise_signal(sig)
            else:
                self._loop.call_soon_threadsafe(self._cut, self._loop)
        elif not self.should_exit:
            super().handle_exit(sig, frame)
        self._seen.append(sig)

    def _cut(self, loop: asyncio.AbstractEventLoop) -> None:
        for task in self.server_state.tasks:
            task.cancel()
        loop.call_later(CUT_TIMEOUT, setattr, self, "force_exit", True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, and say so."""
        self._loop = asyncio.get_running_loop()
        self._all.start()
        await super().startup(sockets)
        if self.started:
            self._link.serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: take what the kernel has accepted, answer, close."""
        await self._link.leave()
        self._all.drain()
        protocol = partial(
            BoundedProtocol,
            self._all,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        is_last = self._link.is_last()
        for listener in sockets or ():
            await end_listening(listener, self.servers, protocol, is_last=is_last)
        self._link.closed()
        await super().shutdown(sockets)


def run_uvicorn(app: ServiceApplication, listener: socket.socket, link: Link) -> None:
    """Serve with uvicorn, on uvloop and httptools, until SIGINT or SIGTERM."""
    # Having stopped in good order, uvicorn sends itself the signal once more.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    server = make_server(app, link)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


def make_server(app: ServiceApplication, link: Link) -> BoundedServer:
    """Make uvicorn's server, as an application is to be served."""
    connections = Connections(app)
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, connections),  # type: ignore[arg-type]  # is called alone
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level=None,
        server_header=False,
        timeout_graceful_shutdown=app.config["GRACEFUL_TIMEOUT"],
        proxy_headers=False,  # the application reads them, under every server
    )
    return BoundedServer(config, connections, link)
