"""What every peer says in the same words, and how it reads its surroundings."""

import os
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

DATABASE_URL = os.environ["DATABASE_URL"]
POOL_SIZE = int(os.environ.get("DB_POOL_SIZE", "10"))
WELCOME = "Welcome to user-service"
REASONS = {
    "string_type": "Must be a string",
    "string_too_long": "Must be at most {max_length} characters",
    "int_type": "Must be an integer",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
}
"""The contract's words for pydantic's error types."""


@lru_cache(maxsize=4096)
def http_date(moment: datetime) -> str:
    """Write a time in UTC as HTTP does; every competitor keeps what it has written."""
    return format_datetime(moment, usegmt=True)


def sqlalchemy_url() -> str:
    """Return the database's address as SQLAlchemy's engines take it."""
    return DATABASE_URL.replace("postgresql://", "postgresql+asyncpg://", 1)
