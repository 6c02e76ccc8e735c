"""How messages name a database."""

import pytest

from quart_fleet.database_url import describe


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:hunter2@db.example:5433/fleet", "fleet at db.example:5433"),
        ("postgresql://ada@db.example", "ada at db.example:5432"),
        ("postgresql:///fleet?host=/run/postgresql", "fleet at /run/postgresql"),
        ("postgresql://ada@db.example/the%20fleet", "the fleet at db.example:5432"),
        ("postgresql://", "postgres at localhost:5432"),
    ],
)
def test_a_database_is_described_without_its_password(url: str, shown: str) -> None:
    assert describe(url) == shown
