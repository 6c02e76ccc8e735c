"""Transactions on one connection, and the unit of work whose repositories share one."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from enum import Enum, auto
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import asyncpg
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import FromClause

from quart_fleet.bounds import BOUND
from quart_fleet.database._engine import Database, time_to_close
from quart_fleet.database._statement import (
    NO_PARAMETERS,
    Effect,
    Parameters,
    Row,
    Statement,
    records_of,
    tell_of,
    telling_of,
)
from quart_fleet.database.explanations import (
    CONNECTION_ERRORS,
    LOST,
    driver_error,
    is_lost,
    is_server_unavailable,
    note_remedy,
    was_not_carried_out,
    was_rolled_back,
)
from quart_fleet.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

ReadT = TypeVar("ReadT")

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class _State(Enum):
    """What the server holds of this transaction."""

    FRESH = auto()
    """No statement was answered yet: a lost connection is replaced, as nothing is lost with it."""
    IDLE = auto()
    """Every statement has ended; BEGIN was not sent."""
    UNSETTLED = auto()
    """The last statement failed or was cancelled, and may not have ended on the server."""
    ALONE = auto()
    """As FRESH, but a write is on its way without BEGIN: it must not be carried out twice."""
    OPEN = auto()
    """BEGIN was sent; COMMIT or ROLLBACK ends it."""


class Transaction:
    """One connection for the length of an `async with`; leaving it rolls back what is open.

    BEGIN is sent before the first statement that writes or locks. Reads before it stand for
    themselves: under READ COMMITTED, PostgreSQL's default, each statement has a snapshot of its
    own inside a transaction too. Those of `in_snapshot` see one moment.

    The first statement may find that the server has restarted since the connection was used
    last; it is sent once more on a new one, unless it may have been carried out. So is a statement
    that stands alone, or the first since BEGIN, where PostgreSQL has rolled it back for the sake
    of another transaction (class 40); for a later one, what was handed out may not hold any more.
    Every method raises DatabaseUnavailableError where the server cannot be reached. One
    statement at a time: PostgreSQL answers them in turn, so there is nothing to gather.

    asyncpg sends a new statement in two parts. One that failed or was cancelled in between
    leaves the server waiting for the second, with its locks, so that `close` settles the
    connection before it is released.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_observed = database.observers.have_statements
        self._state = _State.FRESH
        self._bound = BOUND.get()
        self.afterwards: Callable[[], Awaitable[None]] | None = None
        """What is asked once what is open is rolled back, and before the connection is released."""
        self._has_answer = False
        """Whether a statement was answered since BEGIN: one that was not may be sent once more."""

    async def open(self) -> None:
        """Acquire a connection; every `open` needs its `close`."""
        self._connection = await self._database.acquire()

    async def close(self) -> None:
        """Roll back what was not committed, and release the connection."""
        try:
            if self._state is _State.OPEN:
                await self._end_with("ROLLBACK")
            elif self._state is _State.UNSETTLED:
                await self._end_with("SELECT 1")
            if self.afterwards is not None:
                self._state = _State.IDLE
                with suppress(asyncpg.PostgresError, DatabaseUnavailableError):
                    await self.afterwards()
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

    async def fetch(
        self, statement: Statement, parameters: Parameters = NO_PARAMETERS
    ) -> list[Row]:
        """Carry out a statement and return every row of its answer."""
        arguments = arguments_of(statement, parameters)
        records: list[Row] = await self._run(statement, "fetch", *arguments)
        if not statement.readers:
            return records
        return [_row_of(statement, record) for record in records]

    async def fetch_first(
        self, statement: Statement, parameters: Parameters = NO_PARAMETERS
    ) -> Row | None:
        """Carry out a statement and return the first row of its answer, or None."""
        arguments = arguments_of(statement, parameters)
        record: Row | None = await self._run(statement, "fetchrow", *arguments)
        if record is None or not statement.readers:
            return record
        return _row_of(statement, record)

    async def execute(self, statement: Statement, parameters: Parameters = NO_PARAMETERS) -> int:
        """Carry out a statement and return the number of rows that it affected."""
        arguments = arguments_of(statement, parameters)
        return _count(await self._run(statement, "execute", *arguments))

    async def execute_many(self, statement: Statement, each: Iterable[Parameters]) -> None:
        """Carry out a statement for each of many sets of parameters: all of them or none.

        They are sent without waiting for the single answers, so rows and counts are not there.
        """
        arguments = [arguments_of(statement, parameters) for parameters in each]
        await self._run(statement, "executemany", arguments)

    async def copy(self, table: FromClause, rows: Iterable[Parameters]) -> int:
        """Insert rows by COPY, the fastest way for many, and return their number.

        Args:
            table: a Table, or a model's `__table__`.
            rows: values by column name; all name the columns of the first one. They may be
                generated: nothing is held but what is on its way.
        """
        if not isinstance(table, Table):
            raise TypeError(f"COPY needs a table, not {table}")
        await self.begin()
        columns, records = records_of(table, rows)
        if not columns:
            return 0
        return _count(
            await self._send(
                "copy_records_to_table",
                table.name,
                schema_name=table.schema,
                columns=columns,
                records=records,
            )
        )

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what the block wrote, and no more, where an exception leaves it."""
        await self.begin()
        await self._send("execute", "SAVEPOINT block")
        try:
            yield
        except BaseException:
            await self._end_with("ROLLBACK TO SAVEPOINT block; RELEASE SAVEPOINT block")
            raise
        await self._send("execute", "RELEASE SAVEPOINT block")

    @asynccontextmanager
    async def session(self) -> "AsyncIterator[AsyncSession]":
        """Open an ORM session inside this transaction.

        It is flushed at the end of the block; where an exception leaves the block, its own
        work is undone. Its `commit` and `rollback` end a savepoint: what it wrote is kept by
        the transaction's `commit`, with everything else.
        """
        await self.begin()
        try:
            async with self._database.joined_session(self._connection) as session:
                yield session
                await session.commit()
        except DBAPIError as error:
            cause = driver_error(error)
            is_away = is_server_unavailable(cause, self._connection)
            self._database.give_up(self._connection, cause)
            if is_away or self._connection.is_closed():
                raise DatabaseUnavailableError from error
            raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Give the driver's connection, inside this transaction, for all that has no method here.

        COPY to a file is an example. It raises the driver's own exceptions.
        """
        await self.begin()
        is_observed, self._is_observed = self._is_observed, False  # the driver tells of all of it
        try:
            with telling_of(self._connection, self._database):
                yield self._connection
        finally:
            self._is_observed = is_observed

    async def commit(self) -> None:
        """Keep what was written; raises RuntimeError where a failed statement has undone it."""
        if self._state is not _State.OPEN:
            return
        answer = await self._send("execute", "COMMIT")
        self._state = _State.IDLE
        if answer == "ROLLBACK":  # PostgreSQL says no more than that
            raise RuntimeError("nothing was kept: a statement of this transaction failed")

    async def _run(self, statement: Statement, method: str, *arguments: object) -> Any:
        """Carry out a statement, inside the transaction where it writes or locks."""
        if bound := self._bound:
            if statement.effect is Effect.WRITE:
                bound.has_written = True
            else:
                bound.waits.add(self)
        try:
            if self._state is not _State.OPEN:
                if statement.effect is Effect.READ:
                    return await self._send(method, statement.sql, *arguments)
                await self._begin_with("BEGIN")
            is_first = not self._has_answer
            try:
                return await self._send(method, statement.sql, *arguments)
            except asyncpg.PostgresError as error:
                if not (is_first and _is_to_be_repeated(error)):
                    raise
                await self._begin_anew("BEGIN")
                return await self._send(method, statement.sql, *arguments)
        finally:
            if bound:
                bound.waits.discard(self)

    async def begin(self) -> None:
        """Have what follows kept together by `commit`; in autocommit, raises RuntimeError."""
        if self._bound:
            self._bound.has_written = True  # what follows may be anything
        if self._state is not _State.OPEN:
            await self._begin_with("BEGIN")

    async def in_snapshot(self, read: Callable[[], Awaitable[ReadT]]) -> ReadT:
        """Return what `read` returns, all statements of which see the rows of one moment.

        Inside a transaction that has begun, each sees what is committed when it is sent, unless its
        rows are locked. `read` is called once more where a migration has changed a type, or a
        standby has cancelled it to keep up with its primary.
        """
        if self._state is _State.OPEN:
            return await read()
        await self._begin_with(_SNAPSHOT)
        try:
            try:
                return await read()
            except asyncpg.PostgresError as error:
                if not _is_to_be_repeated(error):
                    raise
                await self._begin_anew(_SNAPSHOT)
                return await read()
        finally:
            await self._end_with("ROLLBACK")
            self._state = _State.IDLE

    async def _begin_with(self, sql: str) -> None:
        try:
            await self._send("execute", sql)
        finally:
            self._state = _State.OPEN  # even where the answer does not come
            self._has_answer = False

    async def _begin_anew(self, sql: str) -> None:
        """Begin once more where the first statement has failed, and not for what it says.

        A migration may have changed a type since it was prepared: asyncpg prepares it anew, but in
        a transaction leaves it to us to send it once more.
        """
        if self._connection.is_closed():  # given up, for a pooler is between
            self._connection = await self._database.replace(self._connection)
            await self._send("execute", sql)
        else:
            await self._send("execute", "ROLLBACK AND CHAIN")  # of the same kind

    async def _send(self, method: str, *arguments: object, **options: object) -> Any:
        """Call a method of the connection, which is replaced first where it was lost before."""
        failed = None
        started = perf_counter() if self._is_observed else 0.0
        try:
            try:
                answer = await getattr(self._connection, method)(*arguments, **options)
            except LOST as error:
                await self._see_to_repetition(error)
                answer = await getattr(self._connection, method)(*arguments, **options)
        except BaseException as error:
            failed = error
            if self._state is not _State.OPEN:
                self._state = _State.UNSETTLED
            note_remedy(error)
            if is_server_unavailable(error, self._connection):
                self._database.give_up(self._connection, error)
                raise DatabaseUnavailableError from error
            raise
        finally:
            if self._is_observed:
                sql = f"COPY {arguments[0]}" if options else str(arguments[0])
                tell_of(sql, started, failed, self._database)
        if self._state is _State.OPEN:
            self._has_answer = True
        else:
            self._state = _State.IDLE
        return answer

    async def _see_to_repetition(self, error: Exception) -> None:
        """Return where the statement is to be sent once more, on another connection if need be.

        Raises the error otherwise.
        """
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            self._database.give_up(self._connection, error)
            if self._state is _State.OPEN or not self._connection.is_closed():
                raise error
        elif was_rolled_back(error) and self._state is not _State.OPEN:
            return
        elif not is_lost(self._connection, error):
            raise error
        elif self._state is not _State.FRESH and not (
            self._state is _State.ALONE and was_not_carried_out(error)
        ):
            raise DatabaseUnavailableError from error
        self._connection = await self._database.replace(self._connection)

    async def _end_with(self, sql: str) -> None:
        """End what is open on the server; where that fails, close the connection."""
        started, failed = perf_counter(), None
        with suppress(*CONNECTION_ERRORS):
            try:
                # asyncpg's own timeout covers the end of a cancelled statement since 0.32 only.
                async with asyncio.timeout(time_to_close()):
                    await self._connection.execute(sql)
            except BaseException as error:
                failed = error
                self._connection.terminate()
                raise
            finally:
                if self._is_observed:
                    tell_of(sql, started, failed, self._database)


class AutocommitTransaction(Transaction):
    """Each statement is a transaction by itself: kept at once, in one round trip.

    PostgreSQL makes it so of every statement outside BEGIN and COMMIT. Savepoints, sessions,
    COPY, `connection` and locks need a transaction of several statements: they raise
    RuntimeError.
    """

    async def _run(self, statement: Statement, method: str, *arguments: object) -> Any:
        if statement.effect is Effect.LOCK:
            raise RuntimeError(f"in autocommit a lock ends with its statement: {statement.sql}")
        if statement.effect is Effect.WRITE:
            if self._bound:
                self._bound.has_written = True
            if self._state is _State.FRESH:
                self._state = _State.ALONE
        return await self._send(method, statement.sql, *arguments)

    async def begin(self) -> None:
        raise RuntimeError("in autocommit each statement is kept at once: leave autocommit() out")


def _is_to_be_repeated(error: asyncpg.PostgresError) -> bool:
    return isinstance(error, asyncpg.InvalidCachedStatementError) or was_rolled_back(error)


def arguments_of(statement: Statement, parameters: Parameters) -> list[object]:
    """Return the values in the order in which asyncpg takes them.

    Raises KeyError, which names the parameter and the statement, where one is missing.
    """
    values = {**statement.defaults, **parameters}
    for name, make in statement.factories.items():
        values[name] = make()
    try:
        arguments = [values[name] for name in statement.names]
    except KeyError as missing:
        raise KeyError(f"no value for {missing} is given to: {statement.sql}") from None
    for position, write in statement.writers:
        arguments[position] = write(arguments[position])
    return arguments


def _row_of(statement: Statement, record: Row) -> Row:
    """Return a record of asyncpg's with its values converted."""
    values: dict[str, Any] = dict(cast("Mapping[str, Any]", record))
    for name, read in statement.readers:
        values[name] = read(values[name])
    return values


def _count(status: str) -> int:
    """Return the number of rows that a command's status ends with, as in `INSERT 0 3`."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


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
