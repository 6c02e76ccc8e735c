"""What a process has just done, for a page that follows it in development, by a Unix socket.

A web page cannot open such a socket, whatever site it is of and whatever name it gives itself, and
no other user may: it is safe without a token. Each process has its own, so that workers do as well.
`live.schema.json` says what is in an event.
"""

import asyncio
import os
import socket
import stat
from asyncio import CancelledError, LimitOverrunError
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import chain, takewhile
from logging import getLogger
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import orjson

from quart_fleet import __version__
from quart_fleet.conventions import ASKED_BY_PAGE
from quart_fleet.logs import HOSTED, clean, escape
from quart_fleet.observation import (
    DATABASE,
    EndedStatement,
    ObservedCall,
    ObservedRequest,
    Observer,
    find_trace,
)
from quart_fleet.telemetry._statements import summarise, without_literals

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication

SCHEMA = 1
"""The version of the events: what is added to them does not change it."""
MOST_REQUESTS, MOST_SECONDS = 500, 300
"""How many of each are kept for a follower that comes later."""
MOST_BYTES = 1 << 20
"""Of the requests that are kept."""
MOST_IN_DETAIL = 50
"""Requests of a second that are told: a service under load has other things to do."""
MOST_STEPS = 100
"""Statements and calls of one request that are told, of each."""
MOST_FOLLOWERS = 16
_MOST_DURATIONS = 10_000
"""Requests of a second that its percentiles are of."""
_MOST_OF_A_TEXT, _MOST_OF_A_STATEMENT = 500, 2_000
"""Characters of what a client has sent, and of a statement."""
_MOST_OF_A_HEAD = 8_192
_MOST_UNSENT = 65_536
"""Bytes that are on their way to a follower; it gets what comes later when it has taken some."""
_HEAD_TIMEOUT, _SEND_TIMEOUT = 5.0, 60.0
"""Seconds that a follower has for its request, and for taking a part of what it follows."""
_TICK, _TICKS = 0.25, 4
"""Seconds between two looks at how late the event loop is; looks in a second."""
_PAUSE = 0.05
"""Seconds in which events are gathered before they are sent."""
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\n\r\n"
)

_log = getLogger(__name__)


class _Steps:
    """What is done for a request in progress."""

    __slots__ = ("calls", "omitted", "statements")

    def __init__(self) -> None:
        self.statements: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.omitted = 0

    def add(self, steps: list[dict[str, Any]], step: dict[str, Any]) -> None:
        if len(steps) < MOST_STEPS:
            steps.append(step)
        else:
            self.omitted += 1


class Live(Observer):
    """Keeps the last requests and a line for each of the last seconds, as events for followers.

    Nothing waits for a follower: each reads on from the number of the event that it had last, and
    is told how many it has missed where they are no longer kept.
    """

    def __init__(self, app: "ServiceApplication") -> None:
        self._app = app
        self.ended_statements: list[EndedStatement] = []
        self._last = 0
        """The number of the last event."""
        self._requests: deque[tuple[int, bytes]] = deque()
        self._seconds: deque[tuple[int, bytes]] = deque(maxlen=MOST_SECONDS)
        self._bytes = 0
        self._news = asyncio.Event()
        self._followers: set[asyncio.Task[None]] = set()
        self._open: dict[ObservedRequest, _Steps] = {}
        self._in_detail = MOST_IN_DETAIL
        self._running = 0
        self._begin_second()

    def _begin_second(self) -> None:
        self._in_detail = MOST_IN_DETAIL
        self._ended = self._errors = self._refused = self._told = 0
        self._durations: list[float] = []
        self._lag = 0.0

    def begin_request(self, request: ObservedRequest) -> None:
        """Note what is done for it, unless too many of this second are noted."""
        self._running += 1
        if self._in_detail:
            self._in_detail -= 1
            self._open[request] = _Steps()

    def note_statements(self) -> None:
        """Add those that have ended to their requests."""
        for sql, started, seconds, error, request in self.take_statements():
            if request is None or (steps := self._open.get(request)) is None:
                continue
            failed: dict[str, Any] | None = None
            if error is not None:  # what it says may hold values
                state = getattr(error, "sqlstate", None)
                failed = {"type": type(error).__name__, "sqlstate": state}
            told = {
                "at": _rounded(started - request.started),
                "seconds": _rounded(seconds),
                "summary": escape(summarise(sql), _MOST_OF_A_TEXT),
                "sql": escape(without_literals(sql), _MOST_OF_A_STATEMENT),
                "error": failed,
            }
            steps.add(steps.statements, told)

    def end_call(self, call: ObservedCall) -> None:
        """Add it to its request."""
        request = call.request
        if request is None or (steps := self._open.get(request)) is None:
            return
        told = {
            "at": _rounded(call.started - request.started),
            "seconds": _rounded(call.seconds),
            "service": call.service,
            "operation": f"{call.method} {call.path}",
            "outcome": call.outcome,
            "status": call.status,
            "attempts": call.attempts,
        }
        steps.add(steps.calls, told)

    def end_requests(self, requests: Sequence[ObservedRequest]) -> None:
        """Tell of them, with their statements."""
        try:
            self.note_statements()
        finally:
            super().end_requests(requests)

    def end_request(self, request: ObservedRequest) -> None:
        """Tell of it, in detail where its steps were noted; of others where they failed.

        Left out is what the page that follows asks itself, whichever client asks it, while that goes well.
        """
        self._running -= 1
        if request.rule in ASKED_BY_PAGE and request.status == 200:
            if self._open.pop(request, None) is not None:
                self._in_detail += 1
            return
        self._ended += 1
        is_error = request.has_failed
        self._errors += is_error
        if len(self._durations) < _MOST_DURATIONS:
            self._durations.append(request.seconds)
        steps = self._open.pop(request, None)
        if steps is None and not (is_error and self._told < 2 * MOST_IN_DETAIL):
            return
        self._told += 1
        scope = request.scope
        client, trace = scope.get("client"), find_trace(request)
        told = {
            "time": round(time() - request.ago - request.seconds, 6),
            "id": request.id.decode(),
            "trace_id": trace[0] if trace else None,
            "method": clean(scope["method"], _MOST_OF_A_TEXT),
            "path": clean(scope["path"], _MOST_OF_A_TEXT),
            "rule": request.rule,
            "status": request.status,
            "seconds": _rounded(request.seconds),
            "received": request.received,
            "sent": request.sent,
            "client": clean(client[0], _MOST_OF_A_TEXT) if client else None,
            "statements": steps.statements if steps else None,
            "calls": steps.calls if steps else None,
            "omitted": steps.omitted if steps else 0,
        }
        event = self._event("request", told)
        self._requests.append(event)
        self._bytes += len(event[1])
        while self._bytes > MOST_BYTES or len(self._requests) > MOST_REQUESTS:
            self._bytes -= len(self._requests.popleft()[1])

    def end_refused(self, _: int) -> None:
        """Count an answer of the server's own."""
        self._refused += 1

    def note_lag(self, seconds: float) -> None:
        """Keep how late the event loop is, at most."""
        self._lag = max(self._lag, seconds)

    def end_second(self) -> None:
        """Tell of the second that is over."""
        self.note_statements()
        durations = sorted(self._durations)
        database = self._app.extensions.get(DATABASE)
        pool = None
        if database is not None:
            counts = database.count_connections()
            names = ("idle", "lent", "limit", "waiting")
            pool = {name: getattr(counts, name) for name in names}
        told = {
            "time": round(time(), 6),
            "requests": self._ended,
            "errors": self._errors,
            "refused": self._refused,
            "told": self._told,
            "running": self._running,
            "p50": _percentile(durations, 50),
            "p99": _percentile(durations, 99),
            "lag": _rounded(self._lag),
            "memory": _find_memory(),
            "pool": pool,
        }
        self._seconds.append(self._event("second", told))
        self._begin_second()

    def _event(self, kind: str, told: dict[str, Any]) -> tuple[int, bytes]:
        self._last += 1
        self._news.set()
        return self._last, _written(kind, told, self._last)

    def _after(self, number: int) -> tuple[bytes, int]:
        """Return the oldest events that come after one, and the number of the last of them."""

        def newer(events: Sequence[tuple[int, bytes]]) -> Iterable[tuple[int, bytes]]:
            return takewhile(lambda event: event[0] > number, reversed(events))

        found = sorted(chain(newer(self._requests), newer(self._seconds)))
        missing = self._last - number - len(found)
        text = _written("lost", {"events": missing}) if missing and number else b""
        for number, event in found:  # noqa: B007, PLR1704 - is returned
            text += event
            if len(text) > _MOST_UNSENT:
                break
        return text, number

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Observe the application during a block, in its event loop."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def tick(due: float, left: int) -> None:
            nonlocal timer
            self.note_lag(loop.time() - due)
            if not left:
                self.end_second()
            due = loop.time() + _TICK
            timer = loop.call_at(due, tick, due, left - 1 if left else _TICKS - 1)

        tick(loop.time(), _TICKS - 1)
        self._app.observers.add(self)
        try:
            yield
        finally:
            self._app.observers.remove(self)
            if timer is not None:
                timer.cancel()

    @asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[None]:
        """Serve followers during a block, by a socket in this folder; raises OSError."""
        hosted = HOSTED.get()
        own = "" if hosted is None else f"-{self._app.config['SERVICE_PORT']}"
        path = folder / f"{os.getpid()}{own}.sock"
        listener = _listen(path)
        server = await asyncio.start_unix_server(self._take, sock=listener, limit=_MOST_OF_A_HEAD)
        try:
            with self.observing():
                yield
        finally:
            path.unlink(missing_ok=True)
            server.close()
            for follower in self._followers:
                follower.cancel()
            await asyncio.gather(*self._followers, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._followers) >= MOST_FOLLOWERS:
            writer.transport.abort()
            return
        self._followers.add(task)
        try:
            # Cancelled at the end of the process: asyncio's streams log it.
            with suppress(OSError, ValueError, EOFError, LimitOverrunError, CancelledError):
                async with asyncio.timeout(_HEAD_TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
                await self._tell(_number_in(head), writer)
        finally:
            writer.transport.abort()
            self._followers.discard(task)

    async def _tell(self, number: int, writer: asyncio.StreamWriter) -> None:
        """Send what comes after an event, until the follower leaves or takes nothing."""
        writer.transport.set_write_buffer_limits(high=_MOST_UNSENT)
        if number > self._last:  # of another process
            number = 0
        writer.write(_HEAD + _written("process", self._describe()))
        while not writer.is_closing():
            self._news.clear()
            text, number = self._after(number)
            writer.write(text)
            del text
            async with asyncio.timeout(_SEND_TIMEOUT):
                await writer.drain()
            if number == self._last:
                await self._news.wait()
                await asyncio.sleep(_PAUSE)

    def _describe(self) -> dict[str, Any]:
        config = self._app.config
        return {
            "schema": SCHEMA,
            "service": config["SERVICE_NAME"],
            "port": config["SERVICE_PORT"],
            "pid": os.getpid(),
            "framework": __version__,
        }


@asynccontextmanager
async def followed(app: "ServiceApplication", folder: Path) -> AsyncIterator[None]:
    """Have the application followed during a block; where that cannot be, a line of the log says why."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(Live(app).serving(folder))
        except OSError as error:
            reason = error.strerror or str(error)
            _log.warning("LIVE_FOLDER: %s: this process cannot be followed", escape(reason))
        yield


def _listen(path: Path) -> socket.socket:
    """Return a socket that this user alone may connect to; raises OSError."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    found = path.parent.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("others can write to the folder")
    path.unlink(missing_ok=True)  # of a process that was killed
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _written(kind: str, told: dict[str, Any], number: int | None = None) -> bytes:
    """Return a server-sent event; JSON has no line breaks of its own."""
    name = b"" if number is None else b"id: %d\n" % number
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), name, orjson.dumps(told))


def _number_in(head: bytes) -> int:
    """Return the number of the event that a follower had last; raises ValueError."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"last-event-id":
            return int(value)
    return 0


def _rounded(seconds: float) -> float:
    return round(seconds, 6)


def _percentile(durations: list[float], percent: int) -> float | None:
    """Return one of sorted numbers, by the nearest rank; None of none."""
    if not durations:
        return None
    return _rounded(durations[-(-len(durations) * percent // 100) - 1])


def _find_memory() -> int | None:
    """Return the bytes that the process has in memory, where the system tells it by a file."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
