"""What PostgreSQL and its driver complain of, in the words of `shared.errors`."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.errors import DatabaseUnavailableError

CONNECTION_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
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


@contextmanager
def reported_as_unavailable() -> Iterator[None]:
    """Turn an unreachable database into DatabaseUnavailableError; pass the rest on."""
    try:
        yield
    except _UNREACHABLE as error:
        raise DatabaseUnavailableError from error
