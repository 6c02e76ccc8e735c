"""What is counted of an application, how many series it makes, and the port where it is read."""

import asyncio
import gc
import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from quart import Response, request
from sqlalchemy import select, text

from quart_fleet.asgi._application import LeanApplication, ServiceApplication
from quart_fleet.asgi._http import LOOK_INTERVAL
from quart_fleet.database import Database
from quart_fleet.database._engine import Semaphore
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.observation import (
    CLIENTS,
    DATABASE,
    EndedStatement,
    ObservedCall,
    ObservedRequest,
    Observer,
    Place,
)
from quart_fleet.server._listener import listen
from quart_fleet.telemetry import _metrics, _scrapes
from quart_fleet.telemetry._metrics import Metrics
from tests.observing import ended_statement, observed_request
from tests.ports import reserve_port

REQUESTS = "http_requests_total"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(app: ServiceApplication, registry: CollectorRegistry) -> Metrics:
    metrics = Metrics(app, registry)
    app.observers.add(metrics)

    @app.route("/things/<int:thing_id>", methods=["GET", "PUT"])
    async def thing(thing_id: int) -> tuple[str, int]:
        await request.get_data()
        return str(thing_id), 200 if thing_id else 409

    return metrics


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


async def answer(
    app: ServiceApplication, method: str, path: str, body: bytes = b"", over: Any = None
) -> None:
    """Have the application answer, with less around it than a test client has.

    As from a server, it hears that its client has gone behind the whole answer, or once it is over.
    """
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"a"), (b"content-length", b"%d" % len(body))], "extensions": {},
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "root_path": "",
    }  # fmt: skip
    received = iter([{"type": "http.request", "body": body, "more_body": False}])
    over = over or asyncio.Event()

    async def receive() -> Any:
        if message := next(received, None):
            return message
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not message["more_body"]:
            over.set()

    await app(cast("Any", scope), receive, send)


async def ask(app: ServiceApplication, method: str, path: str, body: bytes = b"") -> None:
    """Send the application a request."""
    await answer(app, method, path, body)
    app.tell_ended()


async def test_requests_are_counted_by_method_route_and_class(
    app: ServiceApplication, metrics: Metrics, registry: CollectorRegistry
) -> None:
    for method, path in (("GET", "/things/1"), ("GET", "/things/2"), ("PUT", "/things/0")):
        await ask(app, method, path, b"1234")
    await ask(app, "DELETE", "/nothing/reads/it", b"12345")
    for method, path in (("GET", "/"), ("DELETE", "/things/1"), ("BREW", "/"), ("get", "/")):
        await ask(app, method, path)

    route = "/things/<int:thing_id>"
    assert value(registry, REQUESTS, method="GET", route=route, status="2xx") == 2
    assert value(registry, REQUESTS, method="PUT", route=route, status="4xx") == 1
    assert value(registry, REQUESTS, method="GET", route="", status="4xx") == 1
    assert value(registry, REQUESTS, method="DELETE", route="", status="4xx") == 2
    assert value(registry, REQUESTS, method="other", route="", status="4xx") == 2
    duration = "http_request_duration_seconds"
    assert value(registry, f"{duration}_count", method="GET", route=route) == 2
    assert (value(registry, f"{duration}_sum", method="GET", route=route) or 0) > 0
    assert value(registry, "http_request_body_bytes_total") == 17
    assert (value(registry, "http_response_body_bytes_total") or 0) > 3


class Ended(Observer):
    def __init__(self) -> None:
        self.requests: list[ObservedRequest] = []

    def end_request(self, request: ObservedRequest) -> None:
        self.requests.append(request)


@pytest.mark.parametrize("kind", [LeanApplication, ServiceApplication])
@pytest.mark.parametrize(
    ("end", "ended", "status"),
    [
        ("raises", "failed", "5xx"),
        ("lasts", "failed", "5xx"),
        ("is cancelled", "failed", "5xx"),
        ("is left", "client left", "2xx"),
        ("is whole", None, "2xx"),
    ],
)
async def test_an_answer_that_is_cut_is_no_good_one(
    kind: type[ServiceApplication], registry: CollectorRegistry,
    end: str, ended: str | None, status: str,
) -> None:  # fmt: skip
    app, observer, begun = kind(__name__, static_folder=None), Ended(), asyncio.Event()
    app.observers.add(Metrics(app, registry))
    app.observers.add(observer)

    async def parts() -> AsyncIterator[str]:
        yield "first"
        begun.set()
        if end == "raises":
            raise RuntimeError("torn")
        if end != "is whole":
            await asyncio.sleep(30)

    @app.get("/")
    async def stream() -> Response:
        response = Response(parts())
        response.timeout = 0.05 if end == "lasts" else None
        return response

    left = begun if end == "is left" else None
    task = asyncio.create_task(answer(app, "GET", "/", over=left))
    await begun.wait()
    await asyncio.sleep(0)
    if end == "is cancelled":
        task.cancel()
    await asyncio.wait([task], timeout=10)

    assert (task.cancelled() or task.exception() is None) == (end != "raises")
    app.tell_ended()
    (request,) = observer.requests
    assert (request.status, request.ended, request.has_failed) == (200, ended, status == "5xx")
    assert isinstance(request.error, RuntimeError) == (end == "raises")
    assert value(registry, REQUESTS, method="GET", route="/", status=status) == 1


@pytest.mark.parametrize("kind", [LeanApplication, ServiceApplication])
async def test_bodies_are_counted_that_are_sent(
    kind: type[ServiceApplication], registry: CollectorRegistry
) -> None:
    app = kind(__name__, static_folder=None)
    app.observers.add(Metrics(app, registry))

    @app.route("/", methods=["GET", "POST"])
    async def echo() -> str:
        return str(await request.get_data(as_text=True)) or "1234567"

    for method in ("GET", "HEAD"):
        await ask(app, method, "/")
    await ask(app, "POST", "/", b"123")
    app.tell_ended()

    assert value(registry, "http_request_body_bytes_total") == 3
    assert value(registry, "http_response_body_bytes_total") == 10


async def test_failures_are_told_before_there_are_any(
    app: ServiceApplication, metrics: Metrics, registry: CollectorRegistry
) -> None:
    """Prometheus sees no rise in what it has never seen."""
    await ask(app, "GET", "/things/1")

    route = "/things/<int:thing_id>"
    assert value(registry, REQUESTS, method="GET", route=route, status="5xx") == 0


def lines(registry: CollectorRegistry) -> int:
    return len(generate_latest(registry).splitlines())


@pytest.mark.slow
async def test_100_000_paths_make_no_more_series_than_one(
    app: ServiceApplication, metrics: Metrics, registry: CollectorRegistry
) -> None:
    methods = ("GET", "PUT", "BREW", "DELETE")
    for number, method in enumerate(methods):
        await ask(app, method, f"/nowhere/{number}")
        await ask(app, method, f"/things/{number + 1}")
    series = lines(registry)
    gc.collect()
    objects = len(gc.get_objects())

    for number in range(100_000):
        path = f"/things/{number + 1}" if number % 2 else f"/nowhere/{number}"
        method = methods[number % 4] if number % 5 else f"M{number}"
        await ask(app, method, path)
    await asyncio.sleep(2 * LOOK_INTERVAL)  # no request has given the event loop a turn
    gc.collect()

    total = sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == REQUESTS
    )
    assert total == 100_008
    assert lines(registry) <= series + 2 * 20  # of the other methods on a route that is there
    assert len(gc.get_objects()) - objects < 2_000


@pytest.mark.slow
def test_what_others_can_make_many_of_is_bounded(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    class OddError(Exception):
        sqlstate: object = None

    def failed(sqlstate: object) -> OddError:
        error = OddError()
        error.sqlstate = sqlstate
        return error

    for number in range(6_000):
        metrics.ended_statements.append(ended_statement(f"SELECT 1 FROM t{number}"))
        metrics.ended_statements.append(ended_statement("x", failed(f"{number:05}")))
        call = ObservedCall("user-service", "GET", f"/api/v1/{number}", None)
        metrics.end_call(call)
        metrics.end_requests([observed_request(rule=f"/{number}")])
    for status in (200, 503):
        request = observed_request(method="PUT", rule="/" + "a" * 100, status=status, is_whole=True)
        metrics.end_requests([request])
    metrics.ended_statements.append(ended_statement("A" * 10_000))
    for odd in (None, 7, "too long", "é"):
        metrics.ended_statements.append(ended_statement("x", failed(odd)))
    metrics.end_requests([observed_request(status=12_345)])

    series: dict[str, int] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.labels.get("le", "+Inf") == "+Inf":
                series[sample.name] = series.get(sample.name, 0) + 1
    assert series["db_statement_duration_seconds_count"] <= _metrics.MOST_STATEMENTS + 1
    assert series["db_statement_errors_total"] <= _metrics.MOST_STATES + 1
    assert series["service_calls_total"] <= _metrics.MOST_OPERATIONS + 1
    assert series[REQUESTS] <= 2 * (_metrics.MOST_ROUTES + 1) + 10  # with the failures of each
    for kind in ("2xx", "5xx"):
        assert value(registry, REQUESTS, method="PUT", route="other", status=kind) == 1
    assert value(registry, "db_statement_errors_total", sqlstate="none") == 4
    counted = "db_statement_duration_seconds_count"
    assert (value(registry, counted, statement="other") or 0) >= 5_000


def test_errors_are_told_by_their_sqlstate(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.ended_statements.append(ended_statement("INSERT", asyncpg.UniqueViolationError("a")))
    metrics.ended_statements.append(ended_statement("INSERT", TimeoutError()))
    metrics.count_statements()

    assert value(registry, "db_statement_errors_total", sqlstate="23505") == 1
    assert value(registry, "db_statement_errors_total", sqlstate="none") == 1


def test_calls_are_told_by_their_operation_and_outcome(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    call = ObservedCall("user-service", "GET", "/api/v1/users/{record_id}", None)
    call.outcome, call.seconds = "answered", 0.25

    metrics.end_call(call)

    labels = {"service": "user-service", "operation": "GET /api/v1/users/{record_id}"}
    assert value(registry, "service_calls_total", **labels, outcome="answered") == 1
    assert value(registry, "service_call_duration_seconds_sum", **labels) == 0.25


def test_circuits_that_are_not_closed_are_told_by_service(
    app: ServiceApplication, metrics: Metrics, registry: CollectorRegistry
) -> None:
    instances = [
        SimpleNamespace(breaker=SimpleNamespace(state=each))
        for each in ("open", "closed", "half-open")
    ]
    client = SimpleNamespace(service="user-service", instances=instances)
    app.extensions[CLIENTS] = [SimpleNamespace(services=[client])]

    metrics.sample()

    assert value(registry, "service_circuit_open", service="user-service") == 2


async def test_the_loop_and_the_garbage_are_measured_while_it_is_installed(
    app: ServiceApplication, registry: CollectorRegistry
) -> None:
    metrics = Metrics(app, registry)

    with metrics.installed():
        assert app.observers.all == (metrics,)
        before = value(registry, "event_loop_lag_seconds_count")
        gc.collect()
        metrics.sample()

    assert before == 1
    assert not app.observers.all
    assert metrics.note_collection not in gc.callbacks
    assert (value(registry, "python_gc_collections_total", generation="2") or 0) >= 1
    assert (value(registry, "python_gc_duration_seconds_count") or 0) >= 1


async def test_a_semaphore_tells_who_waits() -> None:
    semaphore = Semaphore(1, timeout=60)
    await semaphore.acquire()
    waiting = [asyncio.create_task(semaphore.acquire()) for _ in range(3)]
    await asyncio.sleep(0)

    assert (semaphore.free, semaphore.waiting) == (0, 3)

    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    assert semaphore.waiting == 2
    for _ in range(3):
        semaphore.release()
    await asyncio.gather(*waiting[1:])
    assert (semaphore.free, semaphore.waiting) == (1, 0)


class Told(Observer):
    def __init__(self) -> None:
        self.statements: list[EndedStatement] = []

    def end_statement(self, statement: EndedStatement, place: Place) -> None:
        self.statements.append(statement)

    @property
    def texts(self) -> list[str]:
        return [sql.strip() for sql, *_ in self.statements]

    @property
    def errors(self) -> list[BaseException | None]:
        return [error for *_, error, _ in self.statements]


@pytest.fixture
def told(database: Database) -> Iterator[Told]:
    told = Told()
    database.observers.add(told)
    yield told
    database.observers.remove(told)


@pytest.mark.asyncio(loop_scope="session")
class TestStatements:
    """Each is told once, whichever way it is sent."""

    async def test_of_a_connection(self, database: Database, told: Told) -> None:
        async with database.connect() as connection:
            await connection.fetchval("SELECT $1::int", 1)
            await connection.execute("SELECT 2")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await connection.fetchval("SELECT 1 / $1::int", 0)
            await asyncio.sleep(0)

        assert told.texts == ["SELECT $1::int", "SELECT 2", "SELECT 1 / $1::int"]
        assert isinstance(told.errors[2], asyncpg.DivisionByZeroError)
        assert all(seconds > 0 for _, _, seconds, *_ in told.statements)
        async with database.connect() as connection:
            assert not connection._query_loggers or told.statements

    async def test_of_a_session(self, database: Database, told: Told) -> None:
        async with database.sessions()() as session:
            assert (await session.execute(text("SELECT 7"))).scalar() == 7
            with pytest.raises(Exception, match="division by zero"):
                await session.execute(text("SELECT 1 / 0"))

        assert told.texts[-2:] == ["SELECT 7", "SELECT 1 / 0"]
        assert len([each for each in told.texts if each == "SELECT 7"]) == 1
        assert told.errors[-2] is None
        assert isinstance(told.errors[-1], asyncpg.DivisionByZeroError)

    async def test_of_a_session_that_is_cancelled(self, database: Database, told: Told) -> None:
        with pytest.raises((TimeoutError, DatabaseUnavailableError)):
            async with asyncio.timeout(0.2), database.sessions()() as session:
                await session.execute(text("SELECT pg_sleep(60)"))

        assert told.texts[-1] == "SELECT pg_sleep(60)"
        assert told.errors[-1] is not None

    async def test_of_a_transaction_and_what_is_inside(
        self, database: Database, told: Told
    ) -> None:
        async with Transaction(database) as transaction:
            async with transaction.session() as session:
                await session.execute(text("SELECT 8"))
            async with transaction.connection() as connection:
                await connection.execute("SELECT 9")
                await transaction.fetch(Statement(select(text("10"))))
            await transaction.fetch(Statement(select(text("11"))))
            await transaction.commit()

        for one in ("SELECT 8", "SELECT 9", "SELECT 10", "SELECT 11", "BEGIN", "COMMIT"):
            assert told.texts.count(one) == 1, told.texts

    async def test_the_pool_is_counted(
        self, app: ServiceApplication, database: Database, registry: CollectorRegistry
    ) -> None:
        metrics = Metrics(app, registry)
        app.extensions[DATABASE] = database

        async with database.connect():
            metrics.sample()

        assert (value(registry, "db_pool_connections", state="lent") or 0) >= 1
        assert value(registry, "db_pool_limit") == database.count_connections().limit
        assert value(registry, "db_pool_waiting") == 0


class Family:
    def __init__(self, name: str) -> None:
        self.name = name

    def collect(self) -> list[Metric]:
        return [Metric(self.name, self.name, "gauge")]


@contextmanager
def endpoint(registry: CollectorRegistry) -> Iterator[int]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with _scrapes.Endpoint(registry, listener.getsockname(), listener):
        yield port


def talk(port: int, sent: bytes) -> tuple[str, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(sent)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields)
    return status.split(" ", 1)[1], headers, body


def get(path: str = "/metrics", method: str = "GET", *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def test_the_formats_are_those_that_the_client_accepts(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.ended_statements.append(ended_statement("SELECT 1 FROM users"))
    metrics.count_statements()
    with endpoint(registry) as port:
        status, headers, plain = talk(port, get())
        _, packed, small = talk(port, get("/metrics", "GET", "Accept-Encoding: gzip"))
        accept = "Accept: application/openmetrics-text; version=1.0.0"
        _, _, openmetrics = talk(port, get("/metrics?name[]=x", "GET", accept))
        head = talk(port, get("/metrics", "HEAD"))
        odd = talk(port, get("/metrics", "GET", accept.replace("1.0.0", "\xb2.x")))

    families = {each.name for each in text_string_to_metric_families(plain.decode())}
    assert status == "200 OK"
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "python" not in json.dumps(headers).lower()
    assert {"http_requests", "db_statement_duration_seconds"} <= families
    assert "_created" not in plain.decode()
    assert packed["content-encoding"] == "gzip"
    assert gzip.decompress(small) == plain
    assert {each.name for each in read_openmetrics(openmetrics.decode())} == families  # type: ignore[no-untyped-call]
    assert (head[0], head[2]) == (status, b"")
    assert head[1]["content-length"] == headers["content-length"]
    assert odd[2] == plain


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (get("/"), "404"),
        (get("/metrics/"), "404"),
        (get("/favicon.ico"), "404"),
        (get("/metrics", "POST"), "405"),
        (get("/metrics", "OPTIONS"), "405"),
        (get("/metrics", "BREW"), "405"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", "414"),
        (get("/metrics", "GET", *(f"a{n}: b" for n in range(200))), "431"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
    ],
)
def test_anything_else_is_refused_in_a_line(
    registry: CollectorRegistry, sent: bytes, answered: str
) -> None:
    with endpoint(registry) as port:
        status, _, body = talk(port, sent)

    assert status.startswith(answered)
    assert len(body.splitlines()) == 1
    assert b"<" not in body


def test_a_collector_that_fails_is_logged_and_the_next_scrape_answered(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        count = 0

        def collect(self) -> list[Any]:
            self.count += 1
            if self.count == 1:
                raise RuntimeError("of the service's own")
            return []

    registry.register(Failing())
    with endpoint(registry) as port:
        answered = [talk(port, get())[0] for _ in range(2)]

    assert answered == ["500 Internal Server Error", "200 OK"]
    assert "The metrics could not be told" in caplog.text


def test_a_port_that_another_has_is_taken_over_when_it_ends(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scrapes, "RETRY", 0.01)
    port = reserve_port()
    address, second = ("127.0.0.1", port), CollectorRegistry()
    registry.register(Family("first"))
    second.register(Family("second"))
    with (
        _scrapes.Endpoint(registry, address, listen(*address)) as holding,
        _scrapes.Endpoint(second, address) as waiting,
    ):
        before = talk(port, get())[2]
        holding.__exit__()
        while waiting._listener is None:
            time.sleep(0.01)
        after = talk(port, get())[2]

    assert b"first" in before
    assert b"second" in after


def test_clients_that_send_nothing_keep_none_away(registry: CollectorRegistry) -> None:
    with endpoint(registry) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        for each in idle:
            each.send(b"GET /metrics HTT")
        status, _, _ = talk(port, get())
        for each in idle:
            each.close()

    assert status == "200 OK"


class Slow:
    """A collector that takes its time, and counts how often it was asked."""

    count = 0

    def collect(self) -> list[Metric]:
        type(self).count += 1
        time.sleep(0.05)
        return []


@pytest.mark.slow
def test_a_flood_makes_no_more_threads_and_renderings_than_are_allowed(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slow, "count", 0)
    registry.register(Slow())
    before, most = threading.active_count(), 0
    with endpoint(registry) as port:
        for number in range(400):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(get())
                if number % 4 == 0:
                    time.sleep(0.002)
            most = max(most, threading.active_count() - before)
        answered = talk(port, get())[0]
        rendered = Slow.count
        for _ in range(40):
            answered += talk(port, get())[0]

    assert most <= _scrapes.MOST_CLIENTS + 1
    assert rendered < 100  # of those who left
    assert answered == "200 OK" * 41
    assert Slow.count - rendered < 40  # ten seconds of the share at once, and then no more than it


def test_a_thread_that_cannot_be_started_ends_nothing(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failed = threading.Thread.start, 0

    def start(thread: threading.Thread) -> None:
        nonlocal failed
        if thread.name != "metrics" and not failed:
            failed += 1
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with endpoint(registry) as port:
        with pytest.raises((IndexError, ConnectionError)):
            talk(port, get())
        status, _, _ = talk(port, get())

    assert (failed, status) == (1, "200 OK")


class Files:
    """Files as workers make them, of processes that run or have ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values = _scrapes.WorkerFiles(folder)

    def write(self, pid: int, kind: str, name: str, count: float, **labels: str) -> Path:
        path = self.folder / f"{kind}_{pid}.db"
        file = MmapedDict(str(path))  # type: ignore[no-untyped-call]  # has no types
        family = name.removesuffix("_total").removesuffix("_bucket").removesuffix("_sum")
        key = mmap_key(family, name, [*labels], [*labels.values()], "help")
        file.write_value(key, count, 0.0)  # type: ignore[no-untyped-call]
        file.close()  # type: ignore[no-untyped-call]
        return path

    def read(self) -> dict[tuple[str, str], float]:
        """Return the samples by name and one label."""
        return {
            (sample.name, next(iter(sample.labels.values()), "")): sample.value
            for family in self.values.collect()
            for sample in family.samples
        }


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_dead_worker_counted_stays_and_its_gauges_go(files: Files, ended: int) -> None:
    for pid in (os.getpid(), ended):
        files.write(pid, "counter", "a_total", 2, b="c")
        files.write(pid, "histogram", "h_bucket", 1, le="0.1")
        files.write(pid, "histogram", "h_bucket", 3, le="+Inf")
        files.write(pid, "histogram", "h_sum", 1.5)
        files.write(pid, "gauge_livesum", "g", 7)

    for _ in range(3):
        read = files.read()
        assert read["a_total", "c"] == 4
        assert (read["h_bucket", "0.1"], read["h_bucket", "+Inf"]) == (2, 8)
        assert (read["h_count", ""], read["h_sum", ""]) == (8, 3)
        assert read["g", ""] == 7
    assert {path.stem.rpartition("_")[2] for path in files.folder.iterdir()} == {str(os.getpid())}


def test_thousands_of_restarts_leave_no_files(files: Files, ended: int) -> None:
    for _ in range(2_000):
        files.write(ended, "counter", "a_total", 1)
        files.write(ended, "gauge_livesum", "g", 1)
        files.values.settle()

    assert [*files.folder.iterdir()] == []
    assert files.read()["a_total", ""] == 2_000


def test_a_port_that_another_process_keeps_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_scrapes, "TOLD_AFTER", 0.0)
    monkeypatch.setattr(_scrapes, "RETRY", 0.01)
    registry = CollectorRegistry()
    with listen("127.0.0.1", 0) as taken:
        address = taken.getsockname()
        with (
            _scrapes.Endpoint(registry, address),
            _scrapes.Endpoint(registry, address, is_told=True),
        ):
            end = time.monotonic() + 30
            while not caplog.messages and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.1)

    assert caplog.messages == [
        f"No metrics of process {os.getpid()} yet, METRICS_PORT: Port {address[1]} is in use. Where "
        "services have it in common, set another one in the .env of each"
    ]


def test_the_folder_of_a_parent_that_was_killed_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    killed, others = tmp_path / "quart-fleet-metrics-a", tmp_path / "others"
    for each in (killed, others):
        each.mkdir()
        (each / "counter_1.db").touch()
    app = SimpleNamespace(
        config={"SERVICE_NAME": "a", "SERVICE_VERSION": "1", "HOST": "127.0.0.1", "METRICS_PORT": 1}
    )

    with _scrapes.collecting(cast("Any", app), listen("127.0.0.1", 0)):
        first = os.environ[_scrapes.FOLDER]
        with _scrapes.collecting(cast("Any", app), listen("127.0.0.1", 0)):
            second = os.environ[_scrapes.FOLDER]
            present = {str(each) for each in tmp_path.iterdir()}
        os.environ[_scrapes.FOLDER] = first

    assert present == {str(others), first, second}
    assert [*tmp_path.iterdir()] == [others]
    assert _scrapes.FOLDER not in os.environ


@pytest.mark.parametrize("is_dead", [True, False])
@pytest.mark.parametrize("size", [0, 2, 4, 7, 20, 60, 4096])
def test_a_file_that_is_half_written_breaks_nothing(
    files: Files, ended: int, size: int, *, is_dead: bool
) -> None:
    files.write(os.getpid(), "histogram", "h_sum", 1)
    whole = files.write(ended if is_dead else os.getpid(), "counter", "a_total", 1, b="c" * 90)
    whole.write_bytes(whole.read_bytes()[:size])
    (files.folder / "counter_1x.db").write_bytes(b"\xff" * 100)
    (files.folder / f"gauge_{os.getpid()}.db").write_bytes(os.urandom(4096))

    assert files.read()["h_sum", ""] == 1
