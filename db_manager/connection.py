"""The way to the database: DATABASE_URL, or else the workspace's embedded server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db_manager.errors import ManagerError, UnreachableError
from db_manager.workspace import get_workspace
from quart_fleet.database._engine import create_engine
from quart_fleet.database._pool import FAREWELL
from quart_fleet.database.explanations import CONNECTION_ERRORS, explain
from quart_fleet.database_url import describe
from quart_fleet.errors import ConfigurationError
from quart_fleet.settings import DatabaseSettings

CONNECTIONS = 2
"""One for the work, one for the lock."""

_END_TIMEOUT = 5_000
"""Milliseconds that the server waits for a session to end."""

RETRY_INTERVAL = 0.25
"""Seconds between two tries to reach a server that is starting."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database that answers."""

    url: str
    engine: AsyncEngine
    _lent: set[asyncpg.Connection] = field(
        default_factory=set, init=False, repr=False, compare=False
    )

    @property
    def place(self) -> str:
        """Where it is, without its password."""
        return describe(self.url)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection; raises ManagerError in place of the driver's errors."""
        async with AsyncExitStack() as resources:
            try:
                connection = await resources.enter_async_context(self.engine.connect())
                driver = (await connection.get_raw_connection()).driver_connection
            except CONNECTION_ERRORS as error:
                raise _refusal(error, self.url) from error
            self._lent.add(driver)
            resources.callback(self._lent.discard, driver)
            try:
                yield connection
            except DBAPIError as error:
                raise _refusal(error, self.url) from error

    def cut(self) -> list[int]:
        """Close the connections that are lent, at once; return the server's processes behind them.

        Who waits for a statement gets an error. To cancel the task would not do: its ROLLBACK waits
        for the statement's end, which asyncpg before 0.32 misses where the connection is lost.
        """
        cut = [driver for driver in self._lent if not driver.is_closed()]
        processes = [driver.get_server_pid() for driver in cut]
        for driver in cut:
            driver.terminate()
        return processes

    async def end(self, processes: list[int]) -> None:
        """Have the server end sessions that were cut, and with them their statements, if it can."""
        with suppress(UnreachableError, TimeoutError):
            async with asyncio.timeout(FAREWELL), self.connect() as connection:
                for process in processes:
                    end = func.pg_terminate_backend(process, _END_TIMEOUT)
                    await connection.execute(select(end))


@asynccontextmanager
async def open_target(config: DatabaseSettings, wait: float = 0) -> AsyncIterator[Target]:
    """Reach the database, trying for `wait` seconds; raises ManagerError."""
    if config.database_pooler is not None:
        raise ManagerError(
            f"DATABASE_POOLER={config.database_pooler}: its pooled transactions cannot hold the lock "
            "of a migration.\nName the server itself by DATABASE_URL, and unset DATABASE_POOLER."
        )
    if config.database_url is not None:
        async with _connected(config.database_url, config, wait) as target:
            yield target
        return
    async with _embedded_server() as url, _connected(url, config, wait) as target:
        yield target


def load_config() -> DatabaseSettings:
    """Read the environment; raises ManagerError."""
    try:
        return get_workspace().load_settings().load()
    except ConfigurationError as error:
        raise ManagerError(error.message) from None


def place_of_database() -> str:
    """Say which database the commands use, without reaching for it; raises ManagerError."""
    url = load_config().database_url
    return describe(url) if url else "the workspace's embedded PostgreSQL"


@asynccontextmanager
async def _embedded_server() -> AsyncIterator[str]:
    from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError  # noqa: PLC0415

    try:
        async with EmbeddedPostgres(get_workspace().postgres_folder) as url:
            yield url
    except EmbeddedPostgresError as error:
        raise ManagerError(str(error)) from error


@asynccontextmanager
async def _connected(url: str, config: DatabaseSettings, wait: float) -> AsyncIterator[Target]:
    # DB_ECHO would print between the results, and DB_POOL_SIZE is about services.
    ours = config.model_copy(update={"db_echo": False, "db_pool_size": CONNECTIONS})
    target = Target(url, create_engine(url, ours))
    try:
        await _reach(target, monotonic() + wait)
        yield target
    finally:
        await target.engine.dispose()


def _refusal(error: BaseException, url: str) -> ManagerError:
    """Say what went wrong with the database at `url`."""
    explanation = explain(error, url)
    kind = UnreachableError if explanation.is_unreachable else ManagerError
    return kind(explanation.message)


async def _reach(target: Target, deadline: float) -> None:
    while True:
        try:
            async with target.connect():
                return
        except UnreachableError as error:
            if monotonic() >= deadline:
                raise UnreachableError(f"{error} --wait SECONDS keeps trying.") from error
        await asyncio.sleep(RETRY_INTERVAL)
