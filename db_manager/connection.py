"""The way to the database: DATABASE_URL, or else the workspace's embedded server."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db_manager.errors import LoginRefusedError, ManagerError, UnreachableError
from db_manager.workspace import get_workspace, told_by_file
from quart_fleet.database._connector import Connector, Pooling
from quart_fleet.database._sessions import create_engine
from quart_fleet.database.explanations import (
    CONNECTION_ERRORS,
    CORRECT,
    LOOK,
    driver_error,
    explain,
)
from quart_fleet.database_url import connect_arguments, describe, place_of
from quart_fleet.errors import ConfigurationError
from quart_fleet.settings import DatabaseSettings

DEFAULT_PORT = 5432

Retried = tuple[type[ManagerError], ...]
"""The errors that another try may overcome."""

RETRY_INTERVAL = 0.25
"""Seconds between two tries to reach a server that is starting."""
_POOL_SIZE = 2
"""One connection does the work, and one looks at who keeps it waiting."""
_POOLED = (
    "pooled transactions cannot hold the lock of a migration.\n"
    "Name the server itself by DATABASE_URL, and unset DATABASE_POOLER."
)

_REFUSALS = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError)

_WHERE = text("""
    SELECT current_database() AS name,
           host(inet_server_addr()) AS address,
           coalesce(inet_server_port(), CAST(current_setting('port') AS int)) AS port,
           (SELECT setting FROM pg_settings WHERE name = 'unix_socket_directories') AS sockets,
           pg_postmaster_start_time() AS started
""")
"""What the server says of itself; where its sockets are, it tells superusers and monitors only."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(slots=True)
class Target:
    """A database that answers."""

    url: str = field(repr=False)
    engine: AsyncEngine
    remedy: str
    """What to do where it cannot be used."""
    is_embedded: bool = False
    is_protected: bool = False
    """Whether nothing of it may be destroyed."""
    place: str = ""
    """Where it is, as the server itself says: the address may come from PGHOST, a service file or
    a pooler, and be one of several."""
    _answer: tuple[object, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name of the database, once it has answered."""
        return str(self._answer[0])

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection; raises ManagerError in place of the driver's errors.

        It is a connection to the database of the first one: of several hosts another may answer,
        which the user was not told of.
        """
        async with AsyncExitStack() as resources:
            try:
                connection = await resources.enter_async_context(self.engine.connect())
            except (KeyError, *CONNECTION_ERRORS) as error:
                # Python's getpass, before 3.13 and since: asyncpg asks it for the user's name.
                if isinstance(error, KeyError) or str(error).startswith("No username set"):
                    raise ManagerError(
                        f"DATABASE_URL names no user, and the user {os.getuid()} of this process has "
                        "no name that could stand in: postgresql://USER:PASSWORD@HOST/NAME, or PGUSER."
                    ) from error
                raise _refusal(error, self) from error
            try:
                answer = (await connection.execute(_WHERE)).one()
                await connection.rollback()
                self._answer = self._answer or tuple(answer)
                self.place = self.place or _place(self.url, *answer[:4])
                if tuple(answer) != self._answer:
                    other = _place(self.url, *answer[:4])
                    raise ManagerError(
                        f"Two servers answer in turn: {self.place}, then {other} or its successor. "
                        "Name one by DATABASE_URL."
                    )
                yield connection
            except DBAPIError as error:
                raise _refusal(error, self) from error


@asynccontextmanager
async def open_target(
    config: DatabaseSettings,
    wait: float = 0,
    retried: Retried = (UnreachableError,),
) -> AsyncIterator[Target]:
    """Reach the database; raises ManagerError.

    Args:
        config: where it is.
        wait: seconds to keep trying.
        retried: what to try again after.
    """
    if config.database_url is not None:
        if config.database_pooler is not None:
            raise ManagerError(f"DATABASE_POOLER={config.database_pooler}: {_POOLED}")
        async with _connected(config.database_url, config, wait, retried) as target:
            yield target
        return
    ours = config.model_copy(update={"database_pooler": None})
    async with _embedded_server() as url, _connected(url, ours, wait, retried) as target:
        yield target


def load_config() -> DatabaseSettings:
    """Read the environment; raises ManagerError."""
    try:
        with told_by_file():
            return get_workspace().load_settings().load()
    except ConfigurationError as error:
        raise ManagerError(error.message) from None


def uses_embedded_server() -> bool:
    """Say whether no DATABASE_URL names another one; raises ManagerError."""
    return _is_embedded(load_config().database_url)


def address_of_database() -> str:
    """Say where the settings look for the database, which has not answered; raises ManagerError."""
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


def _is_embedded(url: str | None) -> bool:
    """Whether it is the workspace's embedded server, named or not, as its superuser."""
    if url is None or "host=" not in url:
        return url is None
    from quart_fleet.postgres import EmbeddedPostgres  # noqa: PLC0415

    ours = EmbeddedPostgres(get_workspace().postgres_folder).url()
    return url.partition("@")[0] == ours.partition("@")[0] and place_of(url) == place_of(ours)


@asynccontextmanager
async def _connected(
    url: str, config: DatabaseSettings, wait: float, retried: Retried
) -> AsyncIterator[Target]:
    # DB_ECHO would print between the results, and DB_POOL_SIZE is about services.
    ours = config.model_copy(update={"db_echo": False, "db_pool_size": _POOL_SIZE})
    connector = Connector(url, ours)
    remedy = CORRECT if config.database_url else LOOK
    is_embedded, is_protected = _is_embedded(config.database_url), config.protected
    target = Target(url, create_engine(connector, ours), remedy, is_embedded, is_protected)
    try:
        await _reach(target, monotonic() + wait, retried)
        if connector.pooling is not Pooling.NONE:
            raise ManagerError(f"{target.place} is reached through a pooler: {_POOLED}")
        yield target
    finally:
        connector.close()
        await target.engine.dispose()


async def recreate(url: str) -> None:
    """Drop a database of the embedded server, and create it anew; ends all its connections.

    Killed in between, it leaves no database, or one that cannot be used: the next command that
    connects restores it.
    """
    async with _creating(url) as (connection, name):
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")


async def restore(url: str) -> None:
    """Create the database that a killed `recreate` left out, or only half of it."""
    async with _creating(url) as (connection, name):
        rows = "SELECT datconnlimit = -2 FROM pg_database WHERE quote_ident(datname) = $1"
        is_invalid = await connection.fetchval(rows, name)
        if is_invalid is None or is_invalid:  # else another command has created it
            await connection.execute(f"DROP DATABASE IF EXISTS {name}")
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")


@asynccontextmanager
async def _creating(url: str) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """Connect beside a database, which no other command creates meanwhile; gives its name, quoted."""
    parts = urlsplit(url)
    maintenance = parts._replace(path="/template1").geturl()
    connection = await asyncpg.connect(**connect_arguments(maintenance))
    try:
        await connection.execute(
            "SELECT pg_advisory_lock(hashtext('db_manager creates databases'))"
        )
        yield (
            connection,
            await connection.fetchval("SELECT quote_ident($1)", parts.path.lstrip("/")),
        )
    finally:
        await connection.close()


def _is_dropped(error: ManagerError) -> bool:
    """Say whether a database is not there, or only half of it, as a killed DROP DATABASE leaves it."""
    cause = driver_error(error.__cause__) if error.__cause__ else error
    return isinstance(cause, asyncpg.InvalidCatalogNameError) or (
        isinstance(cause, asyncpg.ObjectNotInPrerequisiteStateError)
        and "invalid database" in str(cause)
    )


def _place(url: str, name: str, address: str | None, port: int, sockets: str | None) -> str:
    """Say where a server is by its answer, and by DATABASE_URL where that has another address."""
    named = urlsplit(url)
    if address is None:
        folder = describe(url).rpartition(" at ")[2]
        known = [each.strip(' "') for each in (sockets or "").split(",") if each.strip()]
        if known and folder not in known:
            folder = known[0]
        answered = folder if port == DEFAULT_PORT else f"{folder}, port {port}"
    else:
        answered = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if not named.hostname or "," in named.netloc:
        return f"{name} at {answered}"
    asked = (named.hostname, named.port or DEFAULT_PORT)
    is_same = asked == (address, port) or (
        address in _LOOPBACK and asked[0] in _LOOPBACK and asked[1] == port
    )
    return f"{name} at {answered}" + ("" if is_same else f" (reached as {asked[0]}:{asked[1]})")


def _refusal(error: BaseException, target: Target) -> ManagerError:
    """Say what went wrong with a database."""
    explanation = explain(error, target.url, target.remedy)
    kind = ManagerError
    if explanation.is_unreachable:
        kind = UnreachableError
    elif isinstance(driver_error(error), _REFUSALS):
        kind = LoginRefusedError
    return kind(explanation.message)


async def _reach(target: Target, deadline: float, retried: Retried) -> None:
    is_restored = False
    while True:
        try:
            async with target.connect():
                return
        except ManagerError as error:
            if target.is_embedded and _is_dropped(error) and not is_restored:
                await restore(target.url)
                is_restored = True
                continue
            if not isinstance(error, retried):
                raise
            if monotonic() >= deadline:
                advice = " --wait SECONDS keeps trying." * isinstance(error, UnreachableError)
                raise type(error)(f"{error}{advice}") from error
        await asyncio.sleep(RETRY_INTERVAL)
