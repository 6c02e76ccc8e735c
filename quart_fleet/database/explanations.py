"""The errors of PostgreSQL, its driver and the system: what they mean, and a line or two to say it."""

import os
import socket
from dataclasses import dataclass

import asyncpg
from sqlalchemy.exc import DBAPIError

from quart_fleet.database_url import describe, name_of

_CONNECTION_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
_NOT_SENT = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises before it sends a statement, be it because the connection is closed."""

LOST = (*_CONNECTION_LOST, *_NOT_SENT)
"""What a statement may raise on a connection that the server has closed."""

UNPREPARED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What a pooler of transactions makes of prepared statements."""

UNREACHABLE = (
    *_CONNECTION_LOST,
    *UNPREPARED,
    OSError,
    TimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""The server is away, starting, stopping, full, a standby or not ours: worth another try later."""

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DBAPIError,
)
"""What opening a connection may raise."""


def is_lost(connection: asyncpg.Connection, error: Exception) -> bool:
    """Tell a connection that the server has closed from a mistake of the caller."""
    if isinstance(error, _NOT_SENT):
        return bool(connection.is_closed())
    return isinstance(error, _CONNECTION_LOST)


def was_not_carried_out(error: Exception) -> bool:
    """Return whether the statement that raised this on a lost connection had certainly no effect.

    It was not sent, or the server answered that it ends the session instead, which asyncpg
    gives as the cause of the loss since 0.32. Any other loss may have come after the effect.
    """
    return isinstance(error, _NOT_SENT) or isinstance(
        error.__cause__ or error, asyncpg.AdminShutdownError
    )


@dataclass(frozen=True, slots=True)
class Explanation:
    """What went wrong with a database, and what to do next, in a line or two."""

    message: str
    is_unreachable: bool = False
    """No PostgreSQL answers, or it is not ready yet: another attempt may succeed."""

    def __str__(self) -> str:
        return self.message


def explain(error: BaseException, url: str) -> Explanation:
    """Say what went wrong with the database at `url`, and what to do next."""
    cause, place = driver_error(error), describe(url)
    match cause:
        # A file that is not found is a certificate's, unless the server's place is a socket.
        case asyncpg.ClientConfigurationError() | FileNotFoundError() if not (
            isinstance(cause, FileNotFoundError) and " at /" in place
        ):
            return Explanation(f"DATABASE_URL cannot be used: {place} ({reason_of(cause)}).")
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return Explanation(
                f"PostgreSQL refuses the login: {place} ({reason_of(cause)}). Check DATABASE_URL."
            )
        case asyncpg.InvalidCatalogNameError():
            return Explanation(
                f"The database does not exist: {place}. "
                f'Create it (CREATE DATABASE "{name_of(url)}") or correct DATABASE_URL.'
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
            return Explanation(
                f"PostgreSQL cannot be reached: {place} ({reason_of(cause)}). "
                "Start it or correct DATABASE_URL.",
                is_unreachable=True,
            )
        case _:
            return Explanation(f"PostgreSQL refuses: {place} ({reason_of(cause)}).")


def driver_error(error: BaseException) -> BaseException:
    """Dig out asyncpg's own exception, which SQLAlchemy's adapter chains below its own."""
    below = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else None
    return below or error


def reason_of(error: BaseException) -> str:
    """Return in one line what the system, PostgreSQL (with its detail) or Python says."""
    match error:
        case asyncpg.PostgresError(message=str(message)):
            detail = getattr(error, "detail", None)
            return " ".join((f"{message} ({detail})" if detail else message).split())
        case asyncpg.ClientConfigurationError() | asyncpg.ConnectionDoesNotExistError():
            return " ".join(str(error).split())
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror(errno=number):
            return "its name cannot be looked up" if number == socket.EAI_AGAIN else "no such host"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return " ".join(f"{type(error).__name__}: {error}".split())
