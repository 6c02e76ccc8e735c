"""The load generators: wrk, and the one that stands in for it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.client import generate
from benchmarks.load import ask_with_wrk
from benchmarks.scenarios import CREATE, GET, HEALTH, LIST, Scenario


@asynccontextmanager
async def answering(status: str, seen: list[bytes]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            while (line := await reader.readline()) != b"\r\n":
                if line.startswith(b"Content-Length"):
                    length = int(line.split()[1])
            seen.append(head if head.startswith(b"GET") else await reader.readexactly(length))
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n".encode())
            await asyncio.sleep(0)
            writer.write(b"{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_every_answer_is_counted() -> None:
    seen: list[bytes] = []

    async with answering("200 OK", seen) as port:
        found = await generate(port, HEALTH.requests(""), 0.1, 3)

    assert len(seen) - 3 <= found["requests"] <= len(seen)
    assert found["failed"] == 0
    assert 0 < found["p50"] <= found["p99"]


async def test_refusals_are_failures() -> None:
    async with answering("500 Internal Server Error", []) as port:
        found = await generate(port, HEALTH.requests(""), 0.1, 1)

    assert found["failed"] == found["requests"] > 0


async def test_no_user_is_created_twice() -> None:
    seen: list[bytes] = []

    async with answering("201 Created", seen) as port:
        await generate(port, CREATE.requests("created"), 0.1, 3)

    assert len(set(seen)) == len(seen) > 3


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
@pytest.mark.parametrize("scenario", [GET, LIST, CREATE], ids=lambda each: each.name)
async def test_wrk_asks_for_something_else_each_time_and_for_the_same_with_a_seed(
    scenario: Scenario,
) -> None:
    first, second, other = [await asked_by_wrk(scenario, seed) for seed in (1, 1, 2)]

    assert len(set(first)) > 40
    if not scenario.creates:
        assert first == second != other


async def asked_by_wrk(scenario: Scenario, seed: int) -> list[bytes]:
    seen: list[bytes] = []
    async with answering("200 OK", seen) as port:
        await asyncio.to_thread(ask_with_wrk, port, scenario, 1, 1, seed)
    return seen[:50]
