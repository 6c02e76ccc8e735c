"""What is told of requests, statements and calls while they go on, and those that hear of it.

Log, metrics and traces are observers of an application. Without any, nothing is measured, and a
request has an id for those of its log lines and calls alone that there are.
"""

import logging
import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from quart_fleet.bounds import BOUND

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope

REQUEST_ID = b"x-request-id"
"""The header, as ASGI has it."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
"""One that is taken over: it is written into logs, and into what is searched for in them."""
_TRACE_PARENT = b"traceparent"
_TRACE_CONTEXT = frozenset({_TRACE_PARENT, b"tracestate", b"baggage"})
_PARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""W3C's Trace Context, section 3.2.2."""

DATABASE, CLIENTS = "quart_fleet.database", "quart_fleet.clients"
"""Where an application keeps what it has of them, for those that measure it."""

_PROCESS = token_hex(8).encode()
_log = logging.getLogger(__name__)
_numbers = count(1)


class ObservedRequest:
    """A request in progress, and what is known of it when it has been answered.

    Made for every request: what is not known yet is a default of the class.

    Args:
        scope: ASGI's, with the client that a believed proxy names.
    """

    trace_parent: bytes | None = None
    """What the caller says of the trace that it is a part of."""
    has_trace_context: bool = False
    """Whether the caller says anything of a trace, by the headers of W3C."""
    seconds: float = 0.0
    """From its head to the end of its answer."""
    rule: str | None = None
    """The path of its route, as `/api/v1/users/<id:record_id>`; None where there is no route."""
    status: int | None = None
    """None where the client has left before its answer."""
    is_whole: bool = False
    """Whether the last part of its answer was sent."""
    left: bool = False
    """Whether it is known that the client has left before all of its answer was sent."""
    received: int = 0
    """Bytes of its body."""
    body: Any = None
    """What counts them while they come."""
    sent: int = 0
    """Bytes of its answer's body."""
    error: Exception | None = None
    """What nothing has foreseen, where it was answered 500 or cut for it."""
    span: Any = None
    """An observer's own."""

    def __init__(self, scope: "HTTPScope") -> None:
        self.scope, sent = scope, None
        for name, value in scope["headers"]:
            if name == REQUEST_ID:
                sent = value
            elif name in _TRACE_CONTEXT:
                self.has_trace_context = True
                if name == _TRACE_PARENT:
                    self.trace_parent = value
        self.id = identify(sent)
        """What X-Request-ID says, sent by the client or made here."""
        self.started = perf_counter()
        """In seconds, by `time.perf_counter`, as all times here."""

    @property
    def ago(self) -> float:
        """How many seconds ago it has ended: observers hear of it some milliseconds later."""
        return perf_counter() - self.started - self.seconds

    @property
    def ended(self) -> str | None:
        """How it ended where its answer was not sent whole: `client left`, or `failed` for it."""
        if self.left or (self.status is None and self.error is None):
            return "client left"
        return None if self.is_whole else "failed"

    @property
    def has_failed(self) -> bool:
        """Whether the service has not answered it well: by a 5xx, or with an answer that it cut."""
        if self.status is not None and self.status >= 500:
            return True
        return not self.is_whole and self.ended == "failed"

    @property
    def trace_id(self) -> str | None:
        """The trace that the caller says it is a part of."""
        if self.trace_parent is None:
            return None
        found = _PARENT.match(self.trace_parent)
        return found[1].decode() if found else None


REQUEST: ContextVar[ObservedRequest | None] = ContextVar("request", default=None)
"""The current one where requests are observed; tasks that it starts are a part of it."""


def identify(sent: bytes | None) -> bytes:
    """Return the request id that was sent, a new one where it is none that can be taken over."""
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return b"%s%08x" % (_PROCESS, next(_numbers))


def find_request() -> ObservedRequest | None:
    """Return the current request, observed or not; None outside of requests."""
    observed, bound = REQUEST.get(), BOUND.get()
    if observed is None and bound is not None:
        observed, request = bound.observed, bound.request
        if observed is None:
            scope = bound.scope if request is None else request.scope
            observed = ObservedRequest(scope)
            bound.observed = observed
        if request is not None and request.url_rule is not None:
            observed.rule = request.url_rule.rule
    return observed


class CurrentSpan(Protocol):
    """Finds what log lines say of the current span."""

    def __call__(self, request: ObservedRequest | None) -> tuple[str, str] | None:
        """Return the ids of its trace and of itself, in hexadecimal digits; None without one.

        Where none is current, that of the request is.
        """
        ...


spans: list[CurrentSpan] = []
"""One where this process makes spans."""


def find_trace(request: ObservedRequest | None = None) -> tuple[str, str | None] | None:
    """Return the ids of the current trace and span; where none are made, the caller's trace alone.

    Without a request they are those of the current one.
    """
    request = request or find_request()
    for find in spans:
        if found := find(request):
            return found
    trace_id = request.trace_id if request else None
    return (trace_id, None) if trace_id else None


EndedStatement = tuple[str, float, float, BaseException | None, ObservedRequest | None]
"""A statement that the database has answered, or has not; a plain tuple, for it is made most often.

Its text, with the literals that its author has written and without other values; when it was sent,
and the seconds until its answer; its error; the request that it is of.
"""
Place = tuple[str, str, int | None]
"""A database's name, and its server's host and port; a socket's folder has none."""


@dataclass(eq=False, slots=True)
class ObservedCall:
    """A call of another service."""

    service: str
    method: str
    path: str
    """The operation's, with the names of its variable parts."""
    request: ObservedRequest | None
    started: float = field(default_factory=perf_counter)
    seconds: float = 0.0
    attempts: int = 0
    status: int | None = None
    """Of the last answer."""
    url: str | None = None
    """The instance that was asked last."""
    target: str = ""
    """The path with its values, without a query."""
    outcome: str = "cancelled"
    span: Any = None
    """An observer's own."""


class Observer:
    """Hears of what a process does: a derived class has those methods that it needs.

    They return soon. What they raise is logged: it keeps nothing from its answer, and no other one
    from hearing of it.
    """

    ended_statements: list[EndedStatement] | None = None
    """Where those are put that have ended, for an observer that takes them from there later."""

    def take_statements(self) -> list[EndedStatement]:
        """Return those that have ended since the last time."""
        if not self.ended_statements:
            return []
        taken = self.ended_statements[:]
        del self.ended_statements[: len(taken)]
        return taken

    def begin_request(self, request: ObservedRequest) -> None:
        """Nothing of it is known but its scope and its id."""

    def end_request(self, request: ObservedRequest) -> None:
        """It was answered, or its client has left; it is the current one no more."""

    def end_requests(self, requests: Sequence[ObservedRequest]) -> None:
        """All of these have ended since the event loop began its turn."""
        for request in requests:
            try:
                self.end_request(request)
            except Exception:
                log_trouble(self)

    def end_refused(self, status: int) -> None:
        """The server has answered in place of the application, which never heard of the request."""

    def end_statement(self, statement: EndedStatement, place: Place) -> None:
        """It has ended, well or not."""

    def begin_call(self, call: ObservedCall, headers: dict[str, str]) -> None:
        """It is about to be sent with these headers, to which more may be added."""

    def end_call(self, call: ObservedCall) -> None:
        """It has ended, well or not."""


class Observers:
    """Those that hear of what a process does; of what is most frequent, those that want to."""

    def __init__(self) -> None:
        self.all: tuple[Observer, ...] = ()
        self.of_begins: tuple[Observer, ...] = ()
        self.of_statements: tuple[Observer, ...] = ()
        self.ended_statements: tuple[list[EndedStatement], ...] = ()
        self.have_statements = False
        """Whether statements are to be told of."""

    def add(self, observer: Observer) -> None:
        """Tell it from now on, after the others."""
        self._keep([*self.all, observer])

    def remove(self, observer: Observer) -> None:
        """Tell it no more."""
        self._keep([each for each in self.all if each is not observer])

    def _keep(self, observers: Sequence[Observer]) -> None:
        def have(method: str) -> tuple[Observer, ...]:
            inherited = getattr(Observer, method)
            return tuple(each for each in observers if getattr(type(each), method) != inherited)

        self.all = tuple(observers)
        self.of_begins, self.of_statements = have("begin_request"), have("end_statement")
        lists = [each.ended_statements for each in observers]
        self.ended_statements = tuple(each for each in lists if each is not None)
        self.have_statements = bool(self.of_statements or self.ended_statements)


def log_trouble(observer: Observer) -> None:
    """Log what an observer has raised, as in an `except` clause."""
    _log.exception("%s raised in the midst of what it observes", type(observer).__qualname__)
