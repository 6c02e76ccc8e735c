"""Clients of a fleet, which count their answers: some connect anew each time, others stay."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from itertools import count

from quart_fleet.conventions import PREFIX
from scaffold.api.row import JSON
from tests.contract.wire import Answer, exchange, spell

LOST = "lost"
"""What a client writes down that got no answer, or not all of one."""

TOLD = "told to close"
"""What a client writes down that keeps its connection, and may not any more."""

CLIENTS = 16
"""How many keep their connections."""

_INTERVAL = 0.05
_KEPT = spell("GET", f"{PREFIX}/health", {"Connection": "keep-alive"})
_WRITES = 5
"""One request in this many writes; odd, so that two pods get as many."""

Seen = Counter[int | str]


@asynccontextmanager
async def traffic(port: int) -> AsyncIterator[Seen]:
    """Ask at a steady pace, on a connection each, for the length of the block."""
    seen: Seen = Counter()

    async def ask(request: bytes) -> None:
        try:
            seen[(await exchange(port, request)).status] += 1
        except (OSError, ValueError, IndexError):
            seen[LOST] += 1

    async def begin(requests: asyncio.TaskGroup) -> None:
        for number in count():
            requests.create_task(ask(_request(number)))
            await asyncio.sleep(_INTERVAL)

    async with asyncio.TaskGroup() as requests:
        beginning = asyncio.create_task(begin(requests))
        yield seen
        beginning.cancel()


def _request(number: int) -> bytes:
    if number % _WRITES:
        return spell("GET", f"{PREFIX}/users/active")
    user = {"username": f"user-{number}", "email": f"user-{number}@example.com"}
    return spell("POST", f"{PREFIX}/users", JSON, json.dumps(user).encode())


@asynccontextmanager
async def loyal_traffic(port: int) -> AsyncIterator[Seen]:
    """Ask on connections that are kept for as long as they may be, for the length of the block."""
    seen: Seen = Counter()
    leaving = asyncio.Event()

    async def stay() -> None:
        while not leaving.is_set():
            with suppress(OSError):
                await _ask_until_told(port, seen, leaving)

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(stay())
        yield seen
        leaving.set()


async def _ask_until_told(port: int, seen: Seen, leaving: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        while not (leaving.is_set() or reader.at_eof()):
            writer.write(_KEPT)
            try:
                answer = await _read(reader)
            except (OSError, EOFError):
                seen[LOST] += 1
                return
            seen[answer.status] += 1
            if answer.find("Connection") == "close":
                seen[TOLD] += 1
                return
            await asyncio.sleep(_INTERVAL)


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(Answer.read(head).find("Content-Length") or 0)
    return Answer.read(head + await reader.readexactly(length))
