"""What PostgreSQL, its driver and the system complain of, in words for people."""

import socket

import asyncpg
import pytest

from quart_fleet.database.explanations import explain


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("?sslmode=foo", "`sslmode` parameter must be one of: disable, allow"),
        ("?sslmode=verify-full&sslrootcert=/nope", "No such file or directory"),
    ],
)
async def test_a_url_that_cannot_be_used_is_not_called_unreachable(query: str, reason: str) -> None:
    message = await complaint(f"postgresql://app:s3cret@127.0.0.1:1/app{query}")

    assert message.startswith(f"DATABASE_URL cannot be used: app at 127.0.0.1:1 ({reason}")


async def test_a_socket_that_is_not_there_is_an_unreachable_server() -> None:
    message = await complaint("postgresql:///app?host=/nowhere")

    assert message.startswith("PostgreSQL cannot be reached: app at /nowhere (No such file or")


@pytest.mark.parametrize(
    ("url", "name"),
    [("postgresql://app@db/the%20fleet", "the fleet"), ("postgresql://app@db", "app")],
)
def test_a_missing_database_is_named_as_it_is_to_be_created(url: str, name: str) -> None:
    message = str(explain(asyncpg.InvalidCatalogNameError(), url))

    assert f'does not exist: {name} at db:5432. Create it (CREATE DATABASE "{name}")' in message


def test_a_host_that_does_not_exist_is_said_so() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    message = str(explain(error, "postgresql://app@db.internal/app"))

    assert "app at db.internal:5432 (no such host). Start it" in message


def test_a_name_that_could_not_be_looked_up_is_not_called_unknown() -> None:
    error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    assert "(its name cannot be looked up)" in str(explain(error, "postgresql://db/app"))


async def complaint(url: str) -> str:
    """Return what is said of a connection that fails."""
    with pytest.raises((OSError, asyncpg.InterfaceError)) as failure:
        await asyncpg.connect(url)
    return str(explain(failure.value, url))
