"""One business transaction: the repositories that share it, and how it ends."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from quart_fleet.database._engine import Database
from quart_fleet.database._transaction import AutocommitTransaction, Transaction


class SQLAlchemyUnitOfWork(ABC):
    """The base of a service's units of work; a derived class opens its repositories.

    Entered once, as `async with`. Leaving without `commit`, or by an exception, rolls back.
    Its repositories are on one `Transaction`, which offers row counts, bulk writes, COPY, ORM
    sessions and the driver's connection to adapters.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._transaction_type: type[Transaction] = Transaction

    def autocommit(self) -> Self:
        """Keep each statement at once, in one round trip; `commit` has nothing to do then.

        For use cases that write one statement, called before the unit of work is entered:
        `async with unit_of_work().autocommit() as work`. Reads need it not.
        Raises RuntimeError inside the block.
        """
        if hasattr(self, "_transaction"):
            raise RuntimeError("autocommit() is called before the unit of work is entered")
        self._transaction_type = AutocommitTransaction
        return self

    async def __aenter__(self) -> Self:
        self._transaction = self._transaction_type(self._database)
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

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undo what the block wrote, and no more, where an exception leaves it."""
        return self._transaction.savepoint()

    @abstractmethod
    def _open_repositories(self, transaction: Transaction) -> None:
        """Make the repositories, all of them on this transaction."""
