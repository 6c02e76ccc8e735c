"""The database of one process: its engine, its one pool, and who gets a connection."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol, Self

import asyncpg
from sqlalchemy import event, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from shared.config import DatabaseConfig
from shared.database.errors import reported_as_service_errors

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a new connection, and for a free one of the pool."""


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

    def __init__(self, config: DatabaseConfig, server: DatabaseServer | None = None) -> None:
        self._config = config
        self._server = server
        self._resources = AsyncExitStack()
        self._engine: AsyncEngine | None = None
        self._autocommit: AsyncEngine | None = None
        self.url: str | None = config.database_url

    async def __aenter__(self) -> Self:
        if self._config.database_url is None and self._server is not None:
            self.url = await self._resources.enter_async_context(self._server)
        self._engine = create_engine(self.url or "postgresql://", self._config)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._resources.push_async_callback(self._engine.dispose)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._engine = self._autocommit = None
        await self._resources.aclose()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection on which every statement stands for itself (autocommit).

        Raises DatabaseUnavailableError when there is none to lend.
        """
        async with AsyncExitStack() as stack:
            with reported_as_service_errors():
                connection = await stack.enter_async_context(_opened(self._autocommit).connect())
            yield connection

    async def ping(self) -> None:
        """Ask the server for nothing; raises DatabaseUnavailableError."""
        async with self.connect() as connection:
            with reported_as_service_errors():
                await connection.execute(select(1))

    def sessions(self) -> async_sessionmaker[AsyncSession]:
        """Return a maker of ordinary ORM sessions, for queries that want them."""
        return async_sessionmaker(_opened(self._engine), expire_on_commit=False)


def _opened(engine: AsyncEngine | None) -> AsyncEngine:
    if engine is None:
        raise RuntimeError("the database is not open: use `async with database`")
    return engine


def create_engine(url: str, config: DatabaseConfig) -> AsyncEngine:
    """Make an engine whose pool has a fixed size and never hands out a broken connection."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        echo=config.db_echo,
        pool_size=config.db_pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_unusable)
    return engine


def _refuse_unusable(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Have the pool open another connection in place of a closed or unfinished one.

    asyncpg knows both without asking the server: a restarted server costs no request, no
    request pays for a ping, and a transaction that a cancelled task left open harms nobody.
    """
    driver: asyncpg.Connection = connection.driver_connection
    if driver.is_closed() or driver.is_in_transaction():
        raise DisconnectionError
