"""Statements on one connection, and the transaction that the first write begins."""

from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from shared.database.engine import Database
from shared.database.errors import LOST, UNREACHABLE, is_lost
from shared.database.statement import Parameters, Row, Statement
from shared.errors import DatabaseUnavailableError


class Transaction:
    """BEGIN is sent with the first statement that needs it.

    Reads stand for themselves: under READ COMMITTED, PostgreSQL's default, each statement
    has a snapshot of its own inside a transaction too, so a BEGIN before them buys nothing.
    The first statement may find that the server has restarted since the connection was used
    last; as nothing is lost with it, it is sent once more on a new one.
    Every method raises DatabaseUnavailableError. One statement at a time: PostgreSQL answers
    them in turn, so there is nothing to gather.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked = False
        self._begun = False

    async def open(self) -> None:
        """Borrow a connection; every `open` needs its `close`."""
        self._connection = await self._database.acquire()

    async def close(self) -> None:
        """Forget what was not committed, and give the connection back."""
        try:
            if self._begun:
                await self._roll_back()
        finally:
            self._database.release(self._connection)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def fetch(self, statement: Statement, parameters: Parameters) -> list[Row]:
        """Read every row."""
        records = await self._ask("fetch", statement.sql, *statement.arguments(parameters))
        return [statement.row(record) for record in records]

    async def fetch_first(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Read one row, or None where there is none."""
        record = await self._ask("fetchrow", statement.sql, *statement.arguments(parameters))
        return None if record is None else statement.row(record)

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Change or lock a row and return it, or None where there is none."""
        if not self._begun:
            self._begun = True  # even where the answer does not come
            await self._ask("execute", "BEGIN")
        return await self.fetch_first(statement, parameters)

    async def commit(self) -> None:
        """Keep what was written."""
        if self._begun:
            await self._ask("execute", "COMMIT")
            self._begun = False

    async def _roll_back(self) -> None:
        """Roll back; where that fails, the end of the connection does it."""
        with suppress(*LOST, *UNREACHABLE):
            try:
                await self._connection.execute("ROLLBACK")
            except BaseException:
                self._connection.terminate()
                raise

    async def _ask(self, method: str, sql: str, *arguments: object) -> Any:
        is_first, self._asked = not self._asked, True
        try:
            try:
                return await getattr(self._connection, method)(sql, *arguments)
            except LOST as error:
                if not is_lost(self._connection, error):
                    raise
                if not is_first:
                    raise DatabaseUnavailableError from error
                self._connection = await self._database.replace(self._connection)
                return await getattr(self._connection, method)(sql, *arguments)
        except UNREACHABLE as error:
            raise DatabaseUnavailableError from error
