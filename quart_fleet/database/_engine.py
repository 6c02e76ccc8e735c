"""The database of one process: its one pool, and who gets a connection."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol, Self

import asyncpg

from quart_fleet.database._driver_errors import LOST, UNREACHABLE
from quart_fleet.database._pool import FAREWELL, ConnectionPool
from quart_fleet.errors import ConfigurationError, DatabaseUnavailableError
from quart_fleet.postgres import EmbeddedPostgresError
from quart_fleet.settings import DatabaseSettings

if TYPE_CHECKING:
    # Repositories do without: who asks for a session or an engine pays for it, in start and memory.
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a new connection, and for a free one of the pool."""
STATEMENT_TIMEOUT = 60.0
"""Seconds after which a statement is given up, and a server that hangs is called unavailable."""
PING_TIMEOUT = 2.0
"""Seconds that a probe of readiness takes at most."""

STATEMENT_CACHE_SIZE = 100
"""Statements that a connection keeps prepared; asyncpg's default, and SQLAlchemy's."""

_log = logging.getLogger(__name__)


class DatabaseServer(Protocol):
    """A server that is there while somebody holds it, such as the workspace's embedded one."""

    async def __aenter__(self) -> str:
        """Hold the server and return its libpq URL."""
        ...

    async def __aexit__(self, *exception: object) -> None:
        """Let the server go."""
        ...


class Database:
    """Opened once by whoever runs; connections and sessions come from here.

    Args:
        config: where the database is; without a URL, `server` is held while this is open.
        server: stands in when no URL is configured.
    """

    def __init__(self, config: DatabaseSettings, server: DatabaseServer | None = None) -> None:
        self.url = config.database_url
        self._config = config
        self._server = server
        self._resources = AsyncExitStack()
        self._pool = ConnectionPool(
            self._open_connection, config.db_pool_size, patience=CONNECT_TIMEOUT
        )
        self._engine: AsyncEngine | None = None

    async def __aenter__(self) -> Self:
        if self._config.database_url is None and self._server is not None:
            try:
                self.url = await self._resources.enter_async_context(self._server)
            except EmbeddedPostgresError as error:
                raise ConfigurationError(str(error)) from error
        await self._resources.enter_async_context(self._pool)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    async def acquire(self) -> asyncpg.Connection:
        """Lend a connection, to be given back by `release`.

        Raises DatabaseUnavailableError when there is none to lend.
        """
        try:
            return await self._pool.acquire()
        except UNREACHABLE as error:
            raise DatabaseUnavailableError from error

    def release(self, connection: asyncpg.Connection) -> None:
        """Take a connection back; a transaction that is left open is rolled back."""
        self._pool.release(connection)

    async def replace(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """Lend another connection in place of one that the server has closed."""
        return await self._pool.replace(connection)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for the length of a block, to do with it whatever is wanted.

        What it leaves in the session (SET, advisory locks, LISTEN) is cleared afterwards; a
        statement in the midst of which the block is left is over then, on the server too.
        Raises DatabaseUnavailableError.
        """
        connection = await self.acquire()
        try:
            yield connection
            await connection.reset(timeout=CONNECT_TIMEOUT)
        except BaseException:
            await _end(connection)
            raise
        finally:
            self.release(connection)

    async def ping(self) -> None:
        """Ask the server for nothing; raises DatabaseUnavailableError, soon."""
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._ask_for_nothing()
        except UNREACHABLE as error:
            raise DatabaseUnavailableError from error

    async def _ask_for_nothing(self) -> None:
        connection = await self.acquire()
        try:
            await connection.execute("SELECT 1")
        except BaseException:
            connection.terminate()  # no farewell: whoever probes has no time for it
            raise
        finally:
            self.release(connection)

    def sessions(self) -> "async_sessionmaker[AsyncSession]":
        """Return a maker of ordinary ORM sessions, on connections of their own."""
        from sqlalchemy.ext.asyncio import async_sessionmaker  # noqa: PLC0415

        if self._engine is None:
            self._engine = create_engine(self.url or "", self._config)
            self._resources.push_async_callback(self._engine.dispose)
        return async_sessionmaker(self._engine, expire_on_commit=False)

    async def _open_connection(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            statement_cache_size=_statement_cache_size(self._config),
        )
        if self._config.db_echo:
            connection.add_query_logger(lambda query: _log.info("%s %s", query.query, query.args))
        return connection


async def _end(connection: asyncpg.Connection) -> None:
    """Close a connection in good order: cut, its server would go on with the statement."""
    with suppress(*LOST, *UNREACHABLE):
        async with asyncio.timeout(FAREWELL):
            await connection.close()


def _statement_cache_size(config: DatabaseSettings) -> int:
    """Return how many statements a connection keeps prepared: behind a pooler, none.

    There, each transaction may be served by another connection, which knows none of them.
    """
    return 0 if config.database_pooler else STATEMENT_CACHE_SIZE


def create_engine(url: str, config: DatabaseSettings) -> "AsyncEngine":
    """Make an SQLAlchemy engine for ORM sessions and migrations."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    cached = _statement_cache_size(config)

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, statement_cache_size=cached)

    return create_async_engine(
        "postgresql+asyncpg://",
        # What async_creator is for, which has no place for SQLAlchemy's own cache.
        connect_args={"async_creator_fn": connect, "prepared_statement_cache_size": cached},
        echo=config.db_echo,
        pool_size=config.db_pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_pre_ping=True,
    )
