"""The errors of PostgreSQL, its driver and the system: what they mean, and a line or two to say it."""

import os
import socket
import ssl
from dataclasses import dataclass

import asyncpg
from sqlalchemy.exc import DBAPIError

from quart_fleet.database_url import describe, name_of

_NOT_SENT = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises before it sends a statement, be it because the connection is closed."""

LOST = (ConnectionError, asyncpg.PostgresError, *_NOT_SENT)
"""What a statement may raise on a connection that the server has closed: `is_lost` tells."""

UNPREPARED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What a pooler of transactions makes of prepared statements."""

# SQLSTATE: PostgreSQL's manual, "PostgreSQL Error Codes"; the first two characters are the class.
_UNAVAILABLE_CLASSES = frozenset({
    "08",  # the connection
    "28",  # the login, as after a password was changed
    "40",  # rolled back: a deadlock, a serialization failure, a conflict with recovery
    "53",  # disk, memory, connections, temporary files: all in use
    "55",  # an object is locked, in use or not in the state that is needed
    "57",  # an operator: shutdown, start, a cancelled statement, a dropped database
    "58",  # the system below PostgreSQL, as its files
    "72",  # the snapshot is too old
    "F0",  # the server's configuration
})  # fmt: skip
_UNAVAILABLE_CODES = frozenset({
    "25006",  # the server only reads, as after a failover
    "25P03",  # the session was idle in a transaction for too long
    "25P04",  # the transaction took too long
    "3D000",  # no such database
    *(error.sqlstate for error in UNPREPARED),
})  # fmt: skip
_MISTAKES = frozenset({
    "40002",  # a constraint, which is the client's to keep
    "55P02",  # a parameter that cannot be set at run time
    "55P04",  # an enumeration's value that was made in this transaction
})  # fmt: skip
_ENDED_CODES = frozenset({"25P03", "25P04", "57P01", "57P02", "57P04", "57P05"})
"""With class 08, what a server says to a session that it ends."""
_NOT_BEGUN_CODES = frozenset({"57P01", "57P05"})
"""What it says instead of carrying out a statement."""

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DBAPIError,
)
"""What opening a connection may raise."""


def is_unavailable(error: BaseException) -> bool:
    """Tell what the database cannot do now, and later may, from a mistake of code or client.

    The server is away, starting, stopping, full, a standby, locked or not ours.
    """
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        return code in _UNAVAILABLE_CODES or (
            code[:2] in _UNAVAILABLE_CLASSES and code not in _MISTAKES
        )
    return isinstance(error, (OSError, TimeoutError, asyncpg.TargetServerAttributeNotMatched))


def was_rolled_back(error: BaseException) -> bool:
    """Return whether the server has undone the whole transaction, which may be tried once more."""
    code = error.sqlstate or "" if isinstance(error, asyncpg.PostgresError) else ""
    return code.startswith("40") and code not in (*_MISTAKES, "40003")  # whose end is not known


def is_server_unavailable(
    error: BaseException, connection: asyncpg.Connection | None = None
) -> bool:
    """Return whether no statement can be carried out now, and not this one alone.

    It may be because the connection, where it is given, was closed by the server. Where another transaction is in the way (classes 40 and 55) the driver's error is left to
    callers, which may try again or say what is locked.
    """
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in ("40", "55"):
        return False
    return is_unavailable(error) or (
        connection is not None and isinstance(error, LOST) and is_lost(connection, error)
    )


def is_lost(connection: asyncpg.Connection, error: Exception) -> bool:
    """Tell a connection that the server has closed from a mistake of the caller."""
    if isinstance(error, _NOT_SENT):
        return bool(connection.is_closed())
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        return code.startswith("08") or code in _ENDED_CODES
    return isinstance(error, ConnectionError)


def was_not_carried_out(error: Exception) -> bool:
    """Return whether the statement that raised this on a lost connection had certainly no effect.

    It was not sent, or the server answered that it ends the session instead, which asyncpg
    gives as the cause of the loss since 0.32. Any other loss may have come after the effect.
    """
    answer = getattr(error.__cause__ or error, "sqlstate", None)
    return isinstance(error, _NOT_SENT) or answer in _NOT_BEGUN_CODES


@dataclass(frozen=True, slots=True)
class Explanation:
    """What went wrong with a database, and what to do next, in a line or two."""

    message: str
    is_unreachable: bool = False
    """No PostgreSQL answers, or it is not ready yet: another attempt may succeed."""

    def __str__(self) -> str:
        return self.message


CORRECT = "correct DATABASE_URL"
"""What to do about an address that was given."""
LOOK = "see: python -m db_manager postgres status"
"""What to do about the workspace's own server, whose address is no setting."""

_NAMED_OTHERWISE = (62, 64)
_INVALID_NOW = (9, 10)
_NOT_TRUSTED = (2, 18, 19, 20, 21, 24)
"""Codes of X509_V_ERR (OpenSSL's manual, X509_STORE_CTX_get_error)."""


_LOGINS = {
    "no encryption": "Write sslmode=require in DATABASE_URL",
    "certificate": "Name the client's certificate by sslcert and sslkey in DATABASE_URL",
}
"""What to do about a login, by what the server says of it."""
_OTHERS = {
    asyncpg.ReadOnlySQLTransactionError: (
        "PostgreSQL only reads: {place}. It is a standby, as after a failover, or was set so: "
        "name the primary server by DATABASE_URL."
    ),
    asyncpg.TargetServerAttributeNotMatched: (
        "No server is what target_session_attrs asks for: {place}. Name another one by "
        "DATABASE_URL, or wait for the failover."
    ),
    asyncpg.InvalidSchemaNameError: (
        "The search_path names no schema that is there: {place}. Create the schema, or correct its "
        "name in DATABASE_URL."
    ),
    **dict.fromkeys(
        UNPREPARED,
        "A pooler shares sessions, where prepared statements are lost: {place}. "
        "Set DATABASE_POOLER=pgbouncer.",
    ),
}
"""What is said where what answers is not what is needed: another server, a pooler, no schema."""


def explain(error: BaseException, url: str, remedy: str = CORRECT) -> Explanation:
    """Say what went wrong with the database at `url`, and what to do next.

    Args:
        error: what the driver, SQLAlchemy or the system has raised.
        url: where the database is.
        remedy: CORRECT or LOOK.
    """
    cause, place = driver_error(error), describe(url)
    reason, is_unreachable = reason_of(cause), False
    match cause:
        case ssl.SSLError():
            message = _explain_tls(cause, place)
        case asyncpg.ClientConfigurationError():
            subject = "DATABASE_URL" if remedy == CORRECT else "The address"
            message = f"{subject} cannot be used: {place} ({reason})."
        case ConnectionError() if "rejected SSL upgrade" in str(cause):
            message = (
                f"PostgreSQL offers no TLS, which sslmode asks for: {place}. Switch it on there "
                "(ssl = on), or write sslmode=disable in DATABASE_URL where the network is trusted."
            )
        case FileNotFoundError() if " at /" not in place:  # it is no socket
            message = f"DATABASE_URL cannot be used: {place} ({reason})."
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            advice = next((advice for word, advice in _LOGINS.items() if word in reason), None)
            usual = (
                "Check DATABASE_URL" if remedy == CORRECT else "Run: python -m db_manager migrate"
            )
            message = f"PostgreSQL refuses the login: {place} ({reason}). {advice or usual}."
        case asyncpg.InvalidCatalogNameError():
            message = (
                f"The database does not exist: {place}. "
                f'Create it (CREATE DATABASE "{name_of(url)}") or {remedy}.'
            )
        case asyncpg.ProtocolViolationError():
            message = (
                f"PostgreSQL, or a pooler before it, refuses the address: {place} ({reason}). "
                "Take that parameter out of DATABASE_URL."
            )
        case (
            asyncpg.ReadOnlySQLTransactionError()
            | asyncpg.TargetServerAttributeNotMatched()
            | asyncpg.InvalidSQLStatementNameError()
            | asyncpg.DuplicatePreparedStatementError()
            | asyncpg.InvalidSchemaNameError()
        ):
            message = _OTHERS[type(cause)].format(place=place)
        case (
            OSError()
            | TimeoutError()
            | asyncpg.PostgresConnectionError()
            | asyncpg.CannotConnectNowError()
            | asyncpg.TooManyConnectionsError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InterfaceError()
        ):
            message = f"PostgreSQL cannot be reached: {place} ({reason}). Start it or {remedy}."
            is_unreachable = True
        case _:
            message = f"PostgreSQL refuses: {place} ({reason})."
    return Explanation(message, is_unreachable)


def _explain_tls(error: ssl.SSLError, place: str) -> str:
    """Say what is wrong with certificates, or what else keeps both sides from TLS."""
    reason = reason_of(error)
    match error:
        case ssl.SSLCertVerificationError(verify_code=code) if code in _NAMED_OTHERWISE:
            return (
                f"The certificate of PostgreSQL is another host's: {place} ({reason}). "
                "Write the host as the certificate has it, or sslmode=verify-ca, in DATABASE_URL."
            )
        case ssl.SSLCertVerificationError(verify_code=code) if code in _INVALID_NOW:
            return (
                f"The certificate of PostgreSQL is not valid now: {place} ({reason}). "
                "Renew it on the server, and check this machine's clock."
            )
        case ssl.SSLCertVerificationError(verify_code=code) if code in _NOT_TRUSTED:
            return (
                "The certificate of PostgreSQL is of another authority than the trusted one: "
                f"{place} ({reason}). Name its authority's certificate by sslrootcert in "
                "DATABASE_URL."
            )
    return (
        f"PostgreSQL and this client agree on no TLS: {place} ({reason}). "
        "Check sslmode, sslcert, sslkey and sslrootcert in DATABASE_URL."
    )


def note_remedy(error: BaseException) -> None:
    """Add what to do to an error of a role that lacks a right, or of a database that lacks a table.

    Logs and pytest show it.
    """
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        error.add_note(
            "A service may use the tables of the models that name it, as by __table_args__ = "
            '{"info": {"service": "user-service"}}. After a change there: python -m db_manager migrate'
        )
    elif isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedColumnError):
        error.add_note(
            "A database may lack what a model has until its revisions are applied: "
            "python -m db_manager migrate"
        )


def driver_error(error: BaseException) -> BaseException:
    """Dig out asyncpg's own exception, which SQLAlchemy's adapter chains below its own."""
    below = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else None
    return below or error


def reason_of(error: BaseException) -> str:
    """Return in one line what the system, PostgreSQL (with its detail) or Python says."""
    match error:
        case asyncpg.PostgresError(message=str(message)):
            detail = getattr(error, "detail", None)
            reason = f"{message} ({detail})" if detail else message
        case asyncpg.ClientConfigurationError() | asyncpg.ConnectionDoesNotExistError():
            reason = str(error)
        case TimeoutError():
            reason = "no answer in time"
        case ssl.SSLError():
            reason = getattr(error, "verify_message", error.reason or str(error)).rstrip(".")
        case socket.gaierror(errno=number):
            is_temporary = number == socket.EAI_AGAIN
            reason = "its name cannot be looked up" if is_temporary else "no such host"
        case OSError(errno=int(number)):
            reason = os.strerror(number)
        case _:
            reason = f"{type(error).__name__}: {error if error.args else 'no reason given'}"
    return " ".join(reason.split())
