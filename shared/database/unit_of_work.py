"""One business transaction: the connection that its repositories share, and how it ends."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from shared.database.engine import Database
from shared.database.transaction import Transaction


class SQLAlchemyUnitOfWork(ABC):
    """The base of a service's units of work; a derived class opens its repositories.

    Entered once, as `async with`. Leaving without `commit`, or by an exception, rolls back.
    """

    _transaction: Transaction

    def __init__(self, database: Database) -> None:
        self._database = database
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        connection = await self._resources.enter_async_context(self._database.connect())
        self._transaction = Transaction(connection)
        self._resources.push_async_callback(self._transaction.rollback)
        self._open_repositories(self._transaction)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._resources.__aexit__(kind, error, traceback)

    async def commit(self) -> None:
        """Keep what was written; raises DatabaseUnavailableError."""
        await self._transaction.commit()

    @abstractmethod
    def _open_repositories(self, transaction: Transaction) -> None:
        """Make the repositories, all of them on this transaction."""
