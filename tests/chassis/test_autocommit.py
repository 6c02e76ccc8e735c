"""Autocommit: each statement is kept at once and carried out at most once, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import asyncpg
import pytest
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Row, Statement
from quart_fleet.database._transaction import AutocommitTransaction
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel
from tests.chassis.accidents import (
    Accident,
    Road,
    lost_on_the_way,
    lost_on_the_way_back,
    opened_road,
    refused,
)

USERS = UserModel.__table__
ADD = Statement(
    insert(UserModel).values(username=bindparam("name"), email=bindparam("name")).returning(USERS)
)
ADD_SILENTLY = Statement(text("INSERT INTO users (username, email) VALUES (:name, :name)"))
RENAME = Statement(
    update(UserModel)
    .where(UserModel.username == bindparam("old"))
    .values(username=bindparam("new"))
    .returning(USERS)
)
LOCK = Statement(select(USERS).with_for_update())
COUNT = Statement(select(func.count().label("users")).select_from(UserModel))
ADA, GRACE = {"name": "ada"}, {"name": "grace"}
TIMEOUT = 60.0
TERMINATION = """
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
"""


@asynccontextmanager
async def opened(url: str | None, **settings: object) -> AsyncIterator[Database]:
    """Open a database that has one connection."""
    values = {"DATABASE_URL": url, "DB_POOL_SIZE": 1, **settings}
    async with Database(DatabaseSettings.model_validate(values)) as database:
        yield database


@pytest.fixture
async def small(database: Database, database_url: str) -> AsyncIterator[Database]:
    """The database, on one connection; `database` empties it afterwards."""
    async with opened(database_url) as small:
        yield small


@pytest.fixture
async def road(database: Database) -> AsyncIterator[Road]:
    async with opened_road(database.url or "") as road:
        yield road


async def names(database: Database) -> list[str]:
    async with database.connect() as connection:
        rows = await connection.fetch("SELECT username FROM users ORDER BY id")
    return [row["username"] for row in rows]


async def test_a_write_is_kept_in_one_round_trip(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="quart_fleet.database._engine"):
        async with (
            opened(database.url, DB_ECHO=True) as small,
            AutocommitTransaction(small) as work,
        ):
            row = await work.fetch_first(ADD, ADA)
            await asyncio.sleep(0)

    assert row is not None
    assert await names(database) == ["ada"]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("first", [ADD, ADD_SILENTLY])
async def test_each_of_several_writes_is_kept_whatever_becomes_of_the_next(
    first: Statement, small: Database
) -> None:
    async with AutocommitTransaction(small) as work:
        await work.fetch_first(first, ADA)
        assert await names_seen_by_others(small) == ["ada"]
        with pytest.raises(asyncpg.UniqueViolationError):
            await work.fetch_first(ADD, ADA)
        await work.fetch_first(ADD, GRACE)
        await work.commit()

    assert await names(small) == ["ada", "grace"]


async def names_seen_by_others(database: Database) -> list[str]:
    """Read the names on another connection, as the only one of `database` is in use."""
    connection = await asyncpg.connect(database.url)
    try:
        rows = await connection.fetch("SELECT username FROM users ORDER BY id")
    finally:
        await connection.close()
    return [row["username"] for row in rows]


async def test_a_write_may_follow_one_that_changed_nothing(small: Database) -> None:
    async with AutocommitTransaction(small) as work:
        assert await work.fetch_first(RENAME, {"old": "linus", "new": "ada"}) is None
        assert await work.execute(ADD, GRACE) == 1

    assert await names(small) == ["grace"]


async def test_many_rows_are_kept_all_or_none(small: Database) -> None:
    async with AutocommitTransaction(small) as work:
        await work.execute_many(ADD, [ADA, GRACE])
        with pytest.raises(asyncpg.UniqueViolationError):
            await work.execute_many(ADD, [{"name": "linus"}, ADA])

    assert await names(small) == ["ada", "grace"]


async def test_a_lock_is_refused_as_it_would_end_at_once(small: Database) -> None:
    async with AutocommitTransaction(small) as work:
        with pytest.raises(RuntimeError, match="a lock ends with its statement"):
            await work.fetch_first(LOCK)


async def test_what_needs_a_transaction_is_refused(small: Database) -> None:
    async with AutocommitTransaction(small) as work:
        for block in (work.savepoint(), work.session(), work.connection()):
            with pytest.raises(RuntimeError, match="leave autocommit"):
                await block.__aenter__()
        with pytest.raises(RuntimeError, match="leave autocommit"):
            await work.copy(USERS, [])

    assert await names(small) == []


async def test_a_connection_that_was_closed_before_the_write_is_replaced(
    small: Database, database: Database
) -> None:
    async with AutocommitTransaction(small) as work:
        async with database.connect() as connection:
            await connection.execute(TERMINATION)

        await work.fetch_first(ADD, ADA)

    assert await names(database) == ["ada"]


async def test_a_write_that_the_server_refused_is_sent_once_more_where_the_driver_says_so(
    road: Road, database: Database
) -> None:
    told = asyncpg.__version__ >= "0.32"

    async with opened(road.url) as remote, AutocommitTransaction(remote) as work:
        road.accident = refused
        with nullcontext() if told else pytest.raises(DatabaseUnavailableError):
            await work.fetch_first(ADD, ADA)

    assert await names(database) == (["ada"] if told else [])


@pytest.mark.parametrize(
    ("accident", "kept"), [(lost_on_the_way, []), (lost_on_the_way_back, ["ada"])]
)
async def test_a_write_that_may_have_been_carried_out_is_not_sent_again(
    accident: Accident, kept: list[str], road: Road, database: Database
) -> None:
    async with opened(road.url) as remote, AutocommitTransaction(remote) as work:
        road.accident = accident

        with pytest.raises(DatabaseUnavailableError):
            await work.fetch_first(ADD, ADA)

    async with asyncio.timeout(TIMEOUT):
        while await names(database) != kept:  # noqa: ASYNC110 - there is no signal
            await asyncio.sleep(0.01)


async def test_a_read_is_sent_once_more_after_any_loss(road: Road, database: Database) -> None:
    async with opened(road.url) as remote, AutocommitTransaction(remote) as work:
        road.accident = lost_on_the_way_back

        assert await work.fetch_first(COUNT, {}) is not None


async def test_a_write_after_a_read_is_not_sent_again(road: Road, database: Database) -> None:
    async with opened(road.url) as remote, AutocommitTransaction(remote) as work:
        await work.fetch_first(COUNT, {})
        road.accident = lost_on_the_way

        with pytest.raises(DatabaseUnavailableError):
            await work.fetch_first(ADD, ADA)

    assert await names(database) == []


async def test_an_announced_end_of_the_session_counts_as_a_closed_connection(
    road: Road, database: Database
) -> None:
    async with opened(road.url) as remote, AutocommitTransaction(remote) as work:
        road.announce_the_end()
        await asyncio.sleep(0.05)

        row: Row | None = await work.fetch_first(ADD, ADA)

    assert row is not None
    assert await names(database) == ["ada"]
