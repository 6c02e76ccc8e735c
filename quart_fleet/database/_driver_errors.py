"""What PostgreSQL and its driver complain of, in the words of `quart_fleet.errors`."""

import asyncpg

_CONNECTION_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
_NOT_SENT = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg says of a statement before it sends it, be it because the connection is closed."""

LOST = (*_CONNECTION_LOST, *_NOT_SENT)
"""What a statement may meet on a connection that the server has closed."""

UNREACHABLE = (
    *_CONNECTION_LOST,
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
    """Tell a connection that the server has closed from a mistake of the caller."""
    if isinstance(error, _NOT_SENT):
        return bool(connection.is_closed())
    return isinstance(error, _CONNECTION_LOST)


def is_undone(error: Exception) -> bool:
    """Say of a statement that met this on a lost connection whether it was certainly not done.

    It was not sent, or the server answered that it ends the session instead, which asyncpg
    gives as the cause of the loss since 0.32. Any other loss may have come after the deed.
    """
    return isinstance(error, _NOT_SENT) or isinstance(
        error.__cause__ or error, asyncpg.AdminShutdownError
    )
