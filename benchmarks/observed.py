"""What it costs to see into a service: each way beside the same service that tells nothing.

All run side by side and are asked in turn, round after round, so that other work on the machine
moves the ratios little. Logs go to a file, metrics are asked for and a follower reads each second,
and spans are sent to a collector that takes them.
"""

import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from benchmarks import callgrind, report
from benchmarks.comparison import fill
from benchmarks.competitors import OURS
from benchmarks.load import Measurement, measure
from benchmarks.machine import Cores, pin
from benchmarks.processes import free_port
from benchmarks.scenarios import GET
from benchmarks.workspace import opened_workspace

SECONDS = 3
_LOGS = {"LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
_UP = {**_LOGS, "DEBUG": "True", "DOCS": "False"}
"""As services run in a fleet that is up, whose lines are shown."""
_FOLLOW = b"GET / HTTP/1.1\r\nHost: live\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to see into a service."""

    title: str
    settings: Mapping[str, str]
    base: str = "nothing"
    """The title of what it is compared with."""
    goal: str = ""


def ways(metrics: int, both: int, collector: int, live: str) -> list[Way]:
    """Return all, the ones that are compared with first.

    Args:
        metrics: a port to tell metrics at.
        both: another one.
        collector: the port that takes spans.
        live: the folder of the sockets of those that can be followed.
    """
    tracing = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    }
    return [
        Way("nothing", {}),
        Way("logs, with DEBUG", _UP),
        Way("logs", _LOGS),
        Way("metrics", {"METRICS_PORT": str(metrics)}),
        Way("logs and metrics", {**_LOGS, "METRICS_PORT": str(both)}, goal="at least 0.88"),
        Way("traces, 1 %", tracing, goal="at least 0.90"),
        Way(
            "followed live, with logs and DEBUG",
            {**_UP, "LIVE_FOLDER": live},
            base="logs, with DEBUG",
            goal="at least 0.98",
        ),
    ]


def show(rounds: int) -> None:
    """Measure in turn, print and keep."""
    cores = Cores.divide()
    pin(0, cores.load)
    with TemporaryDirectory() as live, opened_workspace() as workspace, ExitStack() as stack:
        fill(workspace)
        ports = free_port(), free_port()
        collector = stack.enter_context(collecting())
        all_ways = ways(*ports, collector, live)
        servers = {
            each.title: stack.enter_context(OURS.running(workspace, cores.server, **each.settings))
            for each in all_ways
        }
        for port in ports:
            stack.enter_context(each_second(partial(_scrape, port)))
        stack.enter_context(following(Path(live)))
        found: dict[str, list[Measurement]] = {each.title: [] for each in all_ways}
        for server in servers.values():
            measure(server, GET, 1)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            first = number % len(all_ways)
            for each in [*all_ways[first:], *all_ways[:first]]:
                measured = measure(servers[each.title], GET, SECONDS, seed=number + 1)
                found[each.title].append(measured)
    rows = [_row(each, found) for each in all_ways]
    print(report.table(["get by id", "requests/s", "to its base", "CPU to it", "goal"], rows))
    content = {row[0]: row[1:4] for row in rows}
    report.save("observed", report.surroundings() | {"rounds": rounds, "found": content})


def count() -> None:
    """Count the instructions of a request, one way after another, and print them.

    They hardly swing on a machine with other work. So few requests come in a second that a follower is
    told each in detail, which a saturated service does not do.
    """
    with TemporaryDirectory() as live, opened_workspace() as workspace, collecting() as collector:
        fill(workspace)
        found: dict[str, int] = {}
        rows = []
        for each in ways(free_port(), free_port(), collector, live):
            print(f"counting: {each.title}", file=sys.stderr)
            with callgrind.counting(OURS, workspace, **each.settings) as counter:
                found[each.title] = counter.count(GET)
            to_base = found[each.title] / found[each.base] - 1
            rows.append([each.title, f"{found[each.title]:,}", f"{to_base:+.1%}"])
    print(report.table(["get by id", "instructions", "to its base"], rows))


def _row(way: Way, found: Mapping[str, list[Measurement]]) -> list[str]:
    throughput = median(each.throughput for each in found[way.title])
    return [
        way.title,
        f"{throughput:,.0f}",
        ratio(found[way.title], found[way.base], lambda each: each.throughput),
        ratio(found[way.title], found[way.base], lambda each: each.cpu),
        way.goal,
    ]


def ratio(
    some: list[Measurement], base: list[Measurement], figure: Callable[[Measurement], float]
) -> str:
    """Compare round by round; the least and the most of all rounds in brackets."""
    ratios = [figure(one) / figure(other) for one, other in zip(some, base, strict=True)]
    return f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


@contextmanager
def each_second(do: Callable[[], None]) -> Iterator[None]:
    """Do something each second, in a thread, during a block."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(1):
            do()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _scrape(port: int) -> None:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        answer.read()


@contextmanager
def following(folder: Path) -> Iterator[None]:
    """Read all that the process tells whose socket is in this folder, during a block."""
    [path] = folder.glob("*.sock")
    follower = socket.socket(socket.AF_UNIX)
    follower.connect(str(path))
    with read_through(follower, _FOLLOW):
        yield


@contextmanager
def read_through(follower: socket.socket, asked: bytes) -> Iterator[None]:
    """Ask by a connection, and read in a thread all that is answered during a block."""
    follower.sendall(asked)

    def read() -> None:
        with suppress(OSError):
            while follower.recv(65_536):
                pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        follower.shutdown(socket.SHUT_RDWR)
        thread.join()
        follower.close()


@contextmanager
def collecting() -> Iterator[int]:
    """Take spans at this port during a block."""

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
