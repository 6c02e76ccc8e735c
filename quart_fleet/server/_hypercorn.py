"""Serving by hypercorn, with bounds on what a client may send, and an end that loses nothing.

Its own `serve` closes what its listener has not handed over yet, and every idle connection.
"""

import asyncio
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import uvloop
from h11._receivebuffer import ReceiveBuffer
from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ConnectionState, LifespanState
from hypercorn.utils import LifespanFailureError, parse_socket_addr, wrap_app

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.asgi._http import SMALL
from quart_fleet.conventions import BACKLOG
from quart_fleet.server._connections import (
    ANSWER,
    BODY,
    CUT_TIMEOUT,
    FRAMING,
    HEAD,
    HOST,
    IDLE,
    LAST_REQUEST_TIMEOUT,
    REFUSED,
    Connection,
    Connections,
)
from quart_fleet.server._listener import end_listening
from quart_fleet.server._workers import Link

_CUT_TIMEOUT = 5.0
"""Seconds that requests get to end which were cancelled at the end of the grace."""
_LINE_FEED = re.compile(rb"\n(?:(?<!\r\n)|[ \t]|(\r\n))")
"""The first line feed that is alone, that folds a line, or that ends the head: group 1."""
_MOST_BUFFERED = 16_384
"""Bytes that have come and are not looked at, beyond which twice as many stop the client."""
_MOST_UNREAD = 65_536
"""Bytes of a body that wait for its handler, beyond which no more are read."""
_PART_SIZE = 256
"""Bytes that a part takes besides its own."""
_TO_CHECK = re.compile(
    rb"\n(?:transfer-encoding:|upgrade:|host:(?![ \t]*+%b[ \t]*+\r\n))" % HOST.pattern,
    re.IGNORECASE,
)
"""Headers that are looked at together with others, and a Host that is none."""
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[^\x00-\x08\n-\x1f\x7f]*)?\r\n")
"""The line before a chunk, whose size has 64 bits."""
_VERSIONS = (b"1.1", b"1.0")


class _StrictBuffer(ReceiveBuffer):
    """h11's, which refuses in chunks and behind them what `StrictConnection` refuses in a head."""

    def __init__(self, most_trailers: int) -> None:
        super().__init__()
        self._most_trailers = most_trailers
        self._is_behind_head = False

    def maybe_extract_next_line(self) -> bytearray | None:
        """Return the line before a chunk."""
        line = super().maybe_extract_next_line()
        if line is not None:
            self._is_behind_head = True
            if not _CHUNK.fullmatch(line):
                raise h11.RemoteProtocolError("The line before a chunk says no size")
        return line

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return the lines of a head, or of the fields behind a chunked body."""
        if self._is_behind_head and not self._data.startswith(b"\r\n"):
            found = _LINE_FEED.search(self._data, self._multiple_lines_search)
            if found and not found[1]:
                raise h11.RemoteProtocolError("A line behind the body does not end as it should")
        lines = super().maybe_extract_lines()
        if lines is not None and self._is_behind_head:
            self._is_behind_head = False
            if len(lines) > self._most_trailers:
                raise h11.RemoteProtocolError("Too many fields", error_status_hint=431)
        return lines


class StrictConnection(h11.Connection):
    """h11's, which refuses what RFC 9112 lets a server refuse, and others read in another way.

    Line feeds alone (section 2.2), a Host that is none (3.2), folded lines (5.2), two lengths of one
    body (6.3), and lines before chunks that say no size (7.1).
    """

    def __init__(
        self, most_head: int, most_headers: int, *, opens_websockets: bool = False
    ) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=most_head)
        self._receive_buffer = _StrictBuffer(most_headers)
        self._most_head = most_head
        self._most_headers = most_headers
        self._opens_websockets = opens_websockets
        self.head = bytearray()
        """What has come of a head that is not read yet."""
        self._searched = 0

    def receive_data(self, data: bytes) -> None:
        """Take in what has come."""
        if self.their_state is h11.IDLE:
            self.head += data
        super().receive_data(data)

    def start_next_cycle(self) -> None:
        """Go on with the next request, which may have come already."""
        super().start_next_cycle()
        self.head += self.trailing_data[0]

    def next_event(self) -> Any:
        """Return what has come; raises RemoteProtocolError. Looks at each byte of a head once."""
        if self.head.startswith(b"\r\n"):  # an empty line before a request is ignored (section 2.2)
            del self.head[:2]
            self._receive_buffer.maybe_extract_at_most(2)
        if not self.head:
            return super().next_event()
        found = _LINE_FEED.search(self.head, self._searched)
        if (found.end() if found else len(self.head)) > self._most_head:
            raise h11.RemoteProtocolError("The head is too large", error_status_hint=431)
        if not found:
            self._searched = max(0, len(self.head) - 2)
            return super().next_event()
        if not found[1]:
            raise h11.RemoteProtocolError("A line of the head does not end as it should")
        has_to_be_checked = bool(_TO_CHECK.search(self.head, 0, found.end()))
        self.head.clear()
        self._searched = 0
        event = super().next_event()
        if not isinstance(event, h11.Request):
            return event
        if len(event.headers) > self._most_headers:
            raise h11.RemoteProtocolError("Too many headers", error_status_hint=431)
        if event.http_version not in _VERSIONS:  # as HTTP/2 begins where it is expected
            raise h11.RemoteProtocolError("Another version of HTTP")
        if not event.method.isupper():  # hypercorn takes `get` for GET
            raise h11.RemoteProtocolError("No method of HTTP")
        return self._check(event) if has_to_be_checked else event

    def _check(self, request: h11.Request) -> h11.Request:
        """Refuse a Host that is none, two lengths, and what opens no WebSocket (RFC 6455, section 4.4).

        Any other upgrade is ignored (RFC 9110, section 7.8).
        """
        headers = dict(request.headers)
        if not HOST.fullmatch(headers.get(b"host", b"")):
            raise h11.RemoteProtocolError("The Host is none")
        if headers.keys() >= FRAMING:
            raise h11.RemoteProtocolError("The body has two lengths")
        options = map(bytes.strip, headers.get(b"connection", b"").lower().split(b","))
        if (
            not self._opens_websockets
            or request.method != b"GET"
            or request.http_version == b"1.0"
            or headers.get(b"upgrade", b"").lower() != b"websocket"
            or b"upgrade" not in options
        ):
            left = [each for each in request.headers if each[0] != b"upgrade"]
            return h11.Request(
                method=request.method,
                target=request.target,
                headers=left,
                http_version=request.http_version,
            )
        if headers.get(b"sec-websocket-version") != b"13":
            raise h11.RemoteProtocolError("Another version of WebSocket", error_status_hint=426)
        if not headers.get(b"sec-websocket-key") or headers.keys() & FRAMING:
            raise h11.RemoteProtocolError("A WebSocket without a key, or with a body")
        return request


class CountingReader(asyncio.StreamReader):
    """What has come from one client, and is not looked at; nothing where it has been refused."""

    connection: "BoundedConnection | None" = None
    coming = 0
    """Bytes that are to be taken in."""

    @property
    def count(self) -> int:
        """How many bytes there are."""
        return self.coming + len(self._buffer)  # type: ignore[attr-defined]  # is asyncio's own

    def feed_data(self, data: Any) -> None:
        """Take in what has come."""
        if self.connection is not None:
            self.coming = len(data)
            if self.count > SMALL:
                self.connection.measure()
            self.coming = 0
            if self.connection.is_refused:
                return
        super().feed_data(data)


class _Group(TaskGroup):
    """hypercorn's, which bounds what waits for a handler by its bytes, not by its parts.

    The news that a client has left never waits behind them.
    """

    unread = 0
    """Bytes that the handler has not taken."""

    def __init__(self, loop: asyncio.AbstractEventLoop, measure: Callable[[], None]) -> None:
        super().__init__(loop)
        self.measure: Callable[[], None] = measure

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Any:
        """Run the application; returns what hands it a message."""
        self.unread = 0
        is_taken = asyncio.Event()

        async def run(scope: Any, receive: Any, *others: Any) -> None:
            async def take() -> Any:
                message = await receive()
                size = _size(message)
                self.unread -= size
                is_taken.set()
                if size > SMALL:
                    self.measure()
                return message

            await app(scope, take, *others)

        hand = await super().spawn_app(run, config, scope, send)  # type: ignore[arg-type]

        async def put(message: Any) -> None:
            await hand(message)
            if message["type"].endswith(".disconnect"):
                is_taken.set()
                return
            self.unread += _size(message)
            if self.unread > SMALL:
                self.measure()
            if self.unread > _MOST_UNREAD:
                is_taken.clear()
                await is_taken.wait()

        return put


def _size(message: Any) -> int:
    data = message.get("body") or message.get("bytes") or message.get("text")
    return _PART_SIZE + len(data) if data else 0


class StrictProtocol(H11Protocol):
    """hypercorn's, on a strict connection, which stays in HTTP/1 (RFC 9110, section 7.8).

    No bound on a client holds for the streams of HTTP/2.
    """

    def __init__(self, bounded: "BoundedConnection", *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refuse: Callable[[int], None] = bounded.refuse
        limits = bounded.all
        self.connection = StrictConnection(
            limits.most_head, limits.most_headers, opens_websockets=limits.opens_websockets
        )

    async def _check_protocol(self, event: h11.Request) -> None:
        pass  # hypercorn's goes over to HTTP/2

    async def _send_error_response(self, status_code: int) -> None:
        self.refuse(status_code)


class BoundedConnection(TCPServer, Connection):
    """One client; `Connections` looks at it from outside."""

    protocol: StrictProtocol  # type: ignore[assignment]  # there in a wrapper, for HTTP/2
    reader: CountingReader

    def __init__(self, connections: Connections, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.all = connections
        self.transport = self.writer.transport
        self.is_refused = False
        self._answered = asyncio.Event()
        self._telling: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Serve the client, as TCPServer does."""
        connected = self.writer.get_extra_info("socket")
        try:
            client = parse_socket_addr(connected.family, connected.getpeername())
            server = parse_socket_addr(connected.family, connected.getsockname())
            self._group = _Group(self.loop, self.measure)
            async with self._group as group:
                arguments: list[Any] = [self.app, self.config, self.context, group]
                arguments += [ConnectionState(self.state), False, client, server]
                arguments += [self.protocol_send]
                self.protocol = StrictProtocol(self, *arguments)
                self.reader.connection = self
                self.all.admit(self, len(self.all.open) + 1)
                await self.protocol.initiate()
                await self._read_data()
        except OSError:
            pass
        finally:
            await self._close()
            self.all.forget(self)
            if self.reader.connection:  # all that is in a circle waits long to be collected
                self.reader.connection = None
                self._group.measure = self.protocol.refuse = _do_nothing
                self.protocol.send = _do_nothing  # type: ignore[assignment]  # not called any more
            if self._telling:
                self._telling.cancel()

    async def protocol_send(self, event: Event) -> None:
        """Send, unless the client has been refused: it gets a moment to read why.

        hypercorn's timer of idle connections is left out: it takes a task for each request.
        """
        if isinstance(event, RawData):
            if not self.is_refused:
                try:
                    await super().protocol_send(event)
                except OSError:  # hypercorn expects some of them, such as of a reset
                    await self.protocol.handle(Closed())
        elif isinstance(event, Updated) and not event.idle:
            self._answered.clear()
        else:
            self._answered.set()
            if self.held:
                self.measure()
            if isinstance(event, Closed) and not self.is_refused:
                await self._close()

    async def _close(self) -> None:
        with suppress(OSError):  # of which hypercorn expects some: by it the connection has ended
            await super()._close()

    async def _read_data(self) -> None:
        while not self.reader.at_eof():
            try:
                data = await self.reader.read(MAX_RECV)
            except OSError:
                break
            if data and not self.is_refused:
                await self.protocol.handle(RawData(data))
                data = b""  # is not kept until more comes
                if self.held or self.find_state()[0] == HEAD:
                    self.measure()
        if self.find_state()[0] == ANSWER and not self.transport.is_closing():
            self.watch_half_closed()
            waiting = [
                asyncio.ensure_future(each)
                for each in (self._answered.wait(), self.writer.wait_closed())
            ]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        await self.protocol.handle(Closed())

    def find_state(self) -> tuple[int, object]:
        """Return what is waited for, by the number of requests before."""
        http = self.protocol
        count = http.keep_alive_requests
        if self.is_refused:
            return REFUSED, None
        if not isinstance(http.connection, StrictConnection):  # a WebSocket
            return ANSWER, None
        if http.connection.their_state is h11.IDLE and http.stream is None:
            return (HEAD if http.connection.head else IDLE), count
        return (BODY if http.connection.their_state is h11.SEND_BODY else ANSWER), count

    def measure(self) -> None:
        """Count what has come and what no handler has taken."""
        http, unread = self.protocol, self._group.unread
        held = self.reader.count
        held += 2 * len(getattr(http.connection, "head", b""))  # h11 has it too; a WebSocket none
        if http.stream is not None and unread > SMALL:
            held += unread
        if held == self.held or self.transport.is_closing():
            return
        is_whole = self.find_state()[0] == ANSWER and self.reader.count <= SMALL
        if self.all.hold(self, held) and not is_whole:  # that is the application's to refuse
            self.refuse(503)

    def is_waiting_to_send(self) -> bool:
        """Whether the last part is still being sent, or the connection closed."""
        return self.send_lock.locked() or self.transport.is_closing()

    def has_answered(self) -> bool:
        """Whether the answer has begun."""
        return self.protocol.connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    def takes_interim(self) -> bool:
        """Whether the client that is answered speaks HTTP/1.1."""
        http = self.protocol.connection  # after an upgrade, a WebSocket's
        return isinstance(http, h11.Connection) and http.their_http_version != b"1.0"

    def refuse(self, status: int) -> None:
        """Answer in place of a handler; one that runs finds its client gone."""
        if self.is_refused:
            return
        if not self.transport.is_closing():
            if not self.has_answered():
                self.transport.write(self.all.write(status))
            if self.find_state()[0] in (BODY, ANSWER):  # its group of tasks may end at this moment
                self._telling = asyncio.ensure_future(self.protocol.handle(Closed()))
            if self.transport.can_write_eof():
                self.transport.write_eof()
        self.is_refused = True
        if self.protocol.stream is None:  # what has come of a head is not kept
            self.protocol.connection = StrictConnection(0, 0)


def _do_nothing(*_: object) -> None:
    """Stand for what is not to be called any more."""


def run_hypercorn(app: ServiceApplication, listener: socket.socket, link: Link) -> None:
    """Serve with hypercorn, on uvloop, until SIGINT or SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(app, listener, link))
        except LifespanFailureError as error:
            sys.exit(str(error))


class _Ending:
    """What signals do: end in good order at the first, at once at the second; the third one kills."""

    def __init__(self, connections: Connections, link: Link) -> None:
        self.begun = asyncio.Event()
        self.tasks = set[asyncio.Task[None]]()
        """Those of the clients."""
        self.is_serving = False
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._link = link
        self._seen: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._take, number)

    def cut(self) -> None:
        """Cancel what still runs."""
        for task in self.tasks:
            task.cancel()

    def _take(self, number: int) -> None:
        if self._link.is_second(number, self._seen):
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            if not self.is_serving:
                signal.raise_signal(number)
            self.cut()
            self._loop.call_later(CUT_TIMEOUT, self._connections.abort)
        self._seen.append(number)
        self.begun.set()


async def _serve(app: ServiceApplication, listener: socket.socket, link: Link) -> None:
    loop = asyncio.get_running_loop()
    connections = Connections(app)
    ending = _Ending(connections, link)
    tasks = ending.tasks
    config = Config()
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    config.max_app_queue_size = 0  # `_Group` has a bound of its own
    wrapped = wrap_app(app, config.wsgi_max_body_size, None)
    context = WorkerContext(None)
    state: LifespanState = {}
    lifespan = Lifespan(wrapped, config, loop, state)
    lifespan_task = loop.create_task(lifespan.handle_lifespan())
    await lifespan.wait_for_startup()
    if lifespan_task.done() and (failure := lifespan_task.exception()):
        raise failure
    connections.start()

    def connect() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(CountingReader(limit=_MOST_BUFFERED), serve_client)

    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):  # at the end of the grace
            await BoundedConnection(
                connections, wrapped, loop, config, context, state, reader, writer
            )

    server = await loop.create_server(connect, sock=listener, backlog=BACKLOG)
    ending.is_serving = True
    link.serving()
    await ending.begun.wait()
    await link.leave()
    connections.drain()
    await end_listening(listener, [server], connect, is_last=link.is_last())
    link.closed()
    deadline = loop.time() + app.config["GRACEFUL_TIMEOUT"]
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_REQUEST_TIMEOUT)
    await context.terminated.set()
    if tasks:
        await asyncio.wait(tasks, timeout=deadline - loop.time())
    ending.cut()
    if tasks:
        await asyncio.wait(tasks, timeout=_CUT_TIMEOUT)
    await lifespan.wait_for_shutdown()
    lifespan_task.cancel()
    await asyncio.gather(lifespan_task, return_exceptions=True)
