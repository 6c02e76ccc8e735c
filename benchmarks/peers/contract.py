"""What every peer says in the same words, and how it reads its surroundings."""

import os
from datetime import UTC, datetime

DATABASE_URL = os.environ["DATABASE_URL"]
POOL_SIZE = int(os.environ.get("DB_POOL_SIZE", "10"))
WELCOME = "Welcome to user-service"
REASONS = {
    "string_type": "Must be a string",
    "string_too_long": "Must be at most {max_length} characters",
    "int_type": "Must be an integer",
    "int_parsing": "Must be an integer",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
}
"""The contract's words for pydantic's error types."""


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("", "Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))


def http_date(moment: datetime) -> str:
    """Write a time as HTTP does; by hand, as our services do, so that no peer pays for the form."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return (
        f"{_DAYS[utc.weekday()]}, {_TWO_DIGITS[utc.day]} {_MONTHS[utc.month]} {utc.year:04}"
        f" {_TWO_DIGITS[utc.hour]}:{_TWO_DIGITS[utc.minute]}:{_TWO_DIGITS[utc.second]} GMT"
    )


def link_to_next(limit: int, last_id: int) -> str:
    """Return the value of the header that has the next page's address."""
    return f'</api/v1/users/page?limit={limit}&after={last_id}>; rel="next"'


def sqlalchemy_url() -> str:
    """Return the database's address as SQLAlchemy's engines take it."""
    return DATABASE_URL.replace("postgresql://", "postgresql+asyncpg://", 1)
