"""Spans of requests, statements and calls, by OpenTelemetry's SDK.

Their names and attributes are those of its semantic conventions for HTTP and for databases, which
are stable since 1.23 and 1.33.
"""

import logging
import os
import re
from asyncio import AbstractEventLoop
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from random import getrandbits
from time import time_ns
from traceback import format_tb
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util._decorator import _agnosticcontextmanager
from sqlalchemy.exc import SQLAlchemyError

from quart_fleet import __version__, observation
from quart_fleet.errors import ConfigurationError
from quart_fleet.logs import HOSTED, CountedWarnings, clean, escape
from quart_fleet.observation import (
    EndedStatement,
    ObservedCall,
    ObservedRequest,
    Observer,
    Place,
)
from quart_fleet.telemetry._statements import summarise, without_literals

_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_ROOT = contexts.Context()
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]{1,255})(?::(\d{1,5}))?", re.ASCII)
_MOST_OF_A_HEADER = 500
"""Characters of what a client has sent."""


class _Headers:
    """Reads ASGI's headers for propagators."""

    def get(self, carrier: Iterable[tuple[bytes, bytes]], key: str) -> list[str] | None:
        """Return every value of a header, None without one."""
        name = key.lower().encode()
        return [value.decode("latin-1") for sent, value in carrier if sent == name] or None

    def keys(self, carrier: Iterable[tuple[bytes, bytes]]) -> list[str]:
        """Return the headers' names."""
        return [name.decode("latin-1") for name, _ in carrier]


_HEADERS: Any = _Headers()


_DRAWN: ContextVar[int | None] = ContextVar("drawn", default=None)
"""The id of the trace that is about to begin, where it is known."""


def take_id() -> int:
    """Return the id that was drawn already, or draw one."""
    return _DRAWN.get() or getrandbits(128)


class _Dropped(trace.NonRecordingSpan):
    """The span of a request whose trace is not sampled: the rest of its ids is made where they are asked for."""

    def __init__(self, trace_id: int) -> None:
        self._trace_id = trace_id

    @cached_property
    def _context(self) -> trace.SpanContext:  # type: ignore[override]  # of which more is not known
        return trace.SpanContext(self._trace_id, getrandbits(64), is_remote=False)


_CURRENT = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, _ROOT)))
"""The key under which a context has its current span."""


class Traces(Observer):
    """Makes a span of each request, each statement and each call.

    That of a request is the current one while it is answered: spans that a handler makes are below
    it, and statements and calls are below what is current where they are made. Of a trace that is
    not sampled nothing but its ids is made, for the log and for what is called.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._start_span = trace.get_tracer("quart_fleet", __version__, provider or None).start_span
        self._propagator = propagate.get_global_textmap()
        observation.spans[:] = [_find_ids]
        sampler = getattr(provider, "sampler", None)
        root = getattr(sampler, "_root", sampler)
        self._bound: int | None = None
        """Below it the lower half of a trace's id is, where the trace is sampled that begins here."""
        propagators = (os.environ.get("OTEL_PROPAGATORS") or "tracecontext").split(",")
        is_w3c = {each.strip() for each in propagators} <= {"tracecontext", "baggage"}
        if isinstance(root, TraceIdRatioBased) and provider is not None and is_w3c:
            self._bound = root.bound
            vars(provider.id_generator)["generate_trace_id"] = take_id

    def begin_request(self, request: ObservedRequest) -> None:
        """Continue the caller's trace, or begin one."""
        # Without what is current in the server's task: a request has no other parent than it says.
        context, drawn, scope = _ROOT, None, request.scope
        if self._bound is None or request.has_trace_context:
            context = self._propagator.extract(scope["headers"], _ROOT, _HEADERS)
        else:
            # As the sampler does, in a third of the time: nearly all requests end here.
            drawn = getrandbits(128)
            if drawn & TraceIdRatioBased.TRACE_ID_LIMIT >= self._bound:
                request.span = _Dropped(drawn)
                contexts.attach(contexts.Context({_CURRENT: request.span}))
                return
        method = scope["method"] if scope["method"] in _METHODS else "HTTP"
        _DRAWN.set(drawn)
        span = self._start_span(method, context, SpanKind.SERVER)
        _DRAWN.set(None)
        request.span = span
        contexts.attach(trace.set_span_in_context(span, context))
        if span.is_recording():
            span.set_attributes(attributes_of(request))

    def end_requests(self, requests: Sequence[ObservedRequest]) -> None:
        """Say what came of those whose trace may be sampled."""
        super().end_requests([each for each in requests if type(each.span) is not _Dropped])

    def end_request(self, request: ObservedRequest) -> None:
        """Say what came of it: only what this service has failed in is an error of its."""
        span = request.span
        if span is None:
            return
        end = time_ns() - int(request.ago * 1e9)
        if span.is_recording():
            if request.rule is not None:
                method = request.scope["method"]
                span.update_name(f"{method if method in _METHODS else 'HTTP'} {request.rule}")
                span.set_attribute("http.route", request.rule)
            if request.status is not None:
                span.set_attribute("http.response.status_code", request.status)
            if request.error is not None:
                span.add_event("exception", describe(request.error), end)
                _fail(span, _name_of(type(request.error)))
            elif request.has_failed:
                _fail(span, str(request.status) if request.is_whole else "cut")
            elif request.ended:
                span.set_attribute("error.type", "disconnected")
        span.end(end)

    def end_statement(self, statement: EndedStatement, place: Place) -> None:
        """Make a span of what has ended just now."""
        current = contexts.get_current().get(_CURRENT)
        if type(current) is _Dropped or _is_dropped(trace.get_current_span()):
            return
        sql, _, seconds, error, _ = statement
        (name, host, port), summary = place, summarise(sql)
        end = time_ns()
        start = end - int(seconds * 1e9)
        span = self._start_span(summary or "postgresql", None, SpanKind.CLIENT, start_time=start)
        if span.is_recording():
            attributes: dict[str, Any] = {
                "db.system.name": "postgresql",
                "db.namespace": name,
                "db.query.text": without_literals(sql),
                "db.query.summary": summary,
                "server.address": host,
            }
            if port is not None:
                attributes["server.port"] = port
            span.set_attributes(attributes)
            if error is not None:
                state = getattr(error, "sqlstate", None)
                if state:
                    span.set_attribute("db.response.status_code", state)
                _fail(span, state or _name_of(type(error)))
        span.end(end)

    def begin_call(self, call: ObservedCall, headers: dict[str, str]) -> None:
        """Have the other service continue this trace."""
        current = context = None
        if not _is_dropped(trace.get_current_span()):
            current = self._start_span(f"{call.method} {call.path}", None, SpanKind.CLIENT)
            context = trace.set_span_in_context(current)
        call.span = current
        for name in ("traceparent", "tracestate"):  # of the request, which propagators replace
            headers.pop(name, None)
        self._propagator.inject(headers, context)

    def end_call(self, call: ObservedCall) -> None:
        """Say which instance was asked last, and what came of it."""
        span = call.span
        if span is None:
            return
        if span.is_recording():
            attributes: dict[str, Any] = {
                "http.request.method": call.method,
                "url.template": call.path,
                "service.peer.name": call.service,
                "quart_fleet.call.outcome": call.outcome,
            }
            if call.url is not None:
                attributes["url.full"] = clean(f"{call.url}{call.target}", _MOST_OF_A_HEADER)
                attributes["server.address"], attributes["server.port"] = place_of(call.url)
            if call.attempts > 1:
                attributes["http.request.resend_count"] = call.attempts - 1
            if call.status is not None:
                attributes["http.response.status_code"] = call.status
            span.set_attributes(attributes)
            if call.status is not None and call.status >= 400:
                _fail(span, str(call.status))
            elif call.outcome != "answered":
                _fail(span, call.outcome)
        span.end()


def _find_ids(request: ObservedRequest | None) -> tuple[str, str] | None:
    """Return the ids of the current span, as log lines have them."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid and request is not None and request.span is not None:
        context = request.span.get_span_context()
    if not context.is_valid:
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def _is_dropped(current: trace.Span) -> bool:
    """Whether a span is of a trace that is not sampled: nothing is made below it."""
    context = current.get_span_context()
    return context.is_valid and not (current.is_recording() or context.trace_flags.sampled)


def _fail(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _name_of(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def attributes_of(request: ObservedRequest) -> dict[str, Any]:
    """Return what is known before a request is answered; its query holds values, and is left out."""
    scope = request.scope
    method, scheme = scope["method"], scope["scheme"]
    attributes: dict[str, Any] = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "url.path": clean(scope["path"], _MOST_OF_A_HEADER),
        "url.scheme": scheme,
        "network.protocol.version": scope["http_version"],
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = escape(method, _MOST_OF_A_HEADER)
    if client := scope.get("client"):
        attributes["client.address"] = client[0]
    headers = dict(scope["headers"])
    if agent := headers.get(b"user-agent"):
        attributes["user_agent.original"] = clean(agent.decode("latin-1"), _MOST_OF_A_HEADER)
    if found := _HOST.fullmatch(headers.get(b"host", b"").decode("latin-1")):
        attributes["server.address"] = found[1].strip("[]")
        if port := found[2] or _PORTS.get(scheme):
            attributes["server.port"] = int(port)
    return attributes


@lru_cache(maxsize=256)
def place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def describe(error: BaseException) -> dict[str, str]:
    """Return the attributes of an exception's event.

    What a driver says may hold values of the statement, which its traceback would repeat.
    """
    parts: list[str] = []
    each: BaseException | None = error
    seen = set[int]()
    while (
        each is not None and id(each) not in seen
    ):  # the exception and its causes, the first one first
        seen.add(id(each))
        said = f"{_name_of(type(each))}: {_message_of(each)}"
        lines = "".join(format_tb(each.__traceback__)).splitlines()
        parts.insert(0, "\n".join([*map(clean, lines), said, ""]))
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return {
        "exception.type": _name_of(type(error)),
        "exception.message": _message_of(error),
        "exception.stacktrace": "\n".join(parts),
    }


def _message_of(error: BaseException) -> str:
    if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)):
        return f"SQLSTATE {getattr(error, 'sqlstate', None) or 'unknown'}: the log says more"
    return clean(str(error))


class Exports:
    """What sends ended spans: a thread of each process, for which nothing waits.

    What goes wrong with it is logged once a minute, with how often it did.

    Args:
        exporters: by the names that OTEL_TRACES_EXPORTER has for them.
        service: what the service calls itself, unless OTEL_SERVICE_NAME says it.
        loop: of the application.
    """

    def __init__(self, exporters: Sequence[str], service: str, loop: AbstractEventLoop) -> None:
        self.warnings = CountedWarnings(logging.getLogger(__name__))
        self.provider: TracerProvider | None = None
        """Ours; None where the process has another one."""
        log = logging.getLogger("opentelemetry")
        log.propagate = False
        log.handlers = [_Trouble(self.warnings, loop)]
        hosted = HOSTED.get()
        if isinstance(trace.get_tracer_provider(), TracerProvider):
            return  # the service's own, or one that its process was started with
        try:
            own = {"service.name": service, "service.instance.id": str(uuid4())}
            said = OTELResourceDetector().detect().attributes
            self.provider = TracerProvider(
                resource=Resource.create({**own, **said}), shutdown_on_exit=False
            )
            for name in exporters:
                exporter = load_exporter(name)()
                processor = SimpleSpanProcessor if name == "console" else BatchSpanProcessor
                self.provider.add_span_processor(processor(exporter))
        except ValueError as error:
            raise ConfigurationError(f"OpenTelemetry cannot start: {error}") from None
        if hosted is None:
            trace.set_tracer_provider(self.provider)
            return
        hosted.spans = self.provider
        if not isinstance(trace.get_tracer_provider(), _ByService):
            trace.set_tracer_provider(_ByService())

    def end(self) -> None:
        """Send what has not been sent yet."""
        if self.provider is not None:
            self.provider.shutdown()


class _ByService(trace.TracerProvider):
    """The provider of a process that has several services: spans are made by that of each."""

    def get_tracer(self, *arguments: Any, **options: Any) -> trace.Tracer:
        """Return a tracer that may be kept: it asks at each span whose it is."""
        return _TracerByService(arguments, options)


class _TracerByService(trace.Tracer):
    def __init__(self, arguments: Any, options: Any) -> None:
        self._arguments, self._options = arguments, options

    def _find(self) -> trace.Tracer:
        hosted = HOSTED.get()
        own = hosted.spans if hosted is not None else None
        provider: trace.TracerProvider = own or trace.NoOpTracerProvider()
        return provider.get_tracer(*self._arguments, **self._options)

    def start_span(self, *arguments: Any, **options: Any) -> trace.Span:
        """Start one of the service whose code runs."""
        return self._find().start_span(*arguments, **options)

    @_agnosticcontextmanager  # as there, since it may decorate a coroutine function too
    def start_as_current_span(self, *arguments: Any, **options: Any) -> Iterator[trace.Span]:
        """Start one that is the current one during a block."""
        with self._find().start_as_current_span(*arguments, **options) as span:
            yield span


def load_exporter(name: str) -> Any:
    """Return the class of an exporter; raises ConfigurationError where it is not installed."""
    known, remedy = name, "no package that is installed has it; otlp, console and none are known"
    if name == "otlp":
        variables = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocols = [os.environ[each].strip() for each in variables if os.environ.get(each)]
        protocol = protocols[0] if protocols else "http/protobuf"
        known = f"otlp_proto_{protocol.removesuffix('/protobuf')}"
        remedy = (
            f"the protocol {protocol} is not installed: write "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, which the extra quart-fleet[tracing] has"
        )
        if protocol == "grpc":
            remedy += ", or install opentelemetry-exporter-otlp-proto-grpc"
    for found in entry_points(group="opentelemetry_traces_exporter", name=known):
        with suppress(ImportError):
            return found.load()
    raise ConfigurationError(f"OTEL_TRACES_EXPORTER={escape(name, 100)}: {remedy}")


class _Trouble(logging.Handler):
    """Counts the warnings of OpenTelemetry's own loggers, from whatever thread they come."""

    def __init__(self, warnings: CountedWarnings, loop: AbstractEventLoop) -> None:
        super().__init__(logging.WARNING)
        self._warnings = warnings
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        """Log one line of each logger in a minute."""
        if record.name == "opentelemetry.util.re":
            line = "a header in OTEL_EXPORTER_OTLP_HEADERS is not written as name=value"
        else:
            line = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                line += f" ({record.exc_info[1]!r})"
        # Of an address its query may be a secret.
        line = clean(re.sub(r"\?\S+", "?…", line).partition("\n")[0], _MOST_OF_A_HEADER)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(
                self._warnings.warn, record.name, f"OpenTelemetry: {line}", context=Context()
            )
