"""What goes through a PgBouncer that pools transactions, and what must not."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from asyncpg.exceptions import (
    DuplicatePreparedStatementError,
    InvalidSQLStatementNameError,
    PostgresError,
)
from sqlalchemy import func, select

from db_manager.connection import open_target
from db_manager.errors import ManagerError
from quart_fleet.database._engine import Database
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel
from tests.contract.people import move_in
from tests.contract.wire import TIMEOUT
from tests.pgbouncer.pooler import SERVER_CONNECTIONS, Pooler

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


async def test_without_the_setting_prepared_statements_break(
    pooler: Pooler, database: Database
) -> None:
    url = pooler.url(database.url or "")

    async with Database(config(url, DB_POOL_SIZE=str(CLIENTS))) as unaware:
        broken = await asyncio.gather(
            *(_backend(unaware) for _ in range(5 * CLIENTS)), return_exceptions=True
        )

    kinds = (DuplicatePreparedStatementError, InvalidSQLStatementNameError)
    assert any(isinstance(each, kinds) for each in broken)
    assert all(isinstance(each, int | PostgresError) for each in broken)


async def test_a_migration_refuses_to_go_through_it(pooler: Pooler, database: Database) -> None:
    pooled = config(pooler.url(database.url or ""), DATABASE_POOLER="pgbouncer")

    with pytest.raises(ManagerError, match="cannot hold the lock"):
        async with open_target(pooled):
            pass
