"""What services, their tests and the commands about them have to agree on; see also `workspace`."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

PREFIX = "/api/v1"
"""The path below which every service answers."""

FOREIGN_VARIABLES = (
    *("CORS_ORIGINS", "DATABASE_*", "DB_*", "DEBUG", "FORWARDED_ALLOW_IPS", "HOST", "PG*", "PORT"),
    *("KEEP_ALIVE_TIMEOUT", "MAX_CONTENT_LENGTH", "SECRET_KEY", "SECRETS_DIR", "SERVICE_*"),
    "TESTING",
)
"""Patterns of the variables that a service, the database manager or asyncpg would read."""

TOOL_VARIABLES = (*("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"),)
"""Patterns of those that would turn make, pip and uv to another place than a workspace's own."""


def role_of(service: str) -> str:
    """Return the role by which a service logs in to the database: its package's name."""
    return service.replace("-", "_").lower()


def without_foreign_variables(
    environment: Mapping[str, str], patterns: Iterable[str] = FOREIGN_VARIABLES
) -> dict[str, str]:
    """Return the variables that match none of the patterns."""
    return {
        name: value
        for name, value in environment.items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }
