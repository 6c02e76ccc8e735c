"""One business transaction: the connection that its repositories share, and how it ends."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import Database
from shared.database.errors import reported_as_service_errors


class Transaction:
    """Statements on one connection; BEGIN is sent with the first that needs it.

    Reads stand for themselves: under READ COMMITTED, PostgreSQL's default, each statement
    has a snapshot of its own inside a transaction too, so a BEGIN before them buys nothing.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._begun = False

    async def read(
        self, statement: Executable, parameters: dict[str, object] | None = None
    ) -> CursorResult[Any]:
        """Run a statement that neither changes nor locks a row."""
        with reported_as_service_errors():
            return await self._connection.execute(statement, parameters)

    async def write(
        self, statement: Executable, parameters: dict[str, object] | None = None
    ) -> CursorResult[Any]:
        """Run a statement that changes or locks rows."""
        with reported_as_service_errors():
            if not self._begun:
                await self._connection.exec_driver_sql("BEGIN")
                self._begun = True
            return await self._connection.execute(statement, parameters)

    async def commit(self) -> None:
        """Keep what was written."""
        await self._end("COMMIT")

    async def rollback(self) -> None:
        """Forget what was written since the last commit."""
        await self._end("ROLLBACK")

    async def _end(self, command: str) -> None:
        if self._begun:
            with reported_as_service_errors():
                await self._connection.exec_driver_sql(command)
            self._begun = False


class SQLAlchemyUnitOfWork:
    """The base of a service's units of work; a derived class opens its repositories.

    Entered once, as `async with`. Leaving without `commit`, or by an exception, rolls back.
    """

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

    def _open_repositories(self, transaction: Transaction) -> None:
        raise NotImplementedError
