"""Database URLs: the forms that are read, and what messages say of them."""

import subprocess
import sys

import pytest
from pydantic_core import PydanticCustomError

from quart_fleet.database_url import describe, normalise


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


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("postgresql://app:s3cr#T@db/shop", "postgresql://app:s3cr%23T@db/shop"),
        ("postgresql://app:s3/c?r@db/shop", "postgresql://app:s3%2Fc%3Fr@db/shop"),
        ("postgresql://app:s3:cr@db/shop", "postgresql://app:s3%3Acr@db/shop"),
        ("postgresql://app:s3%40cr@db/shop", "postgresql://app:s3%40cr@db/shop"),
    ],
)
def test_a_password_is_encoded_for_the_driver(url: str, encoded: str) -> None:
    assert normalise(url) == encoded
    assert describe(encoded) == "shop at db:5432"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3@cr:hush@db/shop",
        "postgresql://app:s3@cr@db/shop",
        "postgresql://app:s3@cr/hush@db/shop",
        "postgresql://app:s3@cr?hush@db/shop",
        "postgresql://app:s3cr#hush/shop",
        "postgresql://[s3cr]hush:x@db:y/shop",
        "mysql://app:s3cr@db/hush",
        "app:s3cr#hush@db/shop",
    ],
)
def test_a_refused_url_is_not_quoted_in_part(url: str) -> None:
    with pytest.raises(PydanticCustomError) as refusal:
        normalise(url)

    message = str(refusal.value)
    assert message.endswith("in the password write @ as %40, : as %3A, / as %2F and # as %23")
    assert not any(piece in message for piece in ("s3", "cr", "hush"))


def test_settings_without_a_database_do_not_load_sqlalchemy() -> None:
    code = "import sys, quart_fleet.settings; print('sqlalchemy' in sys.modules)"

    loaded = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "False"
