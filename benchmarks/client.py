"""A load generator of our own, for machines without wrk: plain sockets, nothing parsed twice."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count, repeat

from benchmarks.scenarios import Scenario, new_user
from benchmarks.wire import spell


class _Asker(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it was answered."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self._requests = requests
        self._buffer = b""
        self._asking = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        self.latencies.append(time.perf_counter() - self._asked)
        self.failed += head[9:10] != b"2"
        self._buffer = b""
        if self._asking:
            self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        self.failed += self._asking

    def stop(self) -> None:
        self._asking = False
        self._transport.close()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(next(self._requests))


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"content-length:")
    if start < 0:
        raise ValueError("the load generator needs a Content-Length")
    return int(lowered[start + 15 :].partition(b"\r\n")[0])


async def drive(
    port: int, scenario: Scenario, seconds: float, connections: int, prefix: str
) -> dict[str, float]:
    """Ask for some seconds over so many connections; times are in milliseconds."""
    requests = _requests(scenario, prefix)
    loop = asyncio.get_running_loop()
    askers = [
        (await loop.create_connection(lambda: _Asker(requests), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    for asker in askers:
        asker.stop()
    latencies = sorted(each for asker in askers for each in asker.latencies)
    return {
        "requests": len(latencies),
        "seconds": elapsed,
        "failed": sum(asker.failed for asker in askers),
        "p50": _percentile(latencies, 0.5),
        "p99": _percentile(latencies, 0.99),
    }


def _requests(scenario: Scenario, prefix: str) -> Iterator[bytes]:
    if scenario.creates:
        return (spell("POST", scenario.path, new_user(f"{prefix}{n}")) for n in count())
    return repeat(spell("GET", scenario.path))


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[int(part * (len(ordered) - 1))] * 1000 if ordered else 0.0
