"""One business transaction: what its repositories share, and how it ends."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

from quart_fleet.database._engine import Database
from quart_fleet.database._transaction import Transaction

KeptT = TypeVar("KeptT")


class SQLAlchemyUnitOfWork(ABC):
    """The base of a service's units of work; a derived class opens its repositories.

    Entered once, as `async with`. Leaving without `commit`, or by an exception, rolls back.
    """

    def __init__(self, database: Database) -> None:
        self._transaction = Transaction(database)

    async def __aenter__(self) -> Self:
        self._open_repositories(self._transaction)
        await self._transaction.open()  # the last thing that can fail: only then is it closed
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transaction.close()

    async def commit(self) -> None:
        """Keep what was written; raises DatabaseUnavailableError."""
        await self._transaction.commit()

    async def commit_with(self, write: Awaitable[KeptT]) -> KeptT:
        """Do the last write, and keep it with everything before it.

        One round trip where there is nothing before it. Raises DatabaseUnavailableError.
        """
        return await self._transaction.commit_with(write)

    @abstractmethod
    def _open_repositories(self, transaction: Transaction) -> None:
        """Make the repositories, all of them on this transaction."""
