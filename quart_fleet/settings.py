"""Settings, read once at start from the environment and a service's own `.env`.

A field is read from the variable of its name in capitals: `db_echo` from DB_ECHO. The classes of a
workspace and of its services derive from these, and add fields or give them other defaults.
"""

import os
import re
from functools import partial
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from quart_fleet.conventions import SECRETS, is_host
from quart_fleet.database_url import normalise, with_password
from quart_fleet.errors import ConfigurationError
from quart_fleet.files import read_text
from quart_fleet.logs import HOSTED, is_secret, read_levels

SAMPLE_SECRET_KEY = "change-me"  # noqa: S105 - a placeholder that a running service refuses
"""The SECRET_KEY of `.env.example`; good for development only."""

MOST_POOLED = 80
"""Connections that the pools of all services in one process open by themselves: PostgreSQL allows
100 by default, of which three are for its superuser."""

_WORDS = {
    **dict.fromkeys(("int_parsing", "int_from_float", "int_parsing_size"), "write a whole number"),
    **dict.fromkeys(("float_parsing", "finite_number"), "write a number"),
    "bool_parsing": "write True or False",
}
"""What is said in place of pydantic's words, which are about the input of a program."""

_PORTS = range(1, 65536)

_OTHER_NAMES = {"SERVICE_PORT": "PORT", "TRUSTED_PROXIES": "FORWARDED_ALLOW_IPS"}
"""What else a variable is called: by hosting platforms, and by ASGI servers."""


def _variable(field: str) -> str | AliasChoices:
    """Return what a field is read from."""
    name = field.upper()
    other = _OTHER_NAMES.get(name)
    return AliasChoices(name, other) if other else name


_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
"""As browsers send it: scheme, host and port, without a path (RFC 6454, section 6.2)."""


class DatabaseSettings(BaseSettings):
    """Where the database is and how it is used."""

    model_config = SettingsConfigDict(
        frozen=True,
        hide_input_in_errors=True,  # which may be a secret
        extra="ignore",
        case_sensitive=True,
        env_ignore_empty=True,
        alias_generator=AliasGenerator(validation_alias=_variable),
    )

    database_password: SecretStr | None = None
    """The password of DATABASE_URL's user, where the URL has none."""
    database_url: Annotated[str, AfterValidator(normalise)] | None = Field(default=None, repr=False)
    """A libpq URL for asyncpg; None means the workspace's embedded server."""
    protected: bool = False
    """Whether the database manager destroys nothing of it, whatever it is told."""
    db_echo: bool = False
    db_pool_size: int = Field(default=10, ge=1, le=1000)
    """How many connections one process opens at most."""
    db_connection_lifetime: float = Field(default=1800, gt=0, allow_inf_nan=False)
    """Seconds after which a connection is replaced, as a password or an address may have changed."""
    database_pooler: Literal["pgbouncer", "pgbouncer-prepared"] | None = None
    """What pools transactions behind DATABASE_URL: then no statement stays prepared, unless it is
    a PgBouncer with max_prepared_statements."""

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read the environment, which wins, then `folder/.env`, then the folder of secrets.

        In the latter a setting is a file, named as its variable. Raises ConfigurationError, which
        names every variable that cannot be used.
        """
        dotenv = folder / ".env" if folder else None
        secrets = Path(os.environ.get("SECRETS_DIR") or SECRETS)
        try:
            if dotenv and dotenv.exists():
                _refuse_unreadable_line(dotenv)
            # `-sig`: with or without a byte order mark.
            found = cls(  # type: ignore[call-arg]  # pydantic-settings' own keywords
                _env_file=dotenv,
                _env_file_encoding="utf-8-sig",
                _secrets_dir=secrets if secrets.is_dir() else None,
            )
            hosted = HOSTED.get()
            if hosted is None or "db_pool_size" in found.model_fields_set:
                return found
            share = max(1, MOST_POOLED // len(hosted.all))
            return found.model_copy(update={"db_pool_size": min(share, found.db_pool_size)})
        except ValidationError as error:
            reasons = cls._explain(error)
        except SettingsError as error:
            raise ConfigurationError(f"A file in {secrets} cannot be read: {error}") from None
        except OSError as error:
            raise ConfigurationError(f"{dotenv} cannot be read: {error}") from None
        if dotenv is None:
            remedy = "Set it in the environment."
        elif dotenv.exists():
            remedy = f"Set it in the environment or {dotenv}."
        else:
            remedy = (
                f"Set it in the environment, or make {dotenv}, for development: "
                "python -m scaffold env"
            )
        raise ConfigurationError("\n".join([*reasons, remedy]))

    @field_validator("database_url")
    @classmethod
    def _add_password(cls, url: str | None, info: ValidationInfo) -> str | None:
        password = info.data.get("database_password")
        return with_password(url, password.get_secret_value()) if url and password else url

    @classmethod
    def _explain(cls, error: ValidationError) -> list[str]:
        """Return a line for each variable that cannot be used, without its value."""
        aliases = (field.validation_alias for field in cls.model_fields.values())
        choices = (alias.choices for alias in aliases if isinstance(alias, AliasChoices))
        # pydantic reports the first of several names: which of them was set is not known.
        names = {str(each[0]): " or ".join(map(str, each)) for each in choices}
        lines = []
        for details in error.errors(include_input=False):
            variable = ".".join(map(str, details["loc"]))
            prefix = f"{names.get(variable, variable)}: " if variable else ""
            lines.append(prefix + _WORDS.get(details["type"], details["msg"]))
        return lines


def _read_origins(value: object) -> object:
    """Read `https://a.example,https://b.example`; `*` alone means every origin."""
    if not isinstance(value, str):
        return value
    if value.strip() == "*":
        return None
    origins = frozenset(part.strip() for part in value.split(","))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise PydanticCustomError(
                "origin", "write each origin like https://app.example.com, and nothing after it"
            )
    return origins


def _refuse_what_is_no_proxy(value: str) -> str:
    """Refuse a name, which no client's address equals, and a network that is none."""
    for part in value.split(","):
        if part.strip() != "*":
            try:
                ip_network(part.strip())
            except ValueError:
                raise PydanticCustomError(
                    "proxy", "write addresses, networks such as 10.0.0.0/8, or *, comma-separated"
                ) from None
    return value


_BASE_PATH = re.compile(r"[\w/.~%-]*", re.ASCII)


def _read_address(value: str, example: str) -> str:
    """Return an address of HTTP without a slash at its end; refuse what is none, or has a secret."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
        place = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
        path = value.partition("//")[2].removeprefix(parts.netloc)
        is_address = (
            parts.scheme in ("http", "https")
            and is_host(host)
            and port != 0
            and parts.netloc.lower()
            == place  # without a user, a password or what else there may be
            and bool(_BASE_PATH.fullmatch(path))
        )
    except ValueError:  # which quotes the port
        is_address = False
    if not is_address:
        raise PydanticCustomError("address", "write the address as {example}", {"example": example})
    return value.rstrip("/")


ServiceURL = Annotated[
    str,
    AfterValidator(partial(_read_address, example="http://user-service:8081, without /api/v1")),
]
"""Where another service is, as `http://user-service:8081`."""


def _refuse_what_is_no_token(token: SecretStr) -> SecretStr:
    """Refuse what no header has."""
    if not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise PydanticCustomError("token", "write the token alone, in one line of ASCII")
    return token


def _refuse_what_is_no_level(value: str) -> str:
    try:
        read_levels(value)
    except ValueError:
        raise PydanticCustomError(
            "level", "write DEBUG, INFO, WARNING, ERROR or CRITICAL, and of one logger as "
            "sqlalchemy.engine=DEBUG, comma-separated",
        ) from None  # fmt: skip
    return value


def _refuse_what_is_no_host(value: str) -> str:
    if not is_host(value):
        raise PydanticCustomError("host", "write a name or an address alone, as 10.0.0.7")
    return value


class ServiceSettings(DatabaseSettings):
    """The settings of every service.

    `debug` and `testing` are what development and tests run on; without both, the sample secret
    and the embedded server are refused.
    """

    debug: bool = False
    testing: bool = False
    log_level: Annotated[str, AfterValidator(_refuse_what_is_no_level)] | None = None
    """As `INFO,sqlalchemy.engine=DEBUG`; None: DEBUG with `debug`, else INFO."""
    log_format: Literal["console", "json"] | None = None
    """None: `console` with `debug` and on a terminal, else `json`."""
    live_folder: Path | None = None
    """With `debug`, where each process has a socket by which it can be followed."""
    docs: bool | None = None
    """Whether `/api/v1/docs` shows the routes in a browser; None: with `debug`."""
    secret_key: SecretStr = SecretStr(SAMPLE_SECRET_KEY)
    service_name: str = "service"
    service_port: int = 8080
    service_version: str | None = None
    """The version of the service; None: what the workspace's project file says."""
    metrics_port: int | None = None
    """The port where Prometheus asks for the metrics, at HOST; None: nothing is measured."""
    host: str = "127.0.0.1"
    keep_alive_timeout: int = Field(default=75, ge=1)
    """Seconds that a connection stays open for its next request: longer than the 60 that load
    balancers keep it, which would otherwise send a request to one that is being closed."""
    request_timeout: float = Field(default=30, gt=0, allow_inf_nan=False)
    """Seconds that a request may take as a whole: waits for a connection, statements and all else.
    Then it is answered 503, and its statement cancelled. The time in which a body comes and in
    which an answer is streamed is not counted."""
    graceful_timeout: int = Field(default=30, ge=1)
    """Seconds that running requests get after SIGTERM."""
    max_connections: int | None = Field(default=None, ge=10)
    """How many clients may be connected to one process; None: as many as its open files allow."""
    max_head_size: int = Field(default=64 * 1024, ge=1024)
    """The largest head of a request, in bytes: its first line and its headers."""
    max_headers: int = Field(default=100, ge=10)
    head_timeout: int = Field(default=10, ge=1)
    """Seconds from the first byte of a request to the end of its head."""
    send_timeout: int = Field(default=60, ge=1)
    """Seconds after which a client that takes no byte of its answer is given up."""
    max_running_requests: int = Field(default=1000, ge=1)
    """How many requests one process answers at a time; more get 503."""
    max_body_memory: int = Field(default=32 * 1024 * 1024, ge=1024 * 1024)
    """Bytes of request bodies that one process holds; what is more gets 503."""
    trusted_proxies: Annotated[str, AfterValidator(_refuse_what_is_no_proxy)] = "127.0.0.1"
    """Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed,
    comma-separated; `*` means every one."""
    call_timeout: float = Field(default=5, gt=0, allow_inf_nan=False)
    """Seconds that a call of another service may take as a whole, repetitions included."""
    max_running_calls: int = Field(default=100, ge=1)
    """How many calls of one other service are in progress at a time; more wait for their turn."""
    max_answer_size: int = Field(default=1024 * 1024, ge=1)
    """The largest answer of another service, in bytes."""
    service_registry_url: (
        Annotated[str, AfterValidator(partial(_read_address, example="http://127.0.0.1:8500"))]
        | None
    ) = None
    """Where a registry with Consul's HTTP API is: the service is registered there, and those that
    it calls are looked up, unless they have an address of their own."""
    service_registry_token: (
        Annotated[SecretStr, AfterValidator(_refuse_what_is_no_token)] | None
    ) = None
    """The token that the registry is asked with, in the header X-Consul-Token."""
    service_address: Annotated[str, AfterValidator(_refuse_what_is_no_host)] | None = None
    """The host that the service is registered with, without a port. None: HOST where it is one, else
    that by which the registry is reached, or its own agent's."""
    max_content_length: int = Field(default=1024 * 1024, ge=1)
    """The largest request body, in bytes."""
    cors_origins: Annotated[frozenset[str] | None, NoDecode, BeforeValidator(_read_origins)] = None
    """The origins whose scripts may read the answers; None means all of them."""

    @field_validator("service_port", "metrics_port")
    @classmethod
    def _refuse_what_is_no_port(cls, port: int | None, info: ValidationInfo) -> int | None:
        """Hold for the defaults and types of derived classes too."""
        if port is not None and port == info.data.get("service_port"):
            raise PydanticCustomError("taken", "choose another port than SERVICE_PORT")
        if port is not None and port not in _PORTS:
            raise PydanticCustomError(
                "port", "a port is a number from {first} to {last}",
                {"first": _PORTS[0], "last": _PORTS[-1]},
            )  # fmt: skip
        return port

    @model_validator(mode="after")
    def _refuse_what_is_for_development(self) -> Self:
        if self.debug or self.testing:
            return self
        reasons = []
        if self.secret_key.get_secret_value().strip() in ("", SAMPLE_SECRET_KEY):
            reasons.append("SECRET_KEY: set one of your own (or DEBUG=True while developing)")
        if self.database_url is None:
            reasons.append(
                "DATABASE_URL: set it (the embedded PostgreSQL is for DEBUG=True and TESTING=True)"
            )
        if reasons:
            raise PydanticCustomError(
                "for_development", "{reasons}", {"reasons": "\n".join(reasons)}
            )
        return self


_CUT_URL = re.compile(
    r"DATABASE_URL\s*=\s*[\w+]+://(?:[^\s/#@:]*:[^#@/]*\s#\S*@|\S*[?&]password=[^#&\n]*\s#\S)",
    re.IGNORECASE,
)
"""An address in whose password python-dotenv takes a comment to begin."""
_CUT_SECRET = re.compile(
    r"=[^\S\n]*(?!true\b|false\b|[\d.]+\s|/)[^\s'\"](?:(?!\s#)[^\n])*+\s#\S", re.IGNORECASE
)
"""A value without quotes, no number, switch or path, and behind it what is rather more of it than a comment."""


def _refuse_unreadable_line(dotenv: Path) -> None:
    """Refuse what python-dotenv would skip, cut or leave out; the line itself may be a secret."""
    known = set(os.environ)
    for binding in parse_stream(StringIO(read_text(dotenv))):
        text = binding.original.string
        blank = text[: len(text) - len(text.lstrip())].count("\n")
        place = f"{dotenv}, line {binding.original.line + blank}"
        if binding.error:
            raise ConfigurationError(f"{place} cannot be read: expected NAME=value")
        if not binding.key:
            continue
        if _CUT_URL.search(text) or (is_secret(binding.key) and _CUT_SECRET.search(text)):
            raise ConfigurationError(f"{place}: ` #` begins a comment. Write {binding.key}='...'")
        for part in parse_variables(binding.value or ""):
            if isinstance(part, Variable) and part.default is None and part.name not in known:
                raise ConfigurationError(
                    f"{place}: ${{...}} stands for a variable, in quotes too, and none of that name "
                    f"is set. Set {binding.key} in the environment in place of this line."
                )
        known.add(binding.key)
