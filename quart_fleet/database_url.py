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
    look for client keys in HOME, which may not be readable.
    """
    parts = _split(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    if parts.hostname in _LOCAL_HOSTS:
        query.setdefault("sslmode", "disable")
    if query.get("sslmode", "prefer") not in _SSL_MODES:
        raise PydanticCustomError("database_url", f"sslmode is one of {', '.join(_SSL_MODES)}")
    parameters = f"?{urlencode(query, safe='/', quote_via=quote)}" if query else ""
    return f"postgresql://{parts.netloc}{parts.path}{parameters}"


def describe(url: str) -> str:
    """Say which database `url` means without its password: `name at host:port`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.get("host") or unquote(parts.hostname or "localhost")
    place = host if host.startswith("/") else f"{host}:{parts.port or 5432}"
    return f"{name_of(url)} at {place}"


def name_of(url: str) -> str:
    """Return the database's name, which is the user's where `url` has none."""
    parts = urlsplit(url)
    return unquote(parts.path.lstrip("/") or parts.username or "postgres")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what refuses a bad port
    except ValueError as error:
        raise PydanticCustomError("database_url", "not a URL: {why}", {"why": str(error)}) from None
    if parts.scheme not in _SCHEMES:
        raise PydanticCustomError(
            "database_url", "expected postgresql://user:password@host:port/name"
        )
    return parts
