"""What a table's size costs: one row and pages of it at any depth, and the whole of it."""

import asyncio
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.competitors import OURS
from benchmarks.load import Measurement, measure
from benchmarks.processes import Server
from benchmarks.scenarios import PAGE, PAGES, USERS, Scenario, insertion
from benchmarks.wire import encode
from benchmarks.workspace import Workspace, execute, opened_workspace

SIZES = (10_000, 100_000, 1_000_000)
WHOLE = 100_000
SECONDS = 2


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole list, read by one client."""

    first_byte_ms: float
    total_s: float
    bytes: int
    memory_mib: float
    """At most, above what the idle worker held."""


def show(rounds: int) -> None:
    """Measure in turn, print and keep."""
    with opened_workspace() as workspace, ExitStack() as servers:
        filled = {size: _filled(workspace, size) for size in SIZES}
        wholes = _read_wholes(filled[WHOLE], rounds)
        running = {size: servers.enter_context(OURS.running(each)) for size, each in filled.items()}
        found = _measure(running, rounds)
    print(report.table(["", *(f"{size:,} rows" for size in SIZES)], _rows(found)))
    print()
    print(report.table(["whole list", "found", "goal"], _whole_rows(wholes)))
    kept = {
        "cpu_us": {
            f"{name}, {size}": [each.cpu for each in measured]
            for (name, size), measured in found.items()
        },
        "throughput": {
            f"{name}, {size}": [each.throughput for each in measured]
            for (name, size), measured in found.items()
        },
        "whole": [asdict(each) for each in wholes],
    }
    report.save("growth", report.surroundings() | {"rows_of_whole": WHOLE, "found": kept})


def _filled(workspace: Workspace, size: int) -> Workspace:
    print(f"filling a table with {size:,} rows", file=sys.stderr)
    filled = workspace.create_database(f"rows_{size}")
    asyncio.run(execute(filled.database_url, insertion(size), "VACUUM ANALYZE users"))
    return filled


def _scenarios(size: int) -> list[Scenario]:
    return [
        Scenario("get", "get", f"{USERS}/%d", drawn=(1, size)),
        Scenario("first page", "first page", f"{PAGES}0"),
        Scenario("page at random", "page at random", f"{PAGES}%d", drawn=(0, size - PAGE)),
        Scenario("last page", "last page", f"{PAGES}{size - PAGE}"),
    ]


def _measure(running: dict[int, Server], rounds: int) -> dict[tuple[str, int], list[Measurement]]:
    found: dict[tuple[str, int], list[Measurement]] = {}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr)
        for scenarios in zip(*map(_scenarios, SIZES), strict=True):
            for size, scenario in zip(SIZES, scenarios, strict=True):
                measured = measure(running[size], scenario, SECONDS, connections=8)
                if number:  # the first round warms up
                    found.setdefault((scenario.name, size), []).append(measured)
    return found


def _rows(found: dict[tuple[str, int], list[Measurement]]) -> list[list[str]]:
    names = dict.fromkeys(name for name, _ in found)
    rows = []
    for name in names:
        cpu = [median(each.cpu for each in found[name, size]) for size in SIZES]
        rate = [median(each.throughput for each in found[name, size]) for size in SIZES]
        rows.append([f"{name}: CPU µs", *(f"{each:.0f} ({each / cpu[0]:.2f})" for each in cpu)])
        rows.append(
            [f"{name}: requests/s", *(f"{each:,.0f} ({each / rate[0]:.2f})" for each in rate)]
        )
    return rows


def _whole_rows(wholes: list[Whole]) -> list[list[str]]:
    return [
        ["first byte", f"{median(each.first_byte_ms for each in wholes):.0f} ms", "100 ms"],
        ["memory above idle", f"{max(each.memory_mib for each in wholes):.0f} MiB", "60 MiB"],
        ["all of it", f"{median(each.total_s for each in wholes):.2f} s", ""],
    ]


def _read_wholes(workspace: Workspace, times: int) -> list[Whole]:
    """Have a fresh worker read the list, again and again."""
    with OURS.running(workspace) as server:
        idle = server.memory()
        return [_read_whole(server, idle) for _ in range(times)]


def _read_whole(server: Server, idle: float) -> Whole:
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak counts from now on
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(encode("GET", USERS))
        size = len(connection.recv(65536))
        first = time.perf_counter() - started
        tail = b""
        while not tail.endswith(b"0\r\n\r\n"):
            part = connection.recv(1 << 20)
            size += len(part)
            tail = (tail + part)[-5:]
    total = time.perf_counter() - started
    peak = server.memory("VmHWM")
    return Whole(round(first * 1000, 1), round(total, 3), size, round(peak - idle, 1))
