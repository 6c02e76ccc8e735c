"""Settings, read once at start from the environment and a service's own `.env`."""

import logging
import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from quart_fleet.database_url import normalise
from quart_fleet.errors import ConfigurationError

_log = logging.getLogger(__name__)

SAMPLE_SECRET_KEY = "change-me"  # noqa: S105 - a placeholder that a running service refuses
"""What a generated `.env` holds; good for development only."""


_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
"""As browsers send it: scheme, host and port, without a path (RFC 6454, section 6.2)."""


class DatabaseSettings(BaseSettings):
    """Where the database is and how it is used."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=True, env_ignore_empty=True
    )

    database_url: Annotated[str, AfterValidator(normalise)] | None = Field(
        default=None, validation_alias="DATABASE_URL", repr=False
    )
    """A libpq URL for asyncpg; None means the workspace's embedded server."""
    db_echo: bool = Field(default=False, validation_alias="DB_ECHO")
    db_pool_size: int = Field(default=10, ge=1, le=1000, validation_alias="DB_POOL_SIZE")
    """How many connections one process opens at most."""
    database_pooler: Literal["pgbouncer"] | None = Field(
        default=None, validation_alias="DATABASE_POOLER"
    )
    """What pools transactions behind DATABASE_URL: then no statement stays prepared."""

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read the environment, which wins, then `folder/.env` where there is one.

        Raises ConfigurationError, naming every variable that cannot be used.
        """
        dotenv = folder / ".env" if folder else None
        try:
            if dotenv and dotenv.exists():
                _check_lines(dotenv, frozenset(chain.from_iterable(cls._variables())))
            return cls(_env_file=dotenv)  # type: ignore[call-arg]  # pydantic-settings' own keyword
        except ValidationError as error:
            names = {names[0]: " or ".join(names) for names in cls._variables()}
            reasons = [_explain(each, names) for each in error.errors(include_input=False)]
            sources = f"the environment or {dotenv}" if dotenv else "the environment"
            raise ConfigurationError("\n".join([*reasons, f"Set it in {sources}."])) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{dotenv} cannot be read: {error}") from None

    @classmethod
    def _variables(cls) -> list[list[str]]:
        """Return for each setting the names that set it, the one that wins first."""
        aliases = (field.validation_alias or name for name, field in cls.model_fields.items())
        choices = (a.choices if isinstance(a, AliasChoices) else [a] for a in aliases)
        return [[str(name) for name in names] for names in choices]


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
                "origin", "{origin} is no origin: write each like https://app.example.com",
                {"origin": repr(origin)},
            )  # fmt: skip
    return origins


class ServiceSettings(DatabaseSettings):
    """What every service is told; a service that needs more derives its own class."""

    debug: bool = Field(default=False, validation_alias="DEBUG")
    testing: bool = Field(default=False, validation_alias="TESTING")
    secret_key: SecretStr = Field(
        default=SecretStr(SAMPLE_SECRET_KEY), validation_alias="SECRET_KEY"
    )
    service_name: str = Field(default="service", validation_alias="SERVICE_NAME")
    service_port: int = Field(
        default=8080, ge=1, le=65535, validation_alias=AliasChoices("SERVICE_PORT", "PORT")
    )
    host: str = Field(default="127.0.0.1", validation_alias="HOST")
    service_registry_url: str | None = Field(default=None, validation_alias="SERVICE_REGISTRY_URL")
    max_content_length: int = Field(
        default=1024 * 1024, ge=1, validation_alias="MAX_CONTENT_LENGTH"
    )
    """The largest request body, in bytes."""
    cors_origins: Annotated[frozenset[str] | None, NoDecode, BeforeValidator(_read_origins)] = (
        Field(default=None, validation_alias="CORS_ORIGINS")
    )
    """The origins whose scripts may read the answers; None means all of them."""

    @model_validator(mode="after")
    def _refuse_the_sample_secret(self) -> Self:
        usable = self.secret_key.get_secret_value().strip() not in ("", SAMPLE_SECRET_KEY)
        if usable or self.debug or self.testing:
            return self
        raise PydanticCustomError(
            "sample_secret", "SECRET_KEY: set one of your own (or DEBUG=True while developing)"
        )


def _check_lines(dotenv: Path, variables: frozenset[str]) -> None:
    """Refuse a line that cannot be read, and warn of a name that nobody asks for."""
    with dotenv.open(encoding="utf-8") as lines:
        for binding in parse_stream(lines):
            place = f"{dotenv}, line {binding.original.line}"
            if binding.error or (binding.key is not None and binding.value is None):
                line = binding.original.string.strip()
                raise ConfigurationError(f"{place}: expected NAME=value, got {line!r}")
            if binding.key is not None and binding.key not in variables:
                _log.warning("%s: %s is no setting of this service", place, binding.key)


def _explain(details: ErrorDetails, names: Mapping[str, str]) -> str:
    variable = ".".join(str(part) for part in details["loc"])
    return f"{names.get(variable, variable)}: {details['msg']}" if variable else details["msg"]
