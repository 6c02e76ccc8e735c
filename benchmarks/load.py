"""Load on a server: wrk where it is installed, since it leaves the core to PostgreSQL, else ours."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.client import generate
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Server
from benchmarks.scenarios import Scenario

CONNECTIONS = 32
_SCRIPT = Path(__file__).with_name("load.lua")
_runs = count()


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one server did with one kind of request for a while; times in milliseconds."""

    requests: int
    seconds: float
    failed: int
    p50: float
    p99: float
    cpu_seconds: float

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu(self) -> float:
        """Microseconds that the application's processes computed for one request."""
        return self.cpu_seconds / self.requests * 1e6


def generator() -> str:
    """Name what asks."""
    return "wrk" if shutil.which("wrk") else "benchmarks.client"


def measure(
    server: Server,
    scenario: Scenario,
    seconds: float,
    connections: int = CONNECTIONS,
    seed: int = 0,
) -> Measurement:
    """Ask for some seconds; raises BenchmarkError where a request fails.

    With the same seed the same rows are asked for in the same order.
    """
    before = server.cpu()
    ask = ask_with_wrk if shutil.which("wrk") else _own
    found = ask(server.port, scenario, seconds, connections, seed)
    cpu_seconds = server.cpu() - before
    _await_rest(server)
    if found["failed"] or not found["requests"]:
        raise BenchmarkError(f"{scenario.title}: {found['failed']:.0f} requests failed.")
    return Measurement(
        requests=int(found["requests"]),
        seconds=found["seconds"],
        failed=int(found["failed"]),
        p50=found["p50"],
        p99=found["p99"],
        cpu_seconds=cpu_seconds,
    )


def _await_rest(server: Server) -> None:
    """Wait until the requests that were cut off are done with: they hold the table."""
    deadline = time.monotonic() + 5
    before = -1.0
    while (now := server.cpu()) != before and time.monotonic() < deadline:
        before = now
        time.sleep(0.1)


def _prefix() -> str:
    return f"u{os.getpid()}x{next(_runs)}x"


def _own(
    port: int, scenario: Scenario, seconds: float, connections: int, seed: int
) -> dict[str, float]:
    requests = scenario.requests(_prefix(), seed)
    return asyncio.run(generate(port, requests, seconds, connections))


def ask_with_wrk(
    port: int, scenario: Scenario, seconds: float, connections: int, seed: int
) -> dict[str, float]:
    """Have wrk ask, as `load.lua` says."""
    environment = os.environ | {"BENCH_PATH": scenario.path, "BENCH_SEED": str(seed)}
    if scenario.creates:
        environment["BENCH_PREFIX"] = _prefix()
    if scenario.drawn:
        low, high = map(str, scenario.drawn)
        environment |= {"BENCH_LOW": low, "BENCH_HIGH": high}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s"]
    url = f"http://127.0.0.1:{port}"
    done = subprocess.run(  # noqa: S603 - our own words
        [*command, "-s", str(_SCRIPT), url],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.rpartition("JSON ")[2])
    return found
