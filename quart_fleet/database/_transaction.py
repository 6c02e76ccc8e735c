"""Statements on one connection, and the transaction that the first write begins."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg

from quart_fleet.database._driver_errors import LOST, UNREACHABLE, is_lost, is_undone
from quart_fleet.database._engine import Database
from quart_fleet.database._pool import FAREWELL
from quart_fleet.database._statement import Parameters, Row, Statement
from quart_fleet.errors import DatabaseUnavailableError

KeptT = TypeVar("KeptT")


class Transaction:
    """BEGIN is sent with the first statement that needs it.

    Reads stand for themselves: under READ COMMITTED, PostgreSQL's default, each statement
    has a snapshot of its own inside a transaction too, so a BEGIN before them buys nothing.
    So does a write that is the only one, which `commit_with` announces.
    The first statement may find that the server has restarted since the connection was used
    last; as nothing is lost with it, it is sent once more on a new one, but not where it may
    have been carried out.
    Every method raises DatabaseUnavailableError. One statement at a time: PostgreSQL answers
    them in turn, so there is nothing to gather.
    asyncpg sends a new statement in two parts. One that failed or was cancelled in between
    leaves the server waiting for the second, with its locks, so that the connection is settled
    before anybody else gets it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked = False
        self._begun = False
        self._stands_alone = False
        self._is_done = False
        self._is_settled = True

    async def open(self) -> None:
        """Borrow a connection; every `open` needs its `close`."""
        self._connection = await self._database.acquire()

    async def close(self) -> None:
        """Forget what was not committed, and give the connection back."""
        try:
            if self._begun:
                await self._end_with("ROLLBACK")
            elif not self._is_settled:
                await self._end_with("SELECT 1")
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
        return statement.rows(records)

    async def fetch_first(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Read one row, or None where there is none."""
        record = await self._ask("fetchrow", statement.sql, *statement.arguments(parameters))
        return None if record is None else statement.row(record)

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Change or lock a row and return it, or None where there is none."""
        if self._is_done:
            raise RuntimeError("commit_with has kept its one write: commit several by commit")
        if self._stands_alone:
            return await self._write_alone(statement, parameters)
        if not self._begun:
            return await self._begin_with(statement, parameters)
        return await self.fetch_first(statement, parameters)

    async def commit(self) -> None:
        """Keep what was written; raises RuntimeError where a failed statement has undone it."""
        if self._begun:
            ending = await self._ask("execute", "COMMIT")
            self._begun = False
            if ending == "ROLLBACK":  # PostgreSQL says no more than that
                raise RuntimeError("nothing was kept: a statement of this transaction failed")

    async def commit_with(self, write: Awaitable[KeptT]) -> KeptT:
        """Do the last write, and keep it with everything before it.

        Where there is nothing before it, BEGIN and COMMIT are spared: PostgreSQL makes a
        statement that stands alone a transaction by itself.
        """
        self._stands_alone = not self._begun
        try:
            kept = await write
            await self.commit()
        finally:
            self._stands_alone = self._is_done = False
        return kept

    async def _begin_with(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Begin; where a migration has changed a type since the statement was prepared, twice.

        asyncpg prepares it anew, but in a transaction leaves it to us to send it once more.
        """
        self._begun = True  # even where the answer does not come
        await self._ask("execute", "BEGIN")
        try:
            return await self.fetch_first(statement, parameters)
        except asyncpg.InvalidCachedStatementError:
            await self._ask("execute", "ROLLBACK AND CHAIN")
            return await self.fetch_first(statement, parameters)

    async def _write_alone(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Write what PostgreSQL keeps at once; where it changed nothing, others may follow."""
        row = await self.fetch_first(statement, parameters)
        self._stands_alone = False
        self._is_done = row is not None or not statement.returns_rows
        return row

    async def _end_with(self, sql: str) -> None:
        """End what is open on the server; where that fails, cut the connection."""
        with suppress(*LOST, *UNREACHABLE):
            try:
                # asyncpg's own timeout covers the end of a cancelled statement since 0.32 only.
                async with asyncio.timeout(FAREWELL):
                    await self._connection.execute(sql)
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
                if not is_first or (self._stands_alone and not is_undone(error)):
                    raise DatabaseUnavailableError from error
                self._connection = await self._database.replace(self._connection)
                return await getattr(self._connection, method)(sql, *arguments)
        except BaseException as error:
            self._is_settled = False
            if isinstance(error, UNREACHABLE):
                raise DatabaseUnavailableError from error
            raise
