"""The last write of a transaction, and the one that stands alone, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import asyncpg
import pytest
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Row, Statement
from quart_fleet.database._transaction import Transaction
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
COUNT = Statement(select(func.count().label("users")).select_from(UserModel))
ADA, GRACE = {"name": "ada"}, {"name": "grace"}
PATIENCE = 60.0
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


async def test_what_stands_alone_is_kept_in_one_round_trip(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="quart_fleet.database._engine"):
        async with opened(database.url, DB_ECHO=True) as small, Transaction(small) as work:
            row = await work.commit_with(work.write(ADD, ADA))
            await asyncio.sleep(0)

    assert row is not None
    assert await names(database) == ["ada"]
    assert len(caplog.messages) == 1


async def test_what_is_not_alone_is_kept_with_all_before_it(small: Database) -> None:
    async with Transaction(small) as work:
        await work.write(ADD, {"name": "linus"})
        await work.commit_with(write_twice(work))

    assert await names(small) == ["linus", "ada", "grace"]


async def write_twice(work: Transaction, first: Statement = ADD) -> None:
    await work.write(first, ADA)
    await work.write(ADD, GRACE)


async def test_where_the_last_write_fails_nothing_before_it_is_kept(small: Database) -> None:
    async with Transaction(small) as work:
        await work.write(ADD, ADA)
        with pytest.raises(asyncpg.UniqueViolationError):
            await work.commit_with(work.write(ADD, ADA))

    assert await names(small) == []


@pytest.mark.parametrize("first", [ADD, ADD_SILENTLY])
async def test_two_writes_are_refused_by_name(first: Statement, small: Database) -> None:
    async with Transaction(small) as work:
        with pytest.raises(RuntimeError, match="commit several by commit"):
            await work.commit_with(write_twice(work, first))

    assert await names(small) == ["ada"]


@pytest.mark.parametrize(("last", "kept"), [("linus", ["grace", "linus"]), ("grace", [])])
async def test_after_a_write_that_changed_nothing_the_others_are_one_transaction(
    last: str, kept: list[str], small: Database
) -> None:
    async def write_three_times(work: Transaction) -> None:
        assert await work.write(RENAME, {"old": "nobody", "new": "ada"}) is None
        await work.write(ADD, GRACE)
        await work.write(ADD, {"name": last})

    async with Transaction(small) as work:
        await asyncio.gather(work.commit_with(write_three_times(work)), return_exceptions=True)

    assert await names(small) == kept


async def test_what_is_written_after_it_needs_a_commit_of_its_own(small: Database) -> None:
    async with Transaction(small) as work:
        await work.commit_with(work.write(ADD, ADA))
        await work.write(ADD, GRACE)

    assert await names(small) == ["ada"]


async def test_a_connection_that_was_closed_before_costs_nothing(
    small: Database, database: Database
) -> None:
    async with Transaction(small) as work:
        async with database.connect() as connection:
            await connection.execute(TERMINATION)

        await work.commit_with(work.write(ADD, ADA))

    assert await names(database) == ["ada"]


async def test_what_the_server_refused_is_sent_once_more_where_the_driver_says_so(
    road: Road, database: Database
) -> None:
    told = asyncpg.__version__ >= "0.32"

    async with opened(road.url) as remote, Transaction(remote) as work:
        road.accident = refused
        with nullcontext() if told else pytest.raises(DatabaseUnavailableError):
            await work.commit_with(work.write(ADD, ADA))

    assert await names(database) == (["ada"] if told else [])


@pytest.mark.parametrize(
    ("accident", "kept"), [(lost_on_the_way, []), (lost_on_the_way_back, ["ada"])]
)
async def test_what_may_have_been_carried_out_is_not_sent_again(
    accident: Accident, kept: list[str], road: Road, database: Database
) -> None:
    async with opened(road.url) as remote, Transaction(remote) as work:
        road.accident = accident

        with pytest.raises(DatabaseUnavailableError):
            await work.commit_with(work.write(ADD, ADA))

    async with asyncio.timeout(PATIENCE):
        while await names(database) != kept:  # noqa: ASYNC110 - polled for, as nobody is told
            await asyncio.sleep(0.01)


async def test_a_read_is_sent_once_more_whatever_became_of_it(
    road: Road, database: Database
) -> None:
    async with opened(road.url) as remote, Transaction(remote) as work:
        road.accident = lost_on_the_way_back

        assert await work.fetch_first(COUNT, {}) is not None


async def test_an_end_that_is_announced_is_as_good_as_come(road: Road, database: Database) -> None:
    async with opened(road.url) as remote, Transaction(remote) as work:
        road.announce_the_end()
        await asyncio.sleep(0.05)

        row: Row | None = await work.commit_with(work.write(ADD, ADA))

    assert row is not None
    assert await names(database) == ["ada"]
