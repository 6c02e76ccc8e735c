"""What goes through a PgBouncer that pools transactions, and what must not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, literal, select, update

from db_manager.connection import open_target
from db_manager.errors import ManagerError
from quart_fleet.database import Database, Statement, Transaction
from quart_fleet.database._connector import Connector, Pooling, find_pooling
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel
from tests.contract.people import move_in
from tests.contract.wire import TIMEOUT
from tests.pgbouncer.pooler import (
    SERVER_CONNECTIONS,
    Pooler,
    find_program,
    follows_statements,
    pooling,
)

CLIENTS = 4 * SERVER_CONNECTIONS


def config(url: str, **settings: str) -> DatabaseSettings:
    """Return the settings of a process."""
    return DatabaseSettings.model_validate({"DATABASE_URL": url, **settings})


@pytest_asyncio.fixture(loop_scope="session")
async def pooled(pooler: Pooler, database: Database) -> AsyncIterator[Database]:
    """The database with three people in it, through the pooler."""
    await move_in(database)
    settings = {"DATABASE_POOLER": "pgbouncer", "DB_POOL_SIZE": str(CLIENTS)}
    async with Database(config(pooler.url(database.url or ""), **settings)) as opened:
        yield opened


async def _backend(database: Database) -> int:
    """Return the server's process that served a transaction which took a while."""
    async with database.connect() as connection, connection.transaction():
        await connection.execute("SELECT pg_sleep(0.05)")
        backend: int = await connection.fetchval("SELECT pg_backend_pid() WHERE $1", True)
        return backend


async def test_many_connections_share_few(pooled: Database) -> None:
    two = asyncio.Barrier(2)

    async def find_backend() -> int:
        async with pooled.connect() as connection, connection.transaction():
            await two.wait()
            backend: int = await connection.fetchval("SELECT pg_backend_pid()")
            return backend

    async with asyncio.timeout(TIMEOUT):
        backends = await asyncio.gather(*(find_backend() for _ in range(CLIENTS)))

    assert len(backends) == CLIENTS
    assert 1 < len(set(backends)) <= SERVER_CONNECTIONS


async def test_sessions_of_the_orm_share_them_too(pooled: Database) -> None:
    sessions = pooled.sessions()

    async def count_and_read() -> tuple[int | None, list[str]]:
        async with sessions.begin() as session:
            count = await session.scalar(select(func.count()).select_from(UserModel))
            adults = await session.scalars(select(UserModel.username).where(UserModel.age > 18))
            return count, list(adults)

    found = await asyncio.gather(*(count_and_read() for _ in range(5 * CLIENTS)))

    assert found == [(3, ["ada"])] * (5 * CLIENTS)


async def test_without_the_setting_it_is_recognised_and_told_once(
    pooler: Pooler, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    url = pooler.url(database.url or "")

    async with Database(config(url, DB_POOL_SIZE=str(CLIENTS))) as unaware:
        backends = await asyncio.gather(*(_backend(unaware) for _ in range(5 * CLIENTS)))
        async with unaware.sessions()() as session:
            assert await session.scalar(select(func.count()).select_from(UserModel)) is not None

    assert 1 < len(set(backends)) <= SERVER_CONNECTIONS
    assert caplog.text.count("Set DATABASE_POOLER=pgbouncer") == 1


@pytest.mark.parametrize("word", ["pgbouncer=true", "prepared_statement_cache_size=0"])
async def test_an_address_that_names_the_pooler_is_believed(
    word: str, pooler: Pooler, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{pooler.url(database.url or '')}&{word}&connection_limit=1"

    async with Database(config(url, DB_POOL_SIZE=str(CLIENTS))) as pooled:
        await asyncio.gather(*(_backend(pooled) for _ in range(5 * CLIENTS)))

    assert "DATABASE_POOLER" not in caplog.text


async def test_one_that_was_not_recognised_is_told_by_its_errors_and_got_used_to(
    pooler: Pooler,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quart_fleet.database._connector._ATTEMPTS", 0)
    url = pooler.url(database.url or "")
    statement = Statement(select(func.pg_sleep(0.01)).where(literal(1) == bindparam("one")))

    async def ask(pooled: Database) -> None:
        async with Transaction(pooled) as transaction:
            await transaction.fetch(statement, {"one": 1})

    async with Database(config(url, DB_POOL_SIZE=str(CLIENTS))) as unaware:
        first = await asyncio.gather(
            *(ask(unaware) for _ in range(5 * CLIENTS)), return_exceptions=True
        )
        await asyncio.gather(*(ask(unaware) for _ in range(5 * CLIENTS)))

    refused = [each for each in first if each is not None]
    assert refused
    assert {type(each) for each in refused} == {DatabaseUnavailableError}
    assert caplog.text.count("Set DATABASE_POOLER=pgbouncer") == 1


async def test_a_session_of_its_own_is_taken_for_no_pooler(database: Database) -> None:
    connector = Connector(database.url or "", config(database.url or ""))

    connection = await connector.connect()
    found = await find_pooling(connector.connect)

    await connection.close()
    assert connector.pooling is found is Pooling.NONE
    assert connector.statement_cache_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, SERVER_CONNECTIONS])
async def test_a_pooler_of_sessions_is_as_good_as_the_server(
    size: int, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    program = find_program()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    async with pooling(program, database.url or "", "session", size) as pooler:
        sessions = config(pooler.url(database.url or ""), DB_POOL_SIZE="1")

        async with Database(sessions) as opened:
            assert await _backend(opened) == await _backend(opened)
        async with open_target(sessions) as target:
            assert "127.0.0.1" in target.place

    assert "DATABASE_POOLER" not in caplog.text


@asynccontextmanager
async def following(database: Database, size: int) -> AsyncIterator[DatabaseSettings]:
    """A pooler that follows prepared statements, and the settings that say so."""
    program = find_program()
    if program is None or not follows_statements(program):
        pytest.skip("no PgBouncer since 1.21 is installed")
    async with pooling(program, database.url or "", size=size, prepared=200) as pooler:
        url = pooler.url(database.url or "")
        yield config(url, DATABASE_POOLER="pgbouncer-prepared", DB_POOL_SIZE=str(CLIENTS))


async def test_a_pooler_that_follows_statements_keeps_them(database: Database) -> None:
    statement = Statement(select(literal(7)).where(literal(1) == bindparam("one")))
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE $1"

    async def ask(pooled: Database) -> None:
        async with Transaction(pooled) as transaction:
            await transaction.fetch(statement, {"one": 1})

    async with (
        following(database, SERVER_CONNECTIONS) as settings,
        Database(settings) as pooled,
    ):
        await asyncio.gather(*(ask(pooled) for _ in range(5 * CLIENTS)))
        async with pooled.connect() as connection:
            assert await connection.fetchval(kept, f"{statement.sql}%") == 1


async def test_a_type_that_changes_fails_no_request_behind_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    things = Table("things", MetaData(), Column("id", Integer), Column("size", Integer))
    reading = Statement(select(things.c.size).where(things.c.id == bindparam("one")))
    writing = Statement(
        update(things)
        .values(size=3)
        .where(things.c.id == bindparam("one"))
        .returning(things.c.size)
    )

    async def ask(pooled: Database) -> list[object]:
        async with Transaction(pooled) as transaction:
            await transaction.fetch(reading, {"one": 1})
        async with Transaction(pooled) as transaction:
            [row] = await transaction.fetch(writing, {"one": 1})
            await transaction.commit()
        async with pooled.sessions()() as session:
            return [row["size"], await session.scalar(select(things.c.size))]

    async with (
        following(database, 1) as settings,
        Database(settings) as pooled,
        database.connect() as connection,
    ):
        await connection.execute("CREATE TABLE things (id int, size int)")
        try:
            await connection.execute("INSERT INTO things VALUES (1, 2)")
            await asyncio.gather(*(ask(pooled) for _ in range(2 * CLIENTS)))
            await connection.execute("ALTER TABLE things ALTER COLUMN size TYPE bigint")
            found = await asyncio.gather(*(ask(pooled) for _ in range(2 * CLIENTS)))
        finally:
            await connection.execute("DROP TABLE things")

    assert found == [[3, 3]] * (2 * CLIENTS)
    assert caplog.text.count("keeps none prepared until it starts again") == 1


async def test_a_migration_refuses_to_go_through_it(pooler: Pooler, database: Database) -> None:
    pooled = config(pooler.url(database.url or ""), DATABASE_POOLER="pgbouncer")

    with pytest.raises(ManagerError, match="cannot hold the lock"):
        async with open_target(pooled):
            pass


@pytest.mark.parametrize("word", ["", "&pgbouncer=true"])
async def test_a_migration_recognises_it_without_the_setting(
    word: str, pooler: Pooler, database: Database
) -> None:
    pooled = config(pooler.url(database.url or "") + word)

    for _ in range(10):
        with pytest.raises(ManagerError, match=r"through a pooler: .*\nName the server itself"):
            async with open_target(pooled):
                pass
