"""Long lists in parts: each part begins after the last id of the one before."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

CHUNK = 500
"""Rows that are read, written and forgotten together."""


class Numbered(Protocol):
    """Something that is ordered by its id."""

    @property
    def id(self) -> int:
        """Its place in the order."""
        ...


NumberedT = TypeVar("NumberedT", bound=Numbered)

ReadPage = Callable[[int, int], Awaitable[list[NumberedT]]]
"""Reads what follows an id, at most so many, in the order of ids."""


async def in_chunks(read: ReadPage[NumberedT]) -> AsyncIterator[list[NumberedT]]:
    """Yield everything in chunks, at least one; nothing is held between two of them."""
    after = 0
    while True:
        chunk = await read(after, CHUNK)
        yield chunk
        if len(chunk) < CHUNK:
            return
        after = chunk[-1].id
