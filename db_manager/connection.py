"""The way to the database: DATABASE_URL, or else the workspace's embedded server."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db_manager.errors import ManagerError, UnreachableError
from shared.config import DatabaseConfig
from shared.database.engine import create_engine
from shared.database.url import describe
from shared.errors import ConfigurationError

RETRY_INTERVAL = 0.25
"""Seconds between two tries to reach a server that is starting."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database that answers."""

    url: str
    engine: AsyncEngine

    @property
    def place(self) -> str:
        """Where it is, without its password."""
        return describe(self.url)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection; raises ManagerError in place of the driver's errors."""
        with explained(self.url):
            async with self.engine.connect() as connection:
                yield connection


@asynccontextmanager
async def open_target(config: DatabaseConfig, wait: float = 0) -> AsyncIterator[Target]:
    """Reach the database, trying for `wait` seconds; raises ManagerError."""
    if config.database_url is not None:
        async with _connected(config.database_url, config, wait) as target:
            yield target
        return
    async with _embedded_server() as url, _connected(url, config, wait) as target:
        yield target


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what the driver says about connecting to `url` into one line for people."""
    try:
        yield
    except (
        DBAPIError,
        OSError,
        TimeoutError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        explanation = _explain(driver_error(error), url)
        if explanation is None:
            raise
        raise explanation from error


def driver_error(error: BaseException) -> BaseException:
    """Dig out asyncpg's own exception, which SQLAlchemy's adapter chains below its own."""
    below = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else None
    return below or error


def load_config() -> DatabaseConfig:
    """Read the environment; raises ManagerError."""
    try:
        return DatabaseConfig.load()
    except ConfigurationError as error:
        raise ManagerError(error.message) from None


@asynccontextmanager
async def _embedded_server() -> AsyncIterator[str]:
    from db_manager.postgres import EmbeddedPostgres, EmbeddedPostgresError  # noqa: PLC0415

    try:
        async with EmbeddedPostgres.of_workspace() as url:
            yield url
    except EmbeddedPostgresError as error:
        raise ManagerError(str(error)) from error


@asynccontextmanager
async def _connected(url: str, config: DatabaseConfig, wait: float) -> AsyncIterator[Target]:
    target = Target(url, create_engine(url, config))
    try:
        await _reach(target, monotonic() + wait)
        yield target
    finally:
        await target.engine.dispose()


async def _reach(target: Target, deadline: float) -> None:
    while True:
        try:
            async with target.connect():
                return
        except UnreachableError:
            if monotonic() >= deadline:
                raise
        await asyncio.sleep(RETRY_INTERVAL)


def _explain(error: BaseException, url: str) -> ManagerError | None:
    place, name = describe(url), urlsplit(url).path.lstrip("/")
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return ManagerError(
                f"PostgreSQL refuses the login: {place} ({reason_of(error)}). Check DATABASE_URL."
            )
        case asyncpg.InvalidCatalogNameError():
            return ManagerError(
                f"The database does not exist: {place}.\n"
                f'Create it (CREATE DATABASE "{name}"), or correct DATABASE_URL.'
            )
        case (
            OSError()
            | TimeoutError()
            | asyncpg.PostgresConnectionError()
            | asyncpg.CannotConnectNowError()
            | asyncpg.TooManyConnectionsError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InterfaceError()
        ):
            return UnreachableError(
                f"PostgreSQL cannot be reached: {place} ({reason_of(error)}).\n"
                "Start it or correct DATABASE_URL; --wait SECONDS keeps trying."
            )
    return None


def reason_of(error: BaseException) -> str:
    """Return the first line of what the system or PostgreSQL says."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return (str(error) or type(error).__name__).splitlines()[0]
