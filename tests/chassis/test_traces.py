"""Spans as a collector receives them, from services that run as processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from quart_fleet import observation
from quart_fleet.testing import NewDatabase
from tests.chassis.serving import TIMEOUT
from tests.ports import reserve_port
from tests.requirement import require_module

require_module("opentelemetry")

from opentelemetry.sdk.trace import TracerProvider  # noqa: E402 - of the extra
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: E402
    InMemorySpanExporter,
)

from quart_fleet.telemetry._traces import Traces  # noqa: E402
from tests.chassis.otlp import Collector, Span, collecting  # noqa: E402 - of the extra
from tests.observing import observed_request  # noqa: E402 - likewise

ROOT = Path(__file__).parents[2]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True, slots=True)
class Running:
    client: httpx.Client
    process: subprocess.Popen[str]

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def end(self) -> str:
        """Have it end, and return what it has said."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=TIMEOUT)
        assert self.process.returncode == 0, said
        return said


def run_to_end(
    folder: Path, database_url: str, *options: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the service where it cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "tests.chassis.traced", *options],
        cwd=ROOT, env=environment_of(folder, database_url, settings), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip


def environment_of(folder: Path, database_url: str, settings: dict[str, str]) -> dict[str, str]:
    """Return what the service of `traced.py` sees; spans are sent soon, unless a setting says else."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return own | {
        "TRACED_FOLDER": str(folder),
        "SECRET_KEY": "a secret of the tests",
        "SERVICE_NAME": "things",
        "DATABASE_URL": database_url,
        "SERVICE_PORT": str(reserve_port()),
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "NO_PROXY": "127.0.0.1",
        **settings,
    }


@contextmanager
def running(folder: Path, database_url: str, *options: str, **settings: str) -> Iterator[Running]:
    """Run the service of `traced.py`."""
    environment = environment_of(folder, database_url, settings)
    address = f"http://127.0.0.1:{environment['SERVICE_PORT']}/api/v1"
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.chassis.traced", *options],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        ) as process,
        httpx.Client(base_url=address, timeout=TIMEOUT) as client,
    ):  # fmt: skip
        try:
            deadline = time.monotonic() + TIMEOUT
            while True:
                assert process.poll() is None, process.communicate()
                try:
                    client.get("/health")
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield Running(client, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(new_database: NewDatabase) -> AsyncIterator[str]:
    async with new_database() as created:
        yield created


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as opened:
        yield opened


@pytest.fixture(scope="module")
def service(
    url: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("traced")
    with running(folder, url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as started:
        yield started


def spans_of(collector: Collector, trace_id: str, count: int) -> list[Span]:
    """Return all of a trace, when so many have come; one more fails."""
    collector.wait_for(count, trace_id=trace_id)
    collector.wait_for(1, trace_id=trace_id, kind="SERVER")  # which ends last, and is sent last
    found = collector.find(trace_id=trace_id)
    assert len(found) == count, [(each.name, each.attributes) for each in found]
    return found


def traced(number: int) -> tuple[str, dict[str, str]]:
    """Return a trace's id, and the headers of its caller."""
    trace_id = f"{number:032x}"
    return trace_id, {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}


def test_a_request_and_its_statements_are_spans(service: Running, collector: Collector) -> None:
    trace_id, headers = traced(1)
    answer = service.client.get(
        "/things/17?secret=of-the-query", headers={**headers, "User-Agent": "tests/1"}
    )

    served, begun, read, _ = spans_of(collector, trace_id, 4)
    host, port = service.client.base_url.host, service.client.base_url.port
    assert (served.name, served.kind) == ("GET /api/v1/things/<id:thing_id>", "SERVER")
    assert served.parent == "b7ad6b7169203331"
    assert served.attributes == {
        "http.request.method": "GET",
        "http.route": "/api/v1/things/<id:thing_id>",
        "http.response.status_code": 200,
        "url.path": "/api/v1/things/17",
        "url.scheme": "http",
        "server.address": host,
        "server.port": port,
        "client.address": "127.0.0.1",
        "user_agent.original": "tests/1",
        "network.protocol.version": "1.1",
    }
    assert (served.is_error, served.service) == (False, "things")
    assert [each.parent for each in (begun, read)] == [served.id] * 2
    assert (read.name, read.kind) == ("SELECT pg_class", "CLIENT")
    assert read.attributes.pop("db.namespace").startswith("test_")
    assert read.attributes.pop("server.address")
    read.attributes.pop("server.port", None)
    assert read.attributes == {
        "db.system.name": "postgresql",
        "db.query.text": "SELECT relname FROM pg_class WHERE oid = CAST($1 AS bigint)",
        "db.query.summary": "SELECT pg_class",
    }
    assert served.start <= begun.start <= begun.end <= read.start <= read.end <= served.end
    assert answer.json()["trace"] == [trace_id, served.id]


def test_each_statement_of_a_transaction_is_one(service: Running, collector: Collector) -> None:
    trace_id, headers = traced(2)
    service.client.post("/things", headers=headers)

    names = [each.name for each in spans_of(collector, trace_id, 5)]

    assert names[0] == "POST /api/v1/things"
    assert names[1:] == ["BEGIN", "CREATE", "INSERT kept", "COMMIT"]


def test_an_owners_spans_are_below_the_request_and_statements_below_them(
    service: Running, collector: Collector
) -> None:
    trace_id, headers = traced(3)
    service.get("/own", **headers)

    spans = spans_of(collector, trace_id, 8)

    served, own = spans[:2]
    assert (own.name, own.parent) == ("reckon", served.id)
    assert {each.parent for each in spans[2:]} == {own.id}
    assert {"SELECT pg_class", "SELECT pg_type"} <= {each.name for each in spans[2:]}


def test_work_in_the_background_is_of_the_trace_that_began_it(
    service: Running, collector: Collector
) -> None:
    trace_id, headers = traced(4)
    service.get("/later", **headers)

    served, *rest = spans_of(collector, trace_id, 4)

    assert {each.parent for each in rest} == {served.id}
    assert rest[1].name == "SELECT pg_proc"
    assert rest[1].start > served.end


def test_what_a_service_does_at_its_start_is_a_trace_of_its_own(
    service: Running, collector: Collector
) -> None:
    span = collector.wait_for(1, name="SELECT pg_am")[0]

    assert span.parent == ""


def test_no_value_of_a_statement_leaves_the_process(service: Running, collector: Collector) -> None:
    trace_id, headers = traced(5)
    service.get("/literals", **headers)

    found = spans_of(collector, trace_id, 4)[2]

    assert found.attributes["db.query.text"] == (
        'SELECT ?, ?, ?, ?, oid FROM pg_class WHERE "relname" = $1'
    )
    assert b"a-literal" not in collector.raw
    assert b"a-bound-value" not in collector.raw
    assert b"of-the-query" not in collector.raw


def test_a_refused_statement_says_its_sqlstate(service: Running, collector: Collector) -> None:
    trace_id, headers = traced(6)
    answer = service.get("/refused", **headers)

    served, *_, kept, refused, _ = spans_of(collector, trace_id, 6)

    assert (answer.status_code, served.is_error, served.events) == (400, False, [])
    assert (kept.is_error, refused.is_error) == (False, True)
    assert refused.attributes["db.response.status_code"] == "23505"
    assert refused.attributes["error.type"] == "23505"
    assert refused.events == []
    assert b"a-bound-value" not in collector.raw


def test_an_exception_is_recorded_once_and_without_what_the_driver_says(
    service: Running, collector: Collector
) -> None:
    trace_id, headers = traced(7)
    service.get("/fails", **headers)

    spans = spans_of(collector, trace_id, 4)

    (name, event), *more = [each for span in spans for each in span.events]
    assert (name, more) == ("exception", [])
    assert event["exception.type"] == "RuntimeError"
    assert event["exception.message"] == "the cause is below"
    assert (
        "asyncpg.exceptions.InvalidTextRepresentationError: SQLSTATE 22P02"
        in (event["exception.stacktrace"])
    )
    assert spans[0].is_error
    assert spans[0].attributes["error.type"] == "RuntimeError"
    assert 'RuntimeError("the cause is below") from error' in event["exception.stacktrace"]
    assert b"a-bound-value" not in collector.raw
    assert b"of-a-source-line" not in collector.raw


def test_no_secret_of_an_address_is_sent(service: Running, collector: Collector) -> None:
    trace_id, headers = traced(11)
    agent = "a/1 (https://user:hunter2@a.example)"
    service.get("/nowhere/token=hunter2", **headers, **{"user-agent": agent})

    (span,) = spans_of(collector, trace_id, 1)

    assert span.attributes["url.path"] == "/api/v1/nowhere/token=***"
    assert span.attributes["user_agent.original"] == "a/1 (https://user:***@a.example)"
    assert b"hunter2" not in collector.raw


@pytest.mark.parametrize(
    ("number", "path", "route"),
    [
        (404, "/status/404", "/api/v1/status/<int:status>"),
        (503, "/status/503", "/api/v1/status/<int:status>"),
        (404, "/nowhere/4711", None),
    ],
)
def test_only_what_a_service_fails_in_is_an_error(
    service: Running, collector: Collector, number: int, path: str, route: str | None
) -> None:
    trace_id, headers = traced(number + 1000 * len(path))
    service.get(path, **headers)

    (span,) = spans_of(collector, trace_id, 1)

    assert span.name == (f"GET {route}" if route else "GET")
    assert span.attributes.get("http.route") == route
    assert span.is_error is (number == 503)
    assert span.attributes.get("error.type") == ("503" if number == 503 else None)


def test_an_unknown_method_is_called_http(service: Running, collector: Collector) -> None:
    trace_id, headers = traced(8)
    service.client.request("PROPFIND", "/own", headers=headers)

    (span,) = spans_of(collector, trace_id, 1)

    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PROPFIND"


@pytest.mark.parametrize(
    "sent",
    [
        "", "00", "ff-" + PARENT[3:], PARENT[:-3], PARENT.replace("0af7", "0AFG"),
        f"00-{'0' * 32}-b7ad6b7169203331-01", PARENT + "-00", "a" * 5000,
    ],
)  # fmt: skip
def test_a_caller_that_is_malformed_is_none(
    service: Running, collector: Collector, sent: str
) -> None:
    answer = service.get("/things/1", traceparent=sent)
    trace_id, span_id = answer.json()["trace"]

    served = spans_of(collector, trace_id, 4)[0]

    assert (served.parent, served.id) == ("", span_id)
    assert trace_id != PARENT[3:35]


def test_a_trace_that_its_caller_does_not_sample_is_not_sent(
    service: Running, collector: Collector
) -> None:
    trace_id, headers = traced(9)
    answer = service.get("/things/1", traceparent=headers["traceparent"][:-1] + "0")
    later, headers = traced(10)
    service.get("/things/1", **headers)

    spans_of(collector, later, 4)

    assert answer.json()["trace"][0] == trace_id
    assert not collector.find(trace_id=trace_id)


def test_names_are_those_of_the_semantic_conventions(
    service: Running, collector: Collector
) -> None:
    known: set[Any] = set()
    for package in ("attributes", "_incubating.attributes"):
        module = import_module(f"opentelemetry.semconv.{package}")
        for path in Path(str(module.__file__)).parent.glob("*_attributes.py"):
            names = vars(import_module(f"{module.__name__}.{path.stem}")).values()
            known |= {value for value in names if isinstance(value, str)}
    service.get("/own")
    collector.wait_for(1, name="reckon")

    used = {name for span in collector.spans for name in span.attributes}

    assert used <= known


@pytest.mark.slow
def test_a_ratio_is_kept_and_what_is_below_follows(
    url: str, collector: Collector, tmp_path: Path
) -> None:
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    trace_id, headers = traced(20)
    with running(tmp_path, url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **sampler) as service:
        unsampled = service.get("/things/1").json()["trace"]
        service.get("/things/1", **headers)
        service.end()

    assert len(unsampled) == 2  # the log has its ids all the same
    assert not collector.find(trace_id=unsampled[0])
    assert len(collector.find(trace_id=trace_id)) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"OTEL_SERVICE_NAME": "things", "OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
)
def test_nothing_is_imported_where_traces_are_off(
    url: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    with running(tmp_path, url, **settings) as service:
        imported = service.get("/imported").json()["imported"]
        assert service.get("/things/1").json()["trace"] is None
        given = service.get("/things/1", traceparent=PARENT).json()["trace"]

    assert "quart_fleet.telemetry._switch" in imported
    assert not [name for name in imported if name.startswith(("opentelemetry", "google"))]
    assert given == [PARENT[3:35], None]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["dotenv", "secrets"])
def test_the_variables_are_read_like_all_settings(
    url: str, collector: Collector, tmp_path: Path, place: str
) -> None:
    collector.headers.clear()
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=of-the-collector",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_RESOURCE_ATTRIBUTES": f"service.name=by-{place},deployment.environment.name=test",
    }
    if place == "dotenv":
        lines = [f"{name}={value}" for name, value in variables.items()]
        (tmp_path / ".env").write_text("\n".join(lines))
    else:
        for name, value in variables.items():
            (tmp_path / name).write_text(f"{value}\n")

    with running(tmp_path, url, SECRETS_DIR=str(tmp_path)) as service:
        service.get("/things/1")
        service.end()

    assert collector.find(service=f"by-{place}", kind="SERVER")
    assert collector.headers[-1]["api-key"] == "of-the-collector"
    assert collector.headers[-1]["content-encoding"] == "gzip"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_TRACES_EXPORTER=otlp: the protocol grpc is not installed: write "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, which the extra quart-fleet[tracing] has, "
            "or install opentelemetry-exporter-otlp-proto-grpc",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER=zipkin: no package that is installed has it; "
            "otlp, console and none are known",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "1"},
            "OpenTelemetry cannot start: max_export_batch_size must be less than or equal to "
            "max_queue_size.",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "TRACED_WITHOUT": "opentelemetry.sdk"},
            "Traces are asked for by OTEL_TRACES_EXPORTER, and need the extra "
            "quart-fleet[tracing]; OTEL_TRACES_EXPORTER=none leaves them out",
        ),
    ],
)
def test_what_cannot_be_had_ends_the_start_with_its_reason(
    url: str, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    for options in ([], ["--server", "hypercorn"], ["--workers", "2"]):
        done = run_to_end(tmp_path, url, *options, **settings)

        assert done.returncode != 0
        assert "Traceback" not in done.stdout
        assert json.loads(done.stdout.splitlines()[-1])["event"] == said


@pytest.mark.slow
def test_spans_are_printed_on_a_console(url: str, tmp_path: Path) -> None:
    with running(tmp_path, url, OTEL_TRACES_EXPORTER="console") as service:
        service.get("/things/1")
        said = service.end()

    assert '"name": "SELECT pg_class"' in said


@pytest.mark.slow
def test_a_provider_of_the_service_is_used_in_place_of_ours(
    url: str, collector: Collector, tmp_path: Path
) -> None:
    settings = {"OTEL_SERVICE_NAME": "of-the-owner", "TRACED_PROVIDER": "1"}
    with running(tmp_path, url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings) as service:
        service.get("/things/1")
        said = service.end()

    assert '"name": "SELECT pg_class"' in said
    assert not collector.find(service="of-the-owner")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["parentbased_traceidratio", "traceidratio"])
def test_the_ids_of_traces_tell_which_of_them_are_sampled(
    url: str, collector: Collector, tmp_path: Path, sampler: str
) -> None:
    settings = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    with running(tmp_path, url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings) as service:
        asked = [service.get("/things/1").json()["trace"] for _ in range(100)]
        service.end()

    assert len({trace_id for trace_id, _ in asked}) == 100
    sampled = [each for each in asked if int(each[0][16:], 16) < 2**62]
    assert sampled
    for trace_id, span_id in asked:
        found = collector.find(trace_id=trace_id)
        assert len(found) == (4 if [trace_id, span_id] in sampled else 0)
        assert not found or (found[0].id, found[0].parent) == (span_id, "")


@pytest.mark.slow
def test_a_line_of_the_log_leads_to_its_span(
    url: str, collector: Collector, tmp_path: Path
) -> None:
    trace_id, headers = traced(21)
    with running(tmp_path, url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as service:
        service.get("/own", **headers)
        service.get("/fails", traceparent=headers["traceparent"][:-1] + "0")
        lines = [json.loads(line) for line in service.end().splitlines() if line.startswith("{")]

    (reckoning,) = [line for line in lines if line["event"] == "reckoning"]
    access, _ = [line for line in lines if line["logger"] == "quart_fleet.access"][-2:]
    (failed,) = [line for line in lines if line["level"] == "error"]
    spans = {span.id: span.name for span in collector.find(trace_id=trace_id)}
    assert spans[reckoning["span_id"]] == "reckon"
    assert spans[access["span_id"]] == "GET /api/v1/own"
    assert {line["trace_id"] for line in (reckoning, access, failed)} == {trace_id}
    outside = [line for line in lines if line["event"] == "begun"]
    assert [line["span_id"] for line in outside] == [collector.find(name="begin")[-1].id]


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["400", "503", "stall", "rubbish", "away"])
def test_a_collector_that_fails_costs_one_warning(url: str, tmp_path: Path, answer: str) -> None:
    with collecting() as failing:
        failing.answer = answer
        endpoint = f"http://127.0.0.1:{reserve_port()}" if answer == "away" else failing.url
        address = f"{endpoint}/v1/traces?key=a-secret-of-ours"
        more = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        with running(tmp_path, url, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=address, **more) as service:
            answers = [service.get("/things/1") for _ in range(100)]
            if answer != "away":
                assert failing.asked.wait(TIMEOUT)
            begun = time.monotonic()
            said = service.end()
            seconds = time.monotonic() - begun

    assert {each.status_code for each in answers} == {200}
    assert max(each.elapsed.total_seconds() for each in answers) < 2
    assert seconds < 5  # of which the flush has 1.5
    told = [line for line in said.splitlines() if "OpenTelemetry" in line]
    assert 1 <= len(told) <= 4, said  # the first of a kind, and their number at the end
    assert "a-secret-of-ours" not in said
    assert "\x1b" not in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--workers", "2"], ["--server", "hypercorn"]])
def test_each_process_sends_its_own_and_the_last_of_them(
    url: str, collector: Collector, tmp_path: Path, options: list[str]
) -> None:
    processes, name = (2 if "--workers" in options else 1), "-".join(options).strip("-")
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_SERVICE_NAME": name}
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    asked = list[dict[str, Any]]()

    def ask(service: Running) -> dict[str, Any]:
        found: dict[str, Any] = service.get("/things/1", Connection="close").json()
        return found

    with running(tmp_path, url, *options, **address, **settings) as service:
        with ThreadPoolExecutor(10) as pool:
            while len({each["process"] for each in asked}) < processes:
                asked += pool.map(lambda _: ask(service), range(20))
        service.end()

    served = [span for span in collector.find(service=name, kind="SERVER") if "things" in span.name]
    assert sorted(span.id for span in served) == sorted(each["trace"][1] for each in asked)
    assert len({span.instance for span in served}) == processes


def test_a_span_ends_when_its_request_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observers are told of it later, with others."""
    monkeypatch.setattr(observation, "spans", [])
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces()
    monkeypatch.setattr(traces, "_start_span", provider.get_tracer("tests").start_span)
    request = observed_request()

    copy_context().run(traces.begin_request, request)
    request.started -= 100
    request.seconds = 1.0
    traces.end_request(request)

    (span,) = exporter.get_finished_spans()
    assert 94 < time.time() - (span.end_time or 0) / 1e9 < 104
