"""The passwords that `migrate --roles` sets, on a server that asks for them (SCRAM-SHA-256)."""

from collections.abc import Iterator

import asyncpg
import pytest

from db_manager.connection import open_target
from db_manager.manager import DatabaseManager
from quart_fleet.settings import DatabaseSettings
from tests.tls.server import Server

RULES = ("host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256")


@pytest.fixture
def asking(server: Server) -> Iterator[Server]:
    """The server, which asks all but its superuser for a password."""
    server.admit(*RULES)
    server.reload()
    yield server
    server.admit("host all all 127.0.0.1/32 trust")
    server.reload()


async def test_a_role_logs_in_with_the_password_of_its_file(asking: Server) -> None:
    admin = DatabaseSettings.model_validate({"DATABASE_URL": asking.url(host="127.0.0.1")})
    url = asking.url(host="127.0.0.1").replace("//postgres@", "//user_service@")

    for password in ("first-p@ss", "second"):
        async with open_target(admin) as target:
            manager = DatabaseManager(target, say=lambda _line: None)
            await manager.migrate(passwords={"user_service": password})
        own = {"DATABASE_URL": url, "DATABASE_PASSWORD": password}
        async with open_target(DatabaseSettings.model_validate(own)) as target:
            assert target.place == f"postgres at 127.0.0.1:{asking.port}"
            assert password not in repr(target).replace("%40", "@")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, password="first-p@ss")
