"""The forms in which a database's address is written, brought to the one that asyncpg reads."""

from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic_core import PydanticCustomError

_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def normalise(url: str) -> str:
    """Return `url` as asyncpg takes it: `postgresql://user:password@host:port/name?…`.

    A unix socket is given as `?host=/folder`, as libpq has it. SQLAlchemy's `ssl` parameter
    becomes libpq's `sslmode`. On local addresses TLS is off unless asked for: asyncpg would
    look for client keys in HOME, which may not be readable. Raises PydanticCustomError, whose
    message holds no part of the URL.
    """
    try:
        parts = _split(url)
    except ValueError:
        # Neither SQLAlchemy's nor Python's words: both quote what they take for a port.
        raise PydanticCustomError(
            "database_url",
            "expected postgresql://user:password@host:port/name;"
            " in the password write @ as %40, : as %3A, / as %2F and # as %23",
        ) from None
    query = dict(parse_qsl(parts.query))
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    if parts.hostname in _LOCAL_HOSTS:
        query.setdefault("sslmode", "disable")
    if query.get("sslmode", "prefer") not in _SSL_MODES:
        raise PydanticCustomError("database_url", f"sslmode is one of {', '.join(_SSL_MODES)}")
    parameters = f"?{urlencode(query, safe='/', quote_via=quote)}" if query else ""
    return f"postgresql://{parts.netloc}{parts.path}{parameters}"


def describe(url: str) -> str:
    """Return the database that `url` means without its password: `name at host:port`."""
    parts = _split(url)
    query = dict(parse_qsl(parts.query))
    host = query.get("host") or unquote(parts.hostname or "localhost")
    place = host if host.startswith("/") else f"{host}:{parts.port or 5432}"
    return f"{name_of(url)} at {place}"


def name_of(url: str) -> str:
    """Return the database's name, which is the user's where `url` has none."""
    parts = _split(url)
    return unquote(parts.path.lstrip("/") or parts.username or "postgres")


def _split(url: str) -> SplitResult:
    """Read `url` as SQLAlchemy does, which takes unencoded passwords, and encode its parts.

    Raises ValueError, also for a second @: the host would begin in the middle of the password.
    """
    # With what it loads, a fifth of a second: only a process that has a database pays for it.
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError from error
    if parsed.drivername not in _SCHEMES or url.count("@") > 1:
        raise ValueError
    return urlsplit(parsed.render_as_string(hide_password=False))
