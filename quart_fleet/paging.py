"""Parts of lists: long ones in chunks, the page that a query asks for, and those of other services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

CHUNK = 500
"""Rows that are read, written and released together."""


class Numbered(Protocol):
    """An object that is ordered by its id."""

    @property
    def id(self) -> int:
        """Its place in the order."""
        ...


NumberedT = TypeVar("NumberedT", bound=Numbered)
ItemT = TypeVar("ItemT")

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


@dataclass(frozen=True, slots=True)
class Condition:
    """What a listed object has in one field."""

    field: str
    values: tuple[object, ...] = ()
    """It is one of these, of which None is null; without any, it is not asked."""
    least: object = None
    greatest: object = None

    @property
    def is_single(self) -> bool:
        """Whether all objects have the same value in the field."""
        return len(self.values) == 1


@dataclass(frozen=True, slots=True)
class Search:
    """A text that one of some fields holds, whatever the case of its letters."""

    text: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """A field of an order; null comes last, downwards too."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Asks for a page of a list: all conditions hold, and `order` tells any two objects apart."""

    conditions: tuple[Condition, ...] = ()
    order: tuple[SortKey, ...] = (SortKey("id"),)
    is_backward: bool = False
    """Whether the order is that of an index which is read from its end."""
    after: tuple[object, ...] | None = None
    """The values of `varying` in the last object of the page before; None for the first page."""
    limit: int = 20
    search: Search | None = None
    is_counted: bool = False
    """Whether the number of all objects that meet the conditions is asked for too."""

    @property
    def varying(self) -> tuple[SortKey, ...]:
        """The keys of the order in which objects differ."""
        fixed = {each.field for each in self.conditions if each.is_single}
        return tuple(key for key in self.order if key.field not in fixed)


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """What a ListQuery has found."""

    items: list[ItemT]
    after: tuple[object, ...] | None = None
    """Where the next page begins, as ListQuery has it; None after the last one."""
    total: int | None = None
    """Of all pages, where it was asked for."""


@dataclass(frozen=True, slots=True)
class ListPage(Generic[ItemT]):
    """A page of a list that another service keeps."""

    items: list[ItemT]
    after: str | None = None
    """Where the next page begins, as that service says it; None after the last one."""
    total: int | None = None
    """Of all pages, where it was asked for."""


async def every(
    read: Callable[[str | None], Awaitable[ListPage[ItemT]]],
) -> AsyncIterator[ItemT]:
    """Yield what all pages hold, each read when the one before is used up.

        async for product in every(lambda after: products.list_products(after=after)):

    Args:
        read: returns the page that begins there; None is the first one.
    """
    page = await read(None)
    while True:
        for item in page.items:
            yield item
        if page.after is None:
            return
        page = await read(page.after)
