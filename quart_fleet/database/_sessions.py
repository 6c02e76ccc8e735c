"""Ordinary ORM sessions: the engines of SQLAlchemy that they are on, and migrations with them."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.sql.selectable import SelectBase

from quart_fleet.bounds import BOUND
from quart_fleet.database._connector import CONNECT_TIMEOUT, Connector, Pooling
from quart_fleet.database._statement import tell_of
from quart_fleet.database.explanations import driver_error, is_server_unavailable
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.settings import DatabaseSettings

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

    from quart_fleet.database._engine import Database


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
        hide_parameters=True,  # in its lines and in what its errors say
        pool_size=config.db_pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_pre_ping=True,
        pool_recycle=int(config.db_connection_lifetime) or 1,
    )


def _tell_unavailable(context: "ExceptionContext") -> None:
    """Raise DatabaseUnavailableError in place of what SQLAlchemy would raise of a server's absence."""
    if context.is_pre_ping:  # of a connection that is replaced
        return
    if bound := BOUND.get():
        bound.waits.discard(context.execution_context)
    error = context.sqlalchemy_exception or context.original_exception
    cause = driver_error(error)
    if context.is_disconnect or is_server_unavailable(cause):
        raise DatabaseUnavailableError from cause


def _begin_statement(*arguments: Any) -> None:
    """Say in the request's bound what a session is at; all but a SELECT of SQLAlchemy's may write."""
    if bound := BOUND.get():
        context = arguments[4]
        compiled = getattr(context, "compiled", None)
        if not isinstance(getattr(compiled, "statement", None), SelectBase):
            bound.has_written = True
        bound.waits.add(context)


def _end_statement(*arguments: Any) -> None:
    if bound := BOUND.get():
        bound.waits.discard(arguments[4])


LISTENERS: dict[str, Callable[..., None]] = {
    "before_cursor_execute": _begin_statement,
    "after_cursor_execute": _end_statement,
    "handle_error": _tell_unavailable,
}
"""What SQLAlchemy calls for the sessions of a database (its documentation, "Core Events")."""


def listeners_of(database: "Database") -> list[tuple[str, Callable[..., None]]]:
    """Return what tells a database and its observers of the statements of sessions."""

    def begin(*arguments: Any) -> None:
        if database.observers.have_statements:
            arguments[4].started = perf_counter()

    def end(*arguments: Any) -> None:
        if database.observers.have_statements:
            tell_of(arguments[2], arguments[4].started, None, database)

    def fail(failed: "ExceptionContext") -> None:
        started = getattr(failed.execution_context, "started", None)
        error = driver_error(failed.sqlalchemy_exception or failed.original_exception)
        database.note_full_disk(error)
        if database.observers.have_statements and started is not None:
            tell_of(failed.statement or "", started, error, database)

    return [("before_cursor_execute", begin), ("after_cursor_execute", end), ("handle_error", fail)]


joined: ContextVar[asyncpg.Connection] = ContextVar("_joined")
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


def create_joined_engine(config: DatabaseSettings) -> "AsyncEngine":
    """Make an engine without a pool, which leaves BEGIN and COMMIT to the unit of work."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    async def connect() -> _JoinedConnection:
        return _JoinedConnection(joined.get())

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": connect, "prepared_statement_cache_size": 0},
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        echo=config.db_echo,
        hide_parameters=True,  # in its lines and in what its errors say
    )
