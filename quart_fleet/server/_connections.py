"""The clients that are connected to one process: how many there may be, how long it waits for each.

No time is taken and no timer is started for a request: a sweep looks at every connection once a
second, so that what is waited for too long ends within a second more.
"""

import asyncio
import fcntl
import heapq
import logging
import re
import resource
import socket
import sys
import termios
from abc import ABC, abstractmethod
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.logs import HOSTED, CountedWarnings
from quart_fleet.observation import log_trouble

if TYPE_CHECKING:
    from asyncio import WriteTransport

REFUSED, REST, IDLE, HEAD, BODY, ANSWER = range(6)
"""What a connection is in the midst of, in the order in which connections are given up.

REST is a body whose request has been answered.
"""

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""The headers that announce a body (RFC 9112, section 6.3)."""
HOST = re.compile(
    rb"(?:\[(?:[0-9A-Fa-f:.]+|[Vv][0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+)\]"
    rb"|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
)
"""What the header Host may say: a name or an address, and a port (RFC 3986, section 3.2.2)."""
LINGER_TIMEOUT = 2.0
"""Seconds that a client gets to read why it was refused, while what it sends is dropped."""
LAST_REQUEST_TIMEOUT = 1.0
"""Seconds that a draining process waits for a request that is on its way already."""
LAST_SEND_TIMEOUT = 10.0
"""Seconds after which a draining process gives up a client that takes no byte."""
CUT_TIMEOUT = 1.0
"""Seconds that clients get to read their 503 at a second signal."""
PROBE_DELAY = 0.3
"""Seconds after which a client that sends no more is asked whether it is still there."""
MOST_QUEUED = 16
"""Requests that may wait on one connection for the answer to the one before."""
_ECHO_DELAY = 0.2
_INTERVAL, _DRAINING_INTERVAL = 1.0, 0.1
_FREE = 4096
"""Bytes that each connection may hold, however much all hold: a head in two packets."""
_RESERVE = 64
"""Files that a process opens besides its connections and those of its database."""
_TCP_CLOSE = 7
"""The first byte of TCP_INFO where the other side has reset the connection (linux/tcp_states.h)."""

_log = logging.getLogger(__name__)


class Connection(ABC):
    """One client, as the server knows it that speaks to it."""

    transport: "WriteTransport"
    seen: object = None
    since = 0.0
    unsent = 0
    """Bytes of answers that wait in this process, as last counted."""
    unsent_since = 0.0
    untaken = 0
    """The same with those that the system keeps until the client's has acknowledged them."""
    untaken_since = 0.0
    held = 0
    """Bytes that have come and that no handler has taken, as last counted."""

    @abstractmethod
    def measure(self) -> None:
        """Count what has come and what no handler has taken."""

    @abstractmethod
    def find_state(self) -> tuple[int, object]:
        """Return what it is in the midst of, and what differs from one request to the next."""

    @abstractmethod
    def is_waiting_to_send(self) -> bool:
        """Whether nothing is added to what is to be sent until the client takes some of it."""

    @abstractmethod
    def has_answered(self) -> bool:
        """Whether an answer has begun, so that no other can be sent."""

    @abstractmethod
    def takes_interim(self) -> bool:
        """Whether the client that is answered speaks HTTP/1.1."""

    @abstractmethod
    def refuse(self, status: int) -> None:
        """Answer with this status in place of a handler, and end the connection."""

    def count_untaken(self) -> int:
        """Return how many bytes of answers the client's system has not acknowledged.

        The system has more of this process only once 64 KiB of them are sent, so that what waits
        here tells nothing of a client that is slow. Elsewhere than on Linux it is all that is known.
        """
        untaken = self.transport.get_write_buffer_size()
        if sys.platform == "linux":
            with suppress(OSError, ValueError):  # a sandbox may not know of it, or it is closed
                client = self.transport.get_extra_info("socket")
                sent = fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, b"\0" * 4)  # SIOCOUTQ
                untaken += int.from_bytes(sent, sys.byteorder)
        return untaken

    def close_idle(self) -> None:
        """Close it, unless a request has come in the meantime."""
        file = self.transport.get_extra_info("socket").fileno()
        if file >= 0 and fcntl.ioctl(file, termios.FIONREAD, b"\0" * 4) == b"\0" * 4:
            self.transport.close()

    def watch_half_closed(self) -> None:
        """Find out whether a client that sends no more has left, or reads on (`nc -N`).

        Both look the same until something is sent: an interim response, which every client of
        HTTP/1.1 takes, and none of 1.0 is sent (RFC 9110, section 15.2). The system of a client that has left resets the connection.
        """
        asyncio.get_running_loop().call_later(PROBE_DELAY, self._probe)

    def _probe(self) -> None:
        if not self.transport.is_closing() and self.find_state()[0] == ANSWER:
            if self.takes_interim() and not self.has_answered():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            asyncio.get_running_loop().call_later(_ECHO_DELAY, self._end_if_left)

    def _end_if_left(self) -> None:
        if self.transport.is_closing():
            return
        client = self.transport.get_extra_info("socket")
        if (
            sys.platform == "linux"
            and client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
        ):
            self.transport.abort()
        elif self.find_state()[0] == ANSWER:
            asyncio.get_running_loop().call_later(_INTERVAL, self._end_if_left)


class Connections:
    """All of a process, by the settings of its application."""

    def __init__(self, app: ServiceApplication) -> None:
        self.app = app
        self.open = set[Connection]()
        self.draining = False
        self.host = b""
        """The last Host that was looked at and is one."""
        self.opens_websockets = False
        """Whether the application has a route for them; else an upgrade is ignored."""
        config = app.config
        self.most_head: int = config["MAX_HEAD_SIZE"]
        self.most_headers: int = config["MAX_HEADERS"]
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            files = sys.maxsize
        if (hosted := HOSTED.get()) is not None:
            files //= len(hosted.all)
        pools = 2 * config.get("DB_POOL_SIZE", 0)  # `Database.sessions()` has its own
        allowed = max(files - _RESERVE - pools, 10)
        self.most = min(config["MAX_CONNECTIONS"] or 10_000, allowed)
        self._is_full = False
        """Whether none could make room, when last looked for."""
        self._warnings = CountedWarnings(_log)

    def start(self) -> None:
        """Begin to look after the connections; the application has started."""
        self._loop = asyncio.get_running_loop()
        self.opens_websockets = any(rule.websocket for rule in self.app.url_map.iter_rules())
        self._sweep()

    def admit(self, connection: Connection, count: int) -> None:
        """Take a connection in; where there are too many, idle and slow ones make room."""
        connection.since = self._loop.time()
        self.open.add(connection)
        if count <= self.most:
            return
        if self._is_full:
            connection.refuse(503)
            return
        now = self._loop.time()
        waiting = (
            (phase, each.since, id(each), each)
            for each in self.open
            for phase in (each.find_state()[0],)
            if each is not connection and (phase < BODY or now - each.since > _INTERVAL)
            and phase != ANSWER
        )  # fmt: skip
        first = heapq.nsmallest(max(1, self.most // 50), waiting)
        line = f"{self.most} clients are connected, the limit: idle and slow ones are ended"
        self._warnings.warn("connected", line)
        for phase, _, _, each in first:
            if phase <= REST:
                each.transport.abort()
            elif phase == IDLE:
                each.close_idle()
            else:
                each.refuse(408)
        if not first:
            self._is_full = True
            connection.refuse(503)

    def hold(self, connection: Connection, held: int) -> bool:
        """Count the bytes that a connection holds; returns whether all hold too many with these."""
        memory, more = self.app.bodies, held - connection.held
        memory.held += more
        connection.held = held
        if more <= 0 or memory.held <= memory.most or held <= _FREE:
            return False
        line = f"More than {memory.most} bytes of requests are held: others get 503"
        self._warnings.warn("held", line)
        return True

    def forget(self, connection: Connection) -> None:
        """Let go of a connection that has ended."""
        self.open.discard(connection)
        self.app.bodies.held -= connection.held
        connection.held = 0

    def write(self, status: int) -> bytes:
        """Return the whole answer of this status that closes its connection."""
        for observer in self.app.observers.all:
            try:
                observer.end_refused(status)
            except Exception:
                log_trouble(observer)
        start, last = self.app.refusals[status]
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(),
            f"date: {formatdate(usegmt=True)}".encode(),
            *(b"%s: %s" % header for header in start["headers"]),
            b"connection: close",
        ]
        return b"\r\n".join([*lines, b"", last["body"]])

    def drain(self) -> None:
        """Have every connection end behind its next answer, or soon where no request comes."""
        self.app.drain()
        self.draining = True
        now = self._loop.time()
        for each in self.open:
            each.since = now
        self._timer.cancel()
        self._sweep()

    def abort(self) -> None:
        """End all that are left."""
        for each in list(self.open):
            each.transport.abort()

    def _sweep(self) -> None:
        interval = _DRAINING_INTERVAL if self.draining else _INTERVAL
        self._timer = self._loop.call_later(interval, self._sweep)
        self._is_full = False
        now = self._loop.time()
        for each in list(self.open):
            try:
                self.end_late(each, now)
            except Exception:  # of one connection, which is not to keep the others open
                _log.exception("A connection could not be looked at: it was ended")
                self.forget(each)
                each.transport.abort()
        self._end_unread(now)

    def _end_unread(self, now: float) -> None:
        """End what takes too little to make room, while the answers that wait are too much.

        Those are first that have taken no byte for the longest time.
        """
        unsent, most = sum(each.unsent for each in self.open), self.app.bodies.most
        if unsent <= most:
            return
        stuck = [each for each in self.open if each.unsent and now - each.unsent_since >= _INTERVAL]
        stuck.sort(key=lambda each: each.untaken_since)
        for each in stuck:
            if unsent <= most:
                break
            line = f"More than {most} bytes of answers wait: clients that take least are ended"
            self._warnings.warn("unsent", line)
            unsent -= each.unsent
            each.transport.abort()

    def end_late(self, each: Connection, now: float) -> None:
        """End a connection whose time is over."""
        config = self.app.config
        idle = LAST_REQUEST_TIMEOUT if self.draining else config["KEEP_ALIVE_TIMEOUT"]
        sending = LAST_SEND_TIMEOUT if self.draining else config["SEND_TIMEOUT"]
        unsent = each.transport.get_write_buffer_size()
        if each.held:
            each.measure()
        state = each.find_state()
        if state != each.seen:
            each.seen, each.since = state, now
        phase, waited = state[0], now - each.since
        if phase == IDLE and waited >= idle:
            each.close_idle()
        elif phase == HEAD and waited >= config["HEAD_TIMEOUT"]:
            each.refuse(408)
        elif waited >= LINGER_TIMEOUT and (phase == REFUSED or (phase == REST and not unsent)):
            each.transport.abort()
        is_stuck = unsent and unsent == each.unsent and each.is_waiting_to_send()
        if not is_stuck:
            each.unsent, each.unsent_since = unsent, now
        untaken = each.count_untaken() if unsent else 0
        if not is_stuck or untaken != each.untaken:
            each.untaken, each.untaken_since = untaken, now
        elif now - each.untaken_since >= min(sending, config["SEND_TIMEOUT"]):
            self._warnings.warn("sending", "A client took no byte of its answer: it was ended")
            each.transport.abort()
