"""Rows that a service begins with in development; `python -m db_manager seed` stores them.

    SEEDS = Seeds()

    @SEEDS.of("order", OrderRepository, refers_to=("user",))
    def orders(users: Ids) -> list[OrderEntity]:
        return [OrderEntity(code="A-1", buyer_id=users[0])]

A row that has a unique value of one that is stored already is that one, and nothing of it is
changed. Of a resource in which nothing is unique, rows are stored where it has none.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeVar

from quart_fleet.database import SQLAlchemyRepository, Transaction

Ids = Sequence[int]
"""Of the rows of a resource, in the order of its seeds."""
MakeT = TypeVar("MakeT", bound=Callable[..., Iterable[Any] | Awaitable[Iterable[Any]]])


@dataclass(frozen=True, slots=True)
class Stored:
    """The rows of a resource, once they are stored."""

    ids: Ids
    added: int
    """How many were not there before."""


@dataclass(frozen=True, slots=True)
class Seed:
    """The rows of one resource."""

    resource: str
    repository: type[SQLAlchemyRepository[Any, Any]]
    refers_to: tuple[str, ...]
    """Resources, of other services too, the rows of which are stored before."""
    make: Callable[..., Iterable[Any] | Awaitable[Iterable[Any]]]
    """Takes the ids of each of them, in this order, and returns entities."""

    async def store(self, transaction: Transaction, ids: Iterable[Ids]) -> Stored:
        """Store what is missing; raises what the repository refuses, and what `make` raises."""
        made = self.make(*ids)
        entities = [*(await made if isawaitable(made) else made)]
        repository = self.repository(transaction)
        present = await repository.list_page(0, max(1, len(entities)))
        found, added = list[int](), 0
        for number, entity in enumerate(entities):
            keys = repository.unique_values(entity)
            known = await repository.find_any(keys)
            if known is None and present and not keys:
                known = present[number % len(present)].id
            if known is None:
                known, added = (await repository.add(entity)).id, added + 1
            found.append(known)
        return Stored(found, added)


class Seeds:
    """The rows of a service, by resource; its module seeds.py has one, called SEEDS."""

    def __init__(self) -> None:
        self.all: list[Seed] = []

    def of(
        self,
        resource: str,
        repository: type[SQLAlchemyRepository[Any, Any]],
        *,
        refers_to: tuple[str, ...] = (),
    ) -> Callable[[MakeT], MakeT]:
        """Take a function, which may be a coroutine, for what makes the rows of a resource.

        Args:
            resource: its name in fleet.toml, which no other resource has.
            repository: stores them.
            refers_to: resources that come before; the function gets the ids of each.
        """

        def register(make: MakeT) -> MakeT:
            self.all.append(Seed(resource, repository, refers_to, make))
            return make

        return register
