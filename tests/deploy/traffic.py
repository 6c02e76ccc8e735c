"""Clients of a fleet: every request on a connection of its own, which the balancer may lead anywhere."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from tests.contract.row import JSON, PREFIX
from tests.contract.wire import exchange, spell

LOST = "lost"
"""What a client writes down that got no answer, or not all of one."""

_INTERVAL = 0.05
_WRITES = 5
"""One request in this many writes; odd, so that two pods get as many."""

Seen = Counter[int | str]


@asynccontextmanager
async def traffic(port: int) -> AsyncIterator[Seen]:
    """Ask at a steady pace for the length of the block; counts what came back, by status."""
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
