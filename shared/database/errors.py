"""What PostgreSQL and its driver complain of, in the words of `shared.errors`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.errors import AlreadyExistsError, DatabaseUnavailableError

_UNREACHABLE = (
    OSError,
    asyncio.TimeoutError,
    PoolTimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""A server that is away, starting, stopping or full: worth another try later."""


@contextmanager
def reported_as_service_errors() -> Iterator[None]:
    """Turn an unreachable database into DatabaseUnavailableError; pass the rest on."""
    try:
        yield
    except _UNREACHABLE as error:
        raise DatabaseUnavailableError from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(_driver_error(error), _UNREACHABLE):
            raise DatabaseUnavailableError from error
        raise


def find_refused_field(error: IntegrityError, fields: dict[str, str]) -> AlreadyExistsError | None:
    """Name the field whose unique constraint refused a write; None for any other constraint.

    `fields` maps a constraint's name to the field it keeps unique.
    """
    constraint = getattr(_driver_error(error), "constraint_name", None)
    field = fields.get(str(constraint))
    return AlreadyExistsError(field) if field else None


def _driver_error(error: DBAPIError) -> BaseException | None:
    """Dig out asyncpg's own exception, which SQLAlchemy's adapter chains below its own."""
    return error.orig.__cause__ if error.orig is not None else None
