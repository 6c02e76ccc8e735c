"""What PostgreSQL and its driver complain of, in the words of `shared.errors`."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.errors import DatabaseUnavailableError

CONNECTION_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What a statement meets on a connection that the server has closed."""

_UNREACHABLE = (
    *CONNECTION_LOST,
    OSError,
    TimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OperatorInterventionError,
)
"""A server that is away, starting, stopping, full or not ours: worth another try later."""


def is_lost(connection: asyncpg.Connection, error: Exception) -> bool:
    """Tell a connection that the server has closed from a mistake of the caller.

    asyncpg has InterfaceError for both, and for a connection that its pool has taken back since
    it was closed.
    """
    if not isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, CONNECTION_LOST)
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


@contextmanager
def reported_as_unavailable() -> Iterator[None]:
    """Turn an unreachable database into DatabaseUnavailableError; pass the rest on."""
    try:
        yield
    except _UNREACHABLE as error:
        raise DatabaseUnavailableError from error
