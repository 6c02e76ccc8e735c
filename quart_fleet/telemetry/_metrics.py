"""What a process counts and measures of its requests, statements, calls, event loop and garbage.

The values are prometheus-client's: in memory, or in files where the parent of workers collects them.
"""

import asyncio
import errno
import gc
import logging
import os
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from time import perf_counter
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from quart_fleet.asgi._application import REFUSALS
from quart_fleet.observation import (
    CLIENTS,
    DATABASE,
    EndedStatement,
    ObservedCall,
    ObservedRequest,
    Observer,
)
from quart_fleet.telemetry._statements import summarise

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication
    from quart_fleet.database import Database

T = TypeVar("T")

OTHER, NONE = "other", "none"
"""What labels say in place of a value that is one of too many, and where there is none."""
MOST_STATEMENTS, MOST_OPERATIONS, MOST_ROUTES, MOST_STATES = 200, 500, 5_000, 100
"""How many values a label has: what comes later is `other`."""
_LONGEST = 100
"""Characters of a label."""
DURATIONS = (0.001, 0.0025, *Histogram.DEFAULT_BUCKETS[:-1], 30.0)
"""Upper bounds in seconds: reads by id take one or two milliseconds, requests 30 s at most."""
_PAUSES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""The same of what stops the event loop."""
INTERVAL = 1.0
"""Seconds from one sample of the gauges to the next."""
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
"""Those of RFC 9110 and of RFC 5789; any other one is `other`."""
STARTED = "process_start_time_seconds"
"""What makes no sum."""
FAILED = "5xx"
_CLASSES = {status: f"{status // 100}xx" for status in range(100, 600)}

_log = logging.getLogger(__name__)


class _Children(dict[tuple[str, ...], T], Generic[T]):
    """What is told by the values of labels, made when it is first asked for.

    Args:
        most: how many there may be, before all that are asked for later are told together.
        rest: the values of those, and of what has no room; None keeps one, of which there are few.
        make: makes one of its values.
    """

    def __init__(self, most: int, rest: tuple[str | None, ...], make: Callable[..., T]) -> None:
        super().__init__()
        self._most, self._rest, self._make = most, rest, make
        self._is_full = False
        self.last = (OTHER,) * len(rest)
        """What is counted as these where nothing else has room; workers make it first."""

    def __missing__(self, values: tuple[str, ...]) -> T:
        told = tuple(OTHER if len(each) > _LONGEST else each for each in values)
        rest = tuple(mine or its for mine, its in zip(self._rest, told, strict=True))
        if len(self) >= self._most and told not in self:
            told = rest
        for key in (told, rest, self.last):
            if key not in self:
                try:
                    self[key] = self._make(*key)
                except OSError as error:  # of a worker's file, which has no room for more
                    if not self._is_full:
                        self._is_full = True
                        _log.warning(
                            "METRICS_PORT: what is new in process %d is counted as `other`: %s. "
                            "Set TMPDIR to a larger folder",
                            *(os.getpid(), os.strerror(error.errno or 0)),
                        )
                    continue
            return self[key]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Histogram(Histogram):
    """One that counts many values at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Count each value in the first bucket whose bound it does not exceed."""
        self._sum.inc(sum(amounts))
        bounds = repeat(self._upper_bounds)
        for number, count in Tally(map(bisect_left, bounds, amounts)).items():
            self._buckets[number].inc(count)


class _Process:
    """What prometheus-client tells of this process, as values that are added up over processes."""

    def __init__(self, counter: Callable[..., Counter], gauge: Callable[..., Gauge]) -> None:
        self._collector = ProcessCollector(registry=None)
        self._counter, self._gauge = counter, gauge
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._before: dict[str, float] = {}

    def sample(self) -> None:
        """Set the gauges, and count what has been added since the last time."""
        for family in self._collector.collect():
            if family.name == STARTED:
                continue
            (sample,) = family.samples
            if family.type == "counter":
                if family.name not in self._counters:
                    self._counters[family.name] = self._counter(family.name, family.documentation)
                before = self._before.get(family.name, 0.0)
                self._before[family.name] = max(before, sample.value)
                self._counters[family.name].inc(max(0.0, sample.value - before))
            else:
                if family.name not in self._gauges:
                    self._gauges[family.name] = self._gauge(family.name, family.documentation)
                self._gauges[family.name].set(sample.value)


class Metrics(Observer):
    """Counts what a process does; `sample` is called once a second for what has a size.

    Args:
        app: is asked for its database and for the services that it calls.
        registry: takes the metrics, which are there once.
        is_worker: whether the values of several processes are added up.
    """

    def __init__(
        self, app: "ServiceApplication", registry: CollectorRegistry, *, is_worker: bool = False
    ) -> None:
        # As many series again, which Prometheus does not need.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # has no types
        counter = partial(Counter, registry=registry)
        histogram = partial(_Histogram, registry=registry, buckets=DURATIONS)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self._app = app
        requests = counter(
            "http_requests_total", "Requests that were answered.", ["method", "route", "status"]
        )
        durations = histogram(
            "http_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ["method", "route"],
        )

        def count(method: str, route: str, status: str) -> tuple[Counter, _Histogram]:
            # Failures are told from 0 on: Prometheus sees no rise in what begins with its first.
            requests.labels(method, route, FAILED)
            return requests.labels(method, route, status), durations.labels(method, route)

        self._requests = _Children(MOST_ROUTES, (None, OTHER, None), count)
        self._in_progress = gauge("http_requests_in_progress", "Requests that are being answered.")
        self._received = counter("http_request_body_bytes_total", "Bytes of requests' bodies.")
        self._sent = counter("http_response_body_bytes_total", "Bytes of answers' bodies.")
        self._refused = counter(
            "http_refused_total",
            "Requests that the server answered in place of the application.",
            ["status"],
        )
        self._pool = gauge("db_pool_connections", "Open connections of the pool.", ["state"])
        self._pool_limit = gauge("db_pool_limit", "How many connections the pool may lend.")
        self._pool_waiting = gauge("db_pool_waiting", "How many wait for a connection.")
        statements = histogram(
            "db_statement_duration_seconds", "From a statement to its answer.", ["statement"]
        )
        self._statements = _Children[_Histogram](MOST_STATEMENTS, (OTHER,), statements.labels)
        self.ended_statements: list[EndedStatement] = []
        errors = counter("db_statement_errors_total", "Statements that failed.", ["sqlstate"])
        self._errors = _Children[Callable[[], None]](
            MOST_STATES, (OTHER,), lambda sqlstate: errors.labels(sqlstate).inc
        )
        self._errors[(NONE,)]  # is there whatever others come before it
        calls = counter(
            "service_calls_total",
            "Calls of other services, each one counted once however often it was sent.",
            ["service", "operation", "outcome"],
        )
        call_durations = histogram(
            "service_call_duration_seconds",
            "From the start of a call to its outcome, repetitions included.",
            ["service", "operation"],
        )
        self._calls = _Children[tuple[Callable[[], None], Callable[[float], None]]](
            MOST_OPERATIONS,
            (OTHER, OTHER, None),
            lambda service, operation, outcome: (
                calls.labels(service, operation, outcome).inc,
                call_durations.labels(service, operation).observe,
            ),
        )
        self._open_circuits = gauge(
            "service_circuit_open", "Instances that are left alone, as they failed.", ["service"]
        )
        self._lag = histogram(
            "event_loop_lag_seconds", "How late a timer of the event loop is.", buckets=_PAUSES
        )
        self._collections = counter(
            "python_gc_collections_total", "Collections of garbage.", ["generation"]
        )
        self._collection_durations = histogram(
            "python_gc_duration_seconds", "How long one stopped the process.", buckets=_PAUSES
        )
        self._collected: list[tuple[int, float]] = []
        self._collection_begun = 0.0
        self._process = _Process(counter, gauge) if is_worker else None
        if is_worker:
            # What stands for others has room, whatever comes later.
            for method in (*_METHODS, OTHER):
                for status in {*_CLASSES.values(), NONE}:
                    self._requests[method, OTHER, status]
            for children in (self._requests, self._statements, self._errors, self._calls):
                children[children.last]
            for refusal in REFUSALS:
                self._refused.labels(str(refusal))
            for generation in range(3):
                self._collections.labels(str(generation))

    def end_requests(self, requests: Sequence[ObservedRequest]) -> None:
        """Count them by their routes and what came of them."""
        received = sent = 0
        ended = defaultdict[tuple[str, str, str], list[float]](list)
        for request in requests:
            method = request.scope["method"]
            if request.has_failed:
                status = FAILED
            else:
                status = NONE if request.status is None else _CLASSES.get(request.status, OTHER)
            key = method if method in _METHODS else OTHER, request.rule or "", status
            ended[key].append(request.seconds)
            received += request.received
            sent += request.sent
        for key, seconds in ended.items():
            counter, durations = self._requests[key]
            counter.inc(len(seconds))
            durations.observe_all(seconds)
        if received:
            self._received.inc(received)
        if sent:
            self._sent.inc(sent)
        self.count_statements()

    def end_refused(self, status: int) -> None:
        """Count an answer of the server's own."""
        self._refused.labels(str(status)).inc()

    def count_statements(self) -> None:
        """Count those that have ended by what they do with which table."""
        told = defaultdict[str, list[float]](list)
        for sql, _, seconds, error, _ in self.take_statements():
            told[summarise(sql)].append(seconds)
            if error is not None:
                sqlstate = getattr(error, "sqlstate", None)
                is_one = isinstance(sqlstate, str) and len(sqlstate) == 5
                self._errors[(str(sqlstate) if is_one else NONE,)]()
        for summary, each in told.items():
            self._statements[(summary,)].observe_all(each)

    def end_call(self, call: ObservedCall) -> None:
        """Count it by its operation and what came of it."""
        operation = f"{call.method} {call.path}"
        count, observe = self._calls[call.service, operation, call.outcome]
        count()
        observe(call.seconds)

    def note_collection(self, phase: str, info: dict[str, int]) -> None:
        """Remember how long garbage was collected; a callback of `gc`'s.

        It may be called while a value is being changed, whose lock it cannot wait for.
        """
        if phase == "start":
            self._collection_begun = perf_counter()
        else:
            seconds = perf_counter() - self._collection_begun
            self._collected.append((info["generation"], seconds))

    def note_lag(self, seconds: float) -> None:
        """Count how late a timer was."""
        self._lag.observe(max(0.0, seconds))

    def sample(self) -> None:
        """Tell what has a size now, and the garbage collected since the last time."""
        self._in_progress.set(self._app.running)
        self.count_statements()
        database: Database | None = self._app.extensions.get(DATABASE)
        if database is not None:
            counts = database.count_connections()
            self._pool.labels("idle").set(counts.idle)
            self._pool.labels("lent").set(counts.lent)
            self._pool_limit.set(counts.limit)
            self._pool_waiting.set(counts.waiting)
        circuits: dict[str, int] = {}
        for clients in self._app.extensions.get(CLIENTS, ()):
            for client in clients.services:
                states = [each.breaker.state != "closed" for each in client.instances]
                circuits[client.service] = circuits.get(client.service, 0) + sum(states)
        for service, count in circuits.items():
            self._open_circuits.labels(service).set(count)
        while self._collected:
            generation, seconds = self._collected.pop()
            self._collections.labels(str(generation)).inc()
            self._collection_durations.observe(seconds)
        if self._process is not None:
            self._process.sample()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Observe the application during a block, in its event loop."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def tick(due: float) -> None:
            nonlocal timer
            now = loop.time()
            timer = loop.call_at(now + INTERVAL, tick, now + INTERVAL)
            self.note_lag(now - due)
            self.sample()

        tick(loop.time())
        gc.callbacks.append(self.note_collection)
        self._app.observers.add(self)
        try:
            yield
        finally:
            self._app.observers.remove(self)
            gc.callbacks.remove(self.note_collection)
            timer.cancel()
            self.sample()
