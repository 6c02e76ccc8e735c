"""A statement that failed or was cancelled leaves nothing open, on a real PostgreSQL."""

import asyncio
import time

import asyncpg
import pytest
from sqlalchemy import bindparam, func, select

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel
from tests.chassis.accidents import opened_road, swallowed

NAMED = Statement(select(UserModel.id).where(UserModel.username == bindparam("name")))
TIMEOUT = 60.0
TRANSACTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        AND backend_type = 'client backend'
"""
SLEEPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)' AND state = 'active'
"""


def config(url: str, **settings: object) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"DATABASE_URL": url, **settings})


async def find(database: Database) -> object:
    """Look for a user that does not exist."""
    async with Transaction(database) as transaction:
        return await transaction.fetch_first(NAMED, {"name": "ada"})


@pytest.mark.parametrize(
    "settings", [{}, {"DATABASE_POOLER": "pgbouncer"}], ids=["direct", "pooled"]
)
@pytest.mark.parametrize("steps", range(8))
async def test_a_read_that_is_cancelled_as_its_answer_comes_leaves_nothing_open(
    steps: int, settings: dict[str, str], database: Database, database_url: str
) -> None:
    async with Database(config(database_url, **settings)) as other:
        await other.ping()
        reading = asyncio.create_task(find(other))
        for step in range(steps):
            if step == steps // 2:
                time.sleep(0.02)  # noqa: ASYNC251  # the server's answer arrives meanwhile
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

        # A connection that was cut is noticed by its server a moment later.
        async with asyncio.timeout(TIMEOUT), database.connect() as connection:
            while await connection.fetchval(TRANSACTIONS):  # noqa: ASYNC110  # there is no signal
                await asyncio.sleep(0.001)


async def test_a_value_that_cannot_be_sent_leaves_nothing_open(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url)) as other:
        with pytest.raises(asyncpg.DataError):
            async with Transaction(other) as transaction:
                await transaction.fetch_first(NAMED, {"name": 1})

        async with database.connect() as connection:
            assert await connection.fetchval(TRANSACTIONS) == 0


async def test_a_statement_without_an_answer_ends_soon_after_its_task(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every asyncpg: 0.31 waits for a cancelled statement before its own timeout begins."""
    monkeypatch.setattr("quart_fleet.database._engine.CLOSE_TIMEOUT", 0.01)
    async with (
        opened_road(database_url) as road,
        Database(config(road.url, DB_POOL_SIZE=1)) as other,
    ):
        await find(other)
        road.accident = swallowed
        reading = asyncio.create_task(find(other))
        async with asyncio.timeout(TIMEOUT):
            while road.accident is not None:  # noqa: ASYNC110  # there is no signal
                await asyncio.sleep(0.001)

            reading.cancel()

            assert await find(other) is None
        assert reading.cancelled()


async def test_a_statement_that_times_out_ends_on_the_server_too(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.database._engine.STATEMENT_TIMEOUT", 0.1)
    sleep = Statement(select(func.pg_sleep(30)))

    async with Database(config(database_url)) as other:
        with pytest.raises(DatabaseUnavailableError):
            async with Transaction(other) as transaction:
                await transaction.fetch_first(sleep, {})

        async with database.connect() as connection:
            assert await connection.fetchval(TRANSACTIONS) == 0


async def test_a_statement_ends_on_the_server_with_its_cancelled_block(
    database: Database, database_url: str
) -> None:
    async def sleep(other: Database) -> None:
        async with other.connect() as connection:
            await connection.execute("SELECT pg_sleep(600)")

    async with Database(config(database_url)) as other, database.connect() as connection:
        sleeping = asyncio.create_task(sleep(other))
        async with asyncio.timeout(TIMEOUT):
            while await connection.fetchval(SLEEPING) == 0:  # noqa: ASYNC110  # there is no signal
                await asyncio.sleep(0.01)

        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)

        assert await connection.fetchval(SLEEPING) == 0
