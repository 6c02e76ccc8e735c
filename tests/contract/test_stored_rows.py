"""A stored row is answered as it is: nothing is validated when it is read."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from quart_fleet.conventions import PREFIX
from quart_fleet.database import Database

from .service import RunningService
from .wire import TIMEOUT

LONG = "x" * 500


@pytest.fixture
async def wide_database(database: Database) -> AsyncIterator[Database]:
    """The database after a migration that no code knows of yet has widened its texts."""
    async with database.connect() as connection:
        await connection.execute(
            "ALTER TABLE users ALTER username TYPE text, ALTER first_name TYPE text"
        )
    yield database
    async with database.connect() as connection:
        await connection.execute("DELETE FROM users")
        await connection.execute(
            "ALTER TABLE users ALTER username TYPE varchar(80), ALTER first_name TYPE varchar(50)"
        )


async def test_a_text_longer_than_the_dto_allows_is_answered_by_get_and_lists(
    wide_database: Database, sound_service: RunningService
) -> None:
    async with wide_database.connect() as connection:
        await connection.execute(
            "INSERT INTO users (username, email, first_name) VALUES ($1, 'long', $1)", LONG
        )

    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        base = f"http://127.0.0.1:{sound_service.port}{PREFIX}/users"
        one = await client.get(f"{base}/1")
        lists = [await client.get(f"{base}{path}") for path in ("", "/active", "/page")]
        changed = await client.put(f"{base}/1", json={"age": 36})

    assert (one.status_code, json.loads(one.content)["data"]["username"]) == (200, LONG)
    assert [answer.status_code for answer in lists] == [200] * 3
    assert all(json.loads(each.content)["data"][0]["first_name"] == LONG for each in lists)
    assert (changed.status_code, json.loads(changed.content)["data"]["age"]) == (200, 36)
