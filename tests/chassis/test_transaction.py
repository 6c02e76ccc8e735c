"""Transactions and what becomes of them, on a real PostgreSQL."""

import asyncio
import itertools

import asyncpg
import pytest
from sqlalchemy import column, func, select, table

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import DatabaseUnavailableError
from tests.chassis.users import ADD, COUNT, close_others, config, count


async def test_what_is_committed_stays(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})
        await transaction.commit()

    assert await count(database) == 1


async def test_what_is_not_committed_is_gone(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})

    assert await count(database) == 0


async def test_a_second_write_after_a_commit_needs_a_commit_of_its_own(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})
        await transaction.commit()
        await transaction.write(ADD, {"name": "grace"})

    assert await count(database) == 1


async def test_a_commit_after_a_statement_that_failed_does_not_pass_for_one(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})
        with pytest.raises(asyncpg.UniqueViolationError):
            await transaction.write(ADD, {"name": "ada"})

        with pytest.raises(RuntimeError, match="nothing was kept"):
            await transaction.commit()

    assert await count(database) == 0


async def test_what_a_cancelled_task_wrote_is_gone(database: Database, database_url: str) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        written = asyncio.Event()

        async def write_and_wait() -> None:
            async with Transaction(small) as transaction:
                await transaction.write(ADD, {"name": "ada"})
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write_and_wait())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await count(small) == 0


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("turns", range(1, 9))
async def test_whenever_a_task_is_cancelled_its_transaction_is_over_for_the_next_one(
    turns: int, times: int, database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        await small.ping()
        task = asyncio.create_task(write_for_ever(small))
        for _ in range(turns):
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)

        async with small.connect() as connection:
            await connection.execute("SELECT 1")
            assert not connection.is_in_transaction()

    assert await count(database) == 0


async def write_for_ever(database: Database) -> None:
    """Write in one transaction that never ends."""
    async with Transaction(database) as transaction:
        for number in itertools.count():
            await transaction.write(ADD, {"name": f"ada{number}"})


async def test_a_read_begins_no_transaction(database: Database) -> None:
    pid = Statement(select(func.pg_backend_pid().label("pid")))
    async with Transaction(database) as transaction:
        row = await transaction.fetch_first(pid, {})
        assert row is not None
        after_read = await state_of(row["pid"], database)
        await transaction.write(ADD, {"name": "ada"})
        after_write = await state_of(row["pid"], database)

    assert (after_read, after_write) == ("idle", "idle in transaction")


async def state_of(pid: int, database: Database) -> str:
    """Ask the server what it knows of another connection."""
    async with database.connect() as connection:
        query = "SELECT state FROM pg_stat_activity WHERE pid = $1"
        return str(await connection.fetchval(query, pid))


async def test_a_statement_that_meets_a_closed_connection_is_sent_once_more(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small, Transaction(small) as work:
        await close_others(database)

        rows = await work.fetch(COUNT, {})

    assert [row["users"] for row in rows] == [0]


async def test_what_is_lost_in_the_middle_of_a_transaction_is_not_sent_again(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small, Transaction(small) as work:
        await work.write(ADD, {"name": "ada"})
        await close_others(database)

        with pytest.raises(DatabaseUnavailableError):
            await work.write(ADD, {"name": "grace"})

    assert await count(database) == 0


async def test_a_column_may_get_another_type_between_two_transactions(database_url: str) -> None:
    drafts = Statement(select(table("drafts", column("pages"))))
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        async with small.connect() as connection:
            await connection.execute("CREATE TEMP TABLE drafts AS SELECT 7::integer AS pages")
        async with Transaction(small) as transaction:
            await transaction.write(drafts, {})
        async with small.connect() as connection:
            await connection.execute("ALTER TABLE drafts ALTER pages TYPE bigint")

        async with Transaction(small) as transaction:
            row = await transaction.write(drafts, {})
            await transaction.commit()

    assert row is not None
    assert row["pages"] == 7


async def test_a_mistake_of_ours_is_not_taken_for_a_lost_connection(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch(COUNT, {})
        reads = (transaction.fetch(COUNT, {}), transaction.fetch(COUNT, {}))

        outcomes = await asyncio.gather(*reads, return_exceptions=True)

    assert any(isinstance(outcome, asyncpg.InterfaceError) for outcome in outcomes)
