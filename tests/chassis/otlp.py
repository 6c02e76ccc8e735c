"""A collector of ours, which receives OTLP over HTTP and keeps the spans."""

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.chassis.serving import TIMEOUT

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}


@dataclass(frozen=True, slots=True)
class Span:
    """One that has come, with its ids in hexadecimal digits."""

    service: str
    instance: str
    name: str
    kind: str
    trace_id: str
    id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, Any]
    is_error: bool
    events: list[tuple[str, dict[str, Any]]]


class Collector:
    """Takes spans, or does not, as `answer` says."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.headers: list[dict[str, str]] = []
        self.answer = "200"
        """A status, `stall` or `rubbish`."""
        self.asked = Event()
        self.ended = Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, count: int, **wanted: object) -> list[Span]:
        """Return at least so many spans with these fields, in the order of their starts."""
        deadline = time.monotonic() + TIMEOUT
        while len(found := self.find(**wanted)) < count:
            assert time.monotonic() < deadline, [(each.service, each.name) for each in self.spans]
            time.sleep(0.02)
        return found

    def find(self, **wanted: object) -> list[Span]:
        found = [
            each
            for each in self.spans
            if all(getattr(each, name) == value for name, value in wanted.items())
        ]
        return sorted(found, key=lambda each: each.start)

    def take(self, body: bytes) -> None:
        self.raw += body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            of_process = _read(group.resource.attributes)
            self.spans += [
                Span(
                    of_process["service.name"],
                    of_process["service.instance.id"],
                    span.name,
                    KINDS[span.kind],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _read(span.attributes),
                    span.status.code == 2,
                    [(each.name, _read(each.attributes)) for each in span.events],
                )
                for scope in group.scope_spans
                for span in scope.spans
            ]


def _read(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.asked.set()
            if collector.answer == "stall":
                collector.ended.wait()
                self.close_connection = True
                return
            if collector.answer == "rubbish":
                self.wfile.write(b"\x00\x1b[2J no HTTP at all\r\n\r\n")
                self.close_connection = True
                return
            if collector.answer == "200":
                collector.take(body)
            self.send_response(int(collector.answer), "as told \x1b[2J")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.port = int(server.server_address[1])
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            collector.ended.set()
            server.shutdown()
            thread.join()
