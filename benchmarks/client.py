"""A load generator of our own, for machines without wrk: plain sockets, nothing parsed twice."""

import asyncio
import time
from collections.abc import Iterator


class _Connection(asyncio.Protocol):
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


async def generate(
    port: int, requests: Iterator[bytes], seconds: float, connections: int
) -> dict[str, float]:
    """Ask for some seconds over so many connections; times are in milliseconds."""
    loop = asyncio.get_running_loop()
    connections_open = [
        (await loop.create_connection(lambda: _Connection(requests), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    for connection in connections_open:
        connection.stop()
    latencies = sorted(each for connection in connections_open for each in connection.latencies)
    return {
        "requests": len(latencies),
        "seconds": elapsed,
        "failed": sum(connection.failed for connection in connections_open),
        "p50": _percentile(latencies, 0.5),
        "p99": _percentile(latencies, 0.99),
    }


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[int(part * (len(ordered) - 1))] * 1000 if ordered else 0.0
