"""Settings, read once at start from the environment and a service's own `.env`."""

import logging
import os
from collections.abc import Iterator, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from shared.database.url import normalise
from shared.errors import ConfigurationError

_log = logging.getLogger(__name__)

SAMPLE_SECRET_KEY = "change-me"  # noqa: S105 - a placeholder that a running service refuses
"""What a generated `.env` holds; good for development only."""

Settings = Mapping[str, str | None]
"""Values by the names of variables, as the environment and `.env` hold them."""


class DatabaseConfig(BaseModel):
    """Where the database is and how it is used."""

    model_config = ConfigDict(frozen=True)

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
            return cls.model_validate(dict(cls._find_values(os.environ, cls._read(dotenv))))
        except ValidationError as error:
            reasons = [_explain(details) for details in error.errors(include_input=False)]
            sources = f"the environment or {dotenv}" if dotenv else "the environment"
            raise ConfigurationError("\n".join([*reasons, f"Set it in {sources}."])) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{dotenv} cannot be read: {error}") from None

    @classmethod
    def _find_values(cls, *sources: Settings) -> Iterator[tuple[str, str]]:
        """Yield each setting's variable and value from the first source where one is not empty."""
        for names in cls._variables():
            found = ((name, source.get(name)) for source in sources for name in names)
            yield from islice(((name, value) for name, value in found if value), 1)

    @classmethod
    def _read(cls, dotenv: Path | None) -> Settings:
        if dotenv is None or not dotenv.exists():
            return {}
        _check_lines(dotenv, {name for names in cls._variables() for name in names})
        return dotenv_values(dotenv)

    @classmethod
    def _variables(cls) -> list[list[str]]:
        """Return for every setting the names by which it is set, the one that wins first."""
        fields = cls.model_fields.items()
        aliases = [field.validation_alias or name for name, field in fields]
        return [
            [str(name) for name in (each.choices if isinstance(each, AliasChoices) else [each])]
            for each in aliases
        ]


class BaseServiceConfig(DatabaseConfig):
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

    @model_validator(mode="after")
    def _refuse_the_sample_secret(self) -> Self:
        usable = self.secret_key.get_secret_value().strip() not in ("", SAMPLE_SECRET_KEY)
        if usable or self.debug or self.testing:
            return self
        raise PydanticCustomError(
            "sample_secret", "SECRET_KEY: set one of your own (or DEBUG=True while developing)"
        )


def _check_lines(dotenv: Path, variables: Set[str]) -> None:
    """Refuse a line that cannot be read, and warn of a name that nobody asks for."""
    with dotenv.open(encoding="utf-8") as lines:
        for binding in parse_stream(lines):
            place = f"{dotenv}, line {binding.original.line}"
            if binding.error or (binding.key is not None and binding.value is None):
                line = binding.original.string.strip()
                raise ConfigurationError(f"{place}: expected NAME=value, got {line!r}")
            if binding.key is not None and binding.key not in variables:
                _log.warning("%s: %s is no setting of this service", place, binding.key)


def _explain(details: ErrorDetails) -> str:
    variable = ".".join(str(part) for part in details["loc"])
    return f"{variable}: {details['msg']}" if variable else details["msg"]
