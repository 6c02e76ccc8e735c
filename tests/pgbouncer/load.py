"""Clients that keep reading while others are tested."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quart_fleet.conventions import PREFIX
from tests.contract.wire import exchange, spell

_CLIENTS = 4
_PAUSE = 0.02
_REQUESTS = [spell("GET", f"{PREFIX}{path}") for path in ("/users", "/users/active")]


@asynccontextmanager
async def reading(port: int) -> AsyncIterator[Counter[int]]:
    """Read from a service for the length of the block; counts the answers by their status."""
    seen: Counter[int] = Counter()
    ended = asyncio.Event()

    async def read() -> None:
        while not ended.is_set():
            for request in _REQUESTS:
                seen[(await exchange(port, request)).status] += 1
            await asyncio.sleep(_PAUSE)

    clients = [asyncio.create_task(read()) for _ in range(_CLIENTS)]
    try:
        yield seen
    finally:
        ended.set()
        await asyncio.gather(*clients)
