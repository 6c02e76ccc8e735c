"""Statements on one connection, and the transaction that the first write begins."""

import asyncpg

from shared.database.errors import reported_as_unavailable
from shared.database.statement import Parameters, Row, Statement


class Transaction:
    """BEGIN is sent with the first statement that needs it.

    Reads stand for themselves: under READ COMMITTED, PostgreSQL's default, each statement
    has a snapshot of its own inside a transaction too, so a BEGIN before them buys nothing.
    Every method raises DatabaseUnavailableError.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._begun = False

    async def fetch(self, statement: Statement, parameters: Parameters) -> list[Row]:
        """Read every row."""
        with reported_as_unavailable():
            records = await self._connection.fetch(statement.sql, *statement.arguments(parameters))
        return [statement.row(record) for record in records]

    async def fetch_first(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Read one row, or None where there is none."""
        with reported_as_unavailable():
            record = await self._connection.fetchrow(
                statement.sql, *statement.arguments(parameters)
            )
        return None if record is None else statement.row(record)

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Change or lock a row and return it, or None where there is none."""
        if not self._begun:
            with reported_as_unavailable():
                await self._connection.execute("BEGIN")
            self._begun = True
        return await self.fetch_first(statement, parameters)

    async def commit(self) -> None:
        """Keep what was written."""
        if self._begun:
            with reported_as_unavailable():
                await self._connection.execute("COMMIT")
            self._begun = False

    async def rollback(self) -> None:
        """Forget what was written since the last commit, as a closed connection already has.

        The pool would do it too, with an error in the log for each refusal of a write.
        """
        if self._begun and not self._connection.is_closed():
            with reported_as_unavailable():
                await self._connection.execute("ROLLBACK")
        self._begun = False
