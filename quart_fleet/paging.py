"""Long lists in parts: each part begins after the last id of the one before."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

CHUNK = 500
"""Rows that are read, written and released together."""


class Numbered(Protocol):
    """An object that is ordered by its id."""

    @property
    def id(self) -> int:
        """Its place in the order."""
        ...


NumberedT = TypeVar("NumberedT", bound=Numbered)

ReadPage = Callable[[int, int], Awaitable[list[NumberedT]]]
"""Reads what follows an id, at most so many, in the order of ids."""


class Chunks(AsyncIterator[list[NumberedT]]):
    """Everything in chunks, at least one; nothing is held between two of them.

    No generator: one that is left before its end, as a short list's would be, costs a task.
    """

    def __init__(self, read: ReadPage[NumberedT]) -> None:
        self._read = read
        self._after: int | None = 0

    async def __anext__(self) -> list[NumberedT]:
        if self._after is None:
            raise StopAsyncIteration
        chunk = await self._read(self._after, CHUNK)
        self._after = chunk[-1].id if len(chunk) == CHUNK else None
        return chunk
