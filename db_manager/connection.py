"""The way to the database: DATABASE_URL, or else the workspace's embedded server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db_manager.errors import ManagerError, UnreachableError
from db_manager.workspace import get_workspace
from quart_fleet.database._connector import Connector, Pooling
from quart_fleet.database._engine import create_engine
from quart_fleet.database.explanations import CONNECTION_ERRORS, CORRECT, LOOK, explain
from quart_fleet.database_url import describe
from quart_fleet.errors import ConfigurationError
from quart_fleet.settings import DatabaseSettings

RETRY_INTERVAL = 0.25
"""Seconds between two tries to reach a server that is starting."""
_POOLED = (
    "pooled transactions cannot hold the lock of a migration.\n"
    "Name the server itself by DATABASE_URL, and unset DATABASE_POOLER."
)


@dataclass(frozen=True, slots=True)
class Target:
    """A database that answers."""

    url: str
    engine: AsyncEngine
    remedy: str
    """What to do where it cannot be used."""

    @property
    def place(self) -> str:
        """Where it is, without its password."""
        return describe(self.url)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection; raises ManagerError in place of the driver's errors."""
        async with AsyncExitStack() as resources:
            try:
                connection = await resources.enter_async_context(self.engine.connect())
            except CONNECTION_ERRORS as error:
                raise _refusal(error, self) from error
            try:
                yield connection
            except DBAPIError as error:
                raise _refusal(error, self) from error


@asynccontextmanager
async def open_target(config: DatabaseSettings, wait: float = 0) -> AsyncIterator[Target]:
    """Reach the database, trying for `wait` seconds; raises ManagerError."""
    if config.database_pooler is not None:
        raise ManagerError(f"DATABASE_POOLER={config.database_pooler}: {_POOLED}")
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
    ours = config.model_copy(update={"db_echo": False, "db_pool_size": 1})
    connector = Connector(url, ours)
    remedy = CORRECT if config.database_url else LOOK
    target = Target(url, create_engine(connector, ours), remedy)
    try:
        await _reach(target, monotonic() + wait)
        if connector.pooling is not Pooling.NONE:
            raise ManagerError(f"{target.place} is reached through a pooler: {_POOLED}")
        yield target
    finally:
        connector.close()
        await target.engine.dispose()


def _refusal(error: BaseException, target: Target) -> ManagerError:
    """Say what went wrong with a database."""
    explanation = explain(error, target.url, target.remedy)
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
