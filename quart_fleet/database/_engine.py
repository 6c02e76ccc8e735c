"""The database of one process: its pool of connections, and ORM sessions for their users.

asyncpg's own pool lets late callers in first, and starts a task for each connection that is
released: a read by id took a tenth more computing time with it.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self
from weakref import WeakSet

import asyncpg
import orjson

from quart_fleet.database._connector import CONNECT_TIMEOUT, Connector, Pooling
from quart_fleet.database.explanations import (
    CONNECTION_ERRORS,
    UNPREPARED,
    driver_error,
    is_server_unavailable,
)
from quart_fleet.database_url import accepts_standby
from quart_fleet.errors import ConfigurationError, DatabaseUnavailableError
from quart_fleet.postgres import EmbeddedPostgresError
from quart_fleet.settings import DatabaseSettings

if TYPE_CHECKING:
    # Repositories do without: only a use of sessions pays for them, in start and memory.
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker


SWEEP_INTERVAL = 150.0
"""Seconds between two looks for idle connections that were not needed."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a connection gets to end in good order."""


class Semaphore:
    """A semaphore that serves in order and sets each wait the same timeout.

    The timeouts therefore end in the order of asking, so that one timer, set for the longest
    wait, does for all. With `asyncio.Semaphore` inside `asyncio.timeout`, where requests wait
    for one another, a read by id took about 5 us of computing time more.

    Args:
        permits: how many are held at once.
        timeout: seconds to wait for one.
    """

    def __init__(self, permits: int, timeout: float) -> None:
        self._permits = permits
        self._timeout = timeout
        self._waiters: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._has_timer = False

    async def acquire(self) -> None:
        """Wait for a permit; raises TimeoutError."""
        if self._permits:
            self._permits -= 1
            return
        loop = asyncio.get_running_loop()
        permit: asyncio.Future[None] = loop.create_future()
        self._waiters.append((loop.time() + self._timeout, permit))
        if not self._has_timer:
            self._end_long_waits(loop)
        try:
            await permit
        except asyncio.CancelledError:
            if not permit.cancelled() and permit.exception() is None:
                self.release()  # granted and cancelled in one step of the loop
            raise

    def release(self) -> None:
        """Pass the permit on to the longest wait."""
        while self._waiters:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_result(None)
                return
        self._permits += 1

    def _end_long_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the waits whose timeout is over, now and when that of the longest one left is."""
        now = loop.time()
        while self._waiters and self._waiters[0][0] <= now:
            _, permit = self._waiters.popleft()
            if not permit.done():
                permit.set_exception(TimeoutError())
        self._has_timer = bool(self._waiters)
        if self._has_timer:
            loop.call_at(self._waiters[0][0], self._end_long_waits, loop)


class ConnectionPool:
    """Connections to acquire inside `async with`.

    The one that was released last is acquired first. A connection that is not needed stays
    therefore at the bottom of the stack, and is closed when it has lain there from one sweep
    to the next.

    Args:
        connect: opens a connection.
        size: how many are acquired at once, at most.
        timeout: seconds to wait for a free one.
        sweep_interval: seconds from one sweep to the next.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        size: int,
        *,
        timeout: float,
        sweep_interval: float = SWEEP_INTERVAL,
    ) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._sweep_interval = sweep_interval
        self._idle: list[asyncpg.Connection] = []
        self._opened: WeakSet[asyncpg.Connection] = WeakSet()
        self._retired: WeakSet[asyncpg.Connection] = WeakSet()
        self._untouched = 0
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._semaphore = Semaphore(self._size, self._timeout)
        self._sweep()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._is_open = False
        self._sweeper.cancel()
        idle, self._idle = self._idle, []
        # asyncpg aborts a connection that does not answer within the timeout, and raises.
        await asyncio.gather(
            *(connection.close(timeout=CLOSE_TIMEOUT) for connection in idle),
            return_exceptions=True,
        )

    async def acquire(self) -> asyncpg.Connection:
        """Return a connection for one caller; raises TimeoutError, or what opening one raises."""
        if not self._is_open:
            raise RuntimeError("the database is not open: use `async with database`")
        await self._semaphore.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                self._untouched = min(self._untouched, len(self._idle))
                if not connection.is_closed():
                    return connection
            return await self._open()
        except BaseException:
            self._semaphore.release()
            raise

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; one that is still in a transaction is closed, which ends it.

        What was set in its session stays set, and a cancelled statement may still run on the
        server: `Transaction.close` and `Database.connect` see to both.
        """
        if not connection.is_closed():
            if (
                self._is_open
                and not connection.is_in_transaction()
                and not (self._retired and connection in self._retired)
            ):
                self._idle.append(connection)
            else:
                connection.terminate()
        self._semaphore.release()

    async def replace(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """Return a new connection in place of one that the server has closed.

        The idle ones are of the same age: they are closed too.
        """
        connection.terminate()
        self._terminate_oldest(len(self._idle))
        return await self._open()

    def retire(self) -> None:
        """Close every connection that is open now: one that is in use, when it is released."""
        self._terminate_oldest(len(self._idle))
        self._retired, self._opened = self._retired | self._opened, WeakSet()

    async def _open(self) -> asyncpg.Connection:
        opened = self._opened
        connection = await self._connect()
        if opened is not self._opened:  # all were retired in the meantime
            connection.terminate()
            return await self._open()
        opened.add(connection)
        return connection

    def _sweep(self) -> None:
        """Close what was not touched since the last sweep, now and after every interval."""
        self._terminate_oldest(self._untouched)
        self._untouched = len(self._idle)
        self._sweeper = asyncio.get_running_loop().call_later(self._sweep_interval, self._sweep)

    def _terminate_oldest(self, number: int) -> None:
        for connection in self._idle[:number]:
            connection.terminate()
        del self._idle[:number]
        self._untouched = 0


STATEMENT_TIMEOUT = 60.0
"""Seconds after which a statement is given up, and a server that hangs is called unavailable."""
PING_TIMEOUT = 2.0
"""Seconds that a probe of readiness takes at most."""

_IS_WRITABLE = "SELECT 1 WHERE current_setting('transaction_read_only') = 'off'"
"""Has one row or none, which its status tells."""

_log = logging.getLogger(__name__)


class DatabaseServer(Protocol):
    """A server that runs while it is entered, such as the workspace's embedded one."""

    async def __aenter__(self) -> str:
        """Start or join the server and return its libpq URL."""
        ...

    async def __aexit__(self, *exception: object) -> None:
        """Leave the server; it may stop."""
        ...


class Database:
    """Opened once for each process, by `async with`; connections and sessions come from here.

    Args:
        config: where the database is; without a URL, `server` is entered while this is open.
        server: stands in when no URL is configured.
    """

    def __init__(self, config: DatabaseSettings, server: DatabaseServer | None = None) -> None:
        self.url = config.database_url
        self._config = config
        self._server = server
        self._resources = AsyncExitStack()
        self._pool = ConnectionPool(
            self._open_connection, config.db_pool_size, timeout=CONNECT_TIMEOUT
        )
        self._engine: AsyncEngine | None = None
        self._joined_engine: AsyncEngine | None = None

    @property
    def is_configured(self) -> bool:
        """Whether its address was given; otherwise it is the workspace's own server."""
        return self._config.database_url is not None

    async def __aenter__(self) -> Self:
        if self._config.database_url is None and self._server is not None:
            try:
                self.url = await self._resources.enter_async_context(self._server)
            except EmbeddedPostgresError as error:
                raise ConfigurationError(str(error)) from error
        self._connector = Connector(self.url or "postgresql://", self._config)
        self._resources.callback(self._connector.close)
        await self._resources.enter_async_context(self._pool)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    async def acquire(self) -> asyncpg.Connection:
        """Return a connection of the pool, for `release` to take back.

        Raises DatabaseUnavailableError when the server cannot be reached or all are in use.
        """
        try:
            return await self._pool.acquire()
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; a transaction that is left open is rolled back."""
        self._pool.release(connection)

    async def replace(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """Return another connection in place of one that the server has closed.

        Raises DatabaseUnavailableError.
        """
        try:
            return await self._pool.replace(connection)
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    def give_up(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Close a connection whose server only reads now, or whose statements a pooler mistakes.

        The next one may lead to the new primary server. A pooler loses statements, or gives one
        that was prepared before a migration to all that prepare it anew.
        """
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            connection.terminate()
        elif isinstance(error, UNPREPARED) or (
            isinstance(error, asyncpg.InvalidCachedStatementError)
            and self._connector.pooling is not Pooling.NONE
        ):
            connection.terminate()
            if self._connector.prepare_nothing(error):
                self._pool.retire()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection for the length of a block, outside any unit of work.

        What it leaves in the session (SET, advisory locks, LISTEN) is cleared afterwards; a
        statement in the midst of which the block is left is over then, on the server too.
        JSON is read as Python's values and given as text. Raises DatabaseUnavailableError.
        """
        connection = await self.acquire()
        try:
            yield connection
            await connection.reset(timeout=CONNECT_TIMEOUT)
        except BaseException as error:
            is_away = (
                isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError))
                and is_server_unavailable(error, connection)
            )  # fmt: skip
            self.give_up(connection, error)
            # Closed in good order: cut, its server would go on with the statement.
            with suppress(*CONNECTION_ERRORS):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await connection.close()
            if is_away:
                raise DatabaseUnavailableError from error
            raise
        finally:
            self.release(connection)

    async def ping(self) -> None:
        """Ask the server whether it can be written; raises DatabaseUnavailableError, soon.

        One that only reads, as after a failover, is enough where the URL asks for a standby.
        """
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                connection = await self.acquire()
                try:
                    if await connection.execute(_IS_WRITABLE) == "SELECT 0" and not accepts_standby(
                        self.url or "postgresql://"
                    ):
                        raise asyncpg.ReadOnlySQLTransactionError("the server only reads")
                except BaseException:
                    connection.terminate()  # closing in good order takes longer than a probe may
                    raise
                finally:
                    self.release(connection)
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    def sessions(self) -> "async_sessionmaker[AsyncSession]":
        """Return a maker of ordinary ORM sessions, on connections of their own.

        Where the server cannot be reached they raise DatabaseUnavailableError, in place of the
        driver's errors. `Transaction.session` opens one inside a unit of work.
        """
        from sqlalchemy import event  # noqa: PLC0415
        from sqlalchemy.ext.asyncio import async_sessionmaker  # noqa: PLC0415

        if self._engine is None:
            self._engine = create_engine(self._connector, self._config, self._open_for_session)
            event.listen(self._engine.sync_engine, "handle_error", _tell_unavailable)
            self._resources.push_async_callback(self._engine.dispose)
        return async_sessionmaker(self._engine, expire_on_commit=False)

    @asynccontextmanager
    async def joined_session(self, connection: asyncpg.Connection) -> "AsyncIterator[AsyncSession]":
        """Open an ORM session on a connection that is in a transaction, inside a savepoint."""
        from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415

        if self._joined_engine is None:
            self._joined_engine = _create_joined_engine(self._config)
        token = _joined.set(connection)
        try:
            async with (
                self._joined_engine.connect() as joined,
                joined.begin(),
                AsyncSession(
                    joined, expire_on_commit=False, join_transaction_mode="create_savepoint"
                ) as session,
            ):
                yield session
        finally:
            _joined.reset(token)

    async def _open_for_session(self, *, is_prepared: bool) -> asyncpg.Connection:
        try:
            return await self._connector.connect(
                command_timeout=STATEMENT_TIMEOUT, is_prepared=is_prepared
            )
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailableError from error

    async def _open_connection(self) -> asyncpg.Connection:
        connection = await self._connector.connect(command_timeout=STATEMENT_TIMEOUT)
        try:
            # JSON is read here alone, so that sessions and statements can share a connection.
            # asyncpg before 0.31 asks the server for each of the two types. jsonb writes a great
            # fraction (1e+22) as a whole number, of which orjson makes a fraction again.
            await connection.set_type_codec(
                "json",
                schema="pg_catalog",
                format="binary",
                encoder=str.encode,
                decoder=lambda data: json.loads(data.decode()),
            )
            await connection.set_type_codec(
                "jsonb",  # begins with the version of its form
                schema="pg_catalog",
                format="binary",
                encoder=lambda text: b"\x01" + text.encode(),
                decoder=lambda data: orjson.loads(data[1:]),
            )
        except BaseException:
            connection.terminate()
            raise
        if self._config.db_echo:
            connection.add_query_logger(lambda query: _log.info("%s %s", query.query, query.args))
        return connection


def create_engine(
    connector: Connector,
    config: DatabaseSettings,
    connect: Callable[..., Awaitable[asyncpg.Connection]] | None = None,
) -> "AsyncEngine":
    """Make an SQLAlchemy engine for ORM sessions and migrations.

    Args:
        connector: knows what a connection keeps prepared.
        config: the size of the pool.
        connect: what opens a connection, in place of the connector.
    """
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    # No session is sent once more, as a statement is that a migration has made stale in a pooler.
    size = 0 if connector.pooling is Pooling.SHARED else connector.statement_cache_size
    return create_async_engine(
        "postgresql+asyncpg://",
        # What async_creator is for, which has no place for SQLAlchemy's own cache.
        connect_args={
            "async_creator_fn": partial(connect or connector.connect, is_prepared=size > 0),
            "prepared_statement_cache_size": size,
        },
        echo=config.db_echo,
        pool_size=config.db_pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_pre_ping=True,
    )


def _tell_unavailable(context: "ExceptionContext") -> None:
    """Raise DatabaseUnavailableError in place of what SQLAlchemy would raise of a server's absence."""
    if context.is_pre_ping:  # of a connection that is replaced
        return
    error = context.sqlalchemy_exception or context.original_exception
    cause = driver_error(error)
    if context.is_disconnect or is_server_unavailable(cause):
        raise DatabaseUnavailableError from cause


_joined: ContextVar[asyncpg.Connection] = ContextVar("_joined")
"""The connection of the unit of work that a session joins."""


class _JoinedConnection:
    """A connection that SQLAlchemy uses and does not close; its codecs are installed."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def set_type_codec(self, *_: object, **__: object) -> None:
        pass

    async def close(self, **_: object) -> None:
        pass

    def terminate(self) -> None:
        pass


def _create_joined_engine(config: DatabaseSettings) -> "AsyncEngine":
    """Make an engine without a pool, which leaves BEGIN and COMMIT to the unit of work."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    async def connect() -> _JoinedConnection:
        return _JoinedConnection(_joined.get())

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": connect, "prepared_statement_cache_size": 0},
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        echo=config.db_echo,
    )
