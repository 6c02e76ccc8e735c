"""Transactions: what is kept, undone and repeated, on a real PostgreSQL."""

import asyncio
import itertools
from io import BytesIO

import asyncpg
import pytest
from sqlalchemy import bindparam, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from quart_fleet.database._engine import Database
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import DatabaseUnavailableError
from shared.models.user import UserModel
from tests.chassis.users import ADD, COUNT, close_others, config, count

FETCHED_WRITES = {
    "an INSERT": ADD,
    "a text": Statement(
        text("INSERT INTO users (username, email) VALUES (:name, :name) RETURNING *")
    ),
    "a CTE": Statement(
        select(
            insert(UserModel)
            .values(username=bindparam("name"), email=bindparam("name"))
            .returning(UserModel.id)
            .cte("added")
        )
    ),
}


async def test_a_committed_write_is_kept(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch_first(ADD, {"name": "ada"})
        await transaction.commit()

    assert await count(database) == 1


async def test_a_write_without_commit_is_undone(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch_first(ADD, {"name": "ada"})

    assert await count(database) == 0


@pytest.mark.parametrize("sql", ["SELECT 1 FROM nothing", "SELECT nothing FROM users"])
async def test_what_no_revision_has_made_yet_is_told_with_its_remedy(
    sql: str, database: Database
) -> None:
    async with Transaction(database) as transaction:
        with pytest.raises(asyncpg.PostgresError, match="does not exist") as raised:
            await transaction.fetch(Statement(text(sql)))

    assert "python -m db_manager migrate" in raised.value.__notes__[0]


async def test_a_write_after_a_commit_needs_a_commit_of_its_own(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch_first(ADD, {"name": "ada"})
        await transaction.commit()
        await transaction.fetch_first(ADD, {"name": "grace"})

    assert await count(database) == 1


async def test_a_commit_after_a_failed_statement_is_refused(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch_first(ADD, {"name": "ada"})
        with pytest.raises(asyncpg.UniqueViolationError):
            await transaction.fetch_first(ADD, {"name": "ada"})

        with pytest.raises(RuntimeError, match="nothing was kept"):
            await transaction.commit()

    assert await count(database) == 0


async def test_the_writes_of_a_cancelled_task_are_undone(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        written = asyncio.Event()

        async def write_and_wait() -> None:
            async with Transaction(small) as transaction:
                await transaction.fetch_first(ADD, {"name": "ada"})
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write_and_wait())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await count(small) == 0


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("steps", range(1, 9))
async def test_a_cancelled_task_leaves_no_transaction_to_the_next_one(
    steps: int, times: int, database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        await small.ping()
        task = asyncio.create_task(write_for_ever(small))
        for _ in range(steps):
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
            await transaction.fetch_first(ADD, {"name": f"ada{number}"})


async def test_a_read_begins_no_transaction(database: Database) -> None:
    pid = Statement(select(func.pg_backend_pid().label("pid")))
    async with Transaction(database) as transaction:
        row = await transaction.fetch_first(pid, {})
        assert row is not None
        after_read = await state_of(row["pid"], database)
        await transaction.fetch_first(ADD, {"name": "ada"})
        after_write = await state_of(row["pid"], database)

    assert (after_read, after_write) == ("idle", "idle in transaction")


async def state_of(pid: int, database: Database) -> str:
    """Ask the server for the state of another connection."""
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


async def test_a_statement_that_is_lost_inside_a_transaction_is_not_sent_again(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small, Transaction(small) as work:
        await work.fetch_first(ADD, {"name": "ada"})
        await close_others(database)

        with pytest.raises(DatabaseUnavailableError):
            await work.fetch_first(ADD, {"name": "grace"})

    assert await count(database) == 0


async def test_a_column_may_change_its_type_between_two_transactions(database_url: str) -> None:
    drafts = Statement(text("SELECT pages FROM drafts"))
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        async with small.connect() as connection:
            await connection.execute("CREATE TEMP TABLE drafts AS SELECT 7::integer AS pages")
        async with Transaction(small) as transaction:
            await transaction.fetch_first(drafts, {})
        async with small.connect() as connection:
            await connection.execute("ALTER TABLE drafts ALTER pages TYPE bigint")

        async with Transaction(small) as transaction:
            row = await transaction.fetch_first(drafts, {})
            await transaction.commit()

    assert row is not None
    assert row["pages"] == 7


async def test_two_statements_at_once_are_not_taken_for_a_lost_connection(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch(COUNT, {})
        reads = (transaction.fetch(COUNT, {}), transaction.fetch(COUNT, {}))

        outcomes = await asyncio.gather(*reads, return_exceptions=True)

    assert any(isinstance(outcome, asyncpg.InterfaceError) for outcome in outcomes)


@pytest.mark.parametrize("write", FETCHED_WRITES.values(), ids=FETCHED_WRITES)
async def test_a_fetched_write_belongs_to_the_transaction(
    write: Statement, database: Database
) -> None:
    async with Transaction(database) as transaction:
        assert len(await transaction.fetch(write, {"name": "ada"})) == 1
    assert await count(database) == 0

    async with Transaction(database) as transaction:
        await transaction.fetch(write, {"name": "ada"})
        await transaction.commit()
    assert await count(database) == 1


async def test_a_lock_is_held_until_the_transaction_ends(database: Database) -> None:
    locked = Statement(select(UserModel.__table__).with_for_update())
    skipping = Statement(select(UserModel.__table__).with_for_update(skip_locked=True))
    await add_and_commit(database, "ada")

    async with Transaction(database) as first, Transaction(database) as second:
        assert len(await first.fetch(locked)) == 1
        assert await second.fetch(skipping) == []
        await first.commit()
        assert len(await second.fetch(skipping)) == 1


async def add_and_commit(database: Database, *usernames: str) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute_many(ADD, [{"name": name} for name in usernames])
        await transaction.commit()


async def test_execute_returns_the_number_of_affected_rows(database: Database) -> None:
    await add_and_commit(database, "ada", "grace", "linus")
    retire = Statement(
        update(UserModel).where(UserModel.username != bindparam("name")).values(is_active=False)
    )

    async with Transaction(database) as transaction:
        assert await transaction.execute(retire, {"name": "ada"}) == 2
        assert await transaction.execute(Statement(delete(UserModel))) == 3
        assert await transaction.execute(Statement(text("LOCK TABLE users"))) == 0

    assert await count(database) == 3


async def test_execute_many_belongs_to_the_transaction(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute_many(ADD, ({"name": f"user {n}"} for n in range(1000)))
        rows = await transaction.fetch(COUNT)

    assert rows[0]["users"] == 1000
    assert await count(database) == 0


async def test_copy_inserts_rows_inside_the_transaction(database: Database) -> None:
    rows = [{"username": name, "email": name, "age": None} for name in ("ada", "grace")]
    async with Transaction(database) as transaction:
        assert await transaction.copy(UserModel.__table__, iter(rows)) == 2
        assert await transaction.copy(UserModel.__table__, []) == 0
        assert [row["users"] for row in await transaction.fetch(COUNT)] == [2]
    assert await count(database) == 0

    async with Transaction(database) as transaction:
        await transaction.copy(UserModel.__table__, rows)
        await transaction.commit()
    assert await count(database) == 2


async def test_a_savepoint_keeps_what_came_before_a_failed_statement(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute(ADD, {"name": "ada"})
        async with transaction.savepoint():
            await transaction.execute(ADD, {"name": "grace"})
            with pytest.raises(asyncpg.UniqueViolationError):
                await add_in_a_savepoint(transaction, "linus", "ada")
        await transaction.commit()

    assert await count(database) == 2


async def add_in_a_savepoint(transaction: Transaction, *names: str) -> None:
    async with transaction.savepoint():
        for name in names:
            await transaction.execute(ADD, {"name": name})


async def test_a_savepoint_whose_time_is_over_undoes_its_block(database: Database) -> None:
    async def add_and_wait(transaction: Transaction) -> None:
        async with asyncio.timeout(0.05), transaction.savepoint():
            await transaction.execute(ADD, {"name": "grace"})
            await asyncio.Event().wait()

    async with Transaction(database) as transaction:
        await transaction.execute(ADD, {"name": "ada"})
        with pytest.raises(TimeoutError):
            await add_and_wait(transaction)
        await transaction.commit()

    assert await count(database) == 1


async def test_a_session_belongs_to_the_transaction_whatever_it_commits(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.execute(ADD, {"name": "ada"})
        async with transaction.session() as session:
            ada = (await session.scalars(select(UserModel))).one()
            ada.first_name = "Ada"
            session.add(UserModel(username="grace", email="grace"))
            await session.commit()
        named = await transaction.fetch(Statement(select(UserModel.first_name)))
    assert {row["first_name"] for row in named} == {"Ada", None}
    assert await count(database) == 0

    async with Transaction(database) as transaction:
        async with transaction.session() as session:
            session.add(UserModel(username="grace", email="grace"))
        await transaction.commit()
    assert await count(database) == 1


async def test_a_session_that_fails_undoes_its_own_work_only(database: Database) -> None:
    async def add_twice(transaction: Transaction) -> None:
        async with transaction.session() as session:
            session.add(UserModel(username="grace", email="grace"))
            await session.flush()
            session.add(UserModel(username="ada", email="ada"))

    async with Transaction(database) as transaction:
        await transaction.execute(ADD, {"name": "ada"})
        with pytest.raises(IntegrityError):
            await add_twice(transaction)
        await transaction.commit()

    assert await count(database) == 1


async def test_sessions_of_transactions_at_the_same_time_are_apart(database: Database) -> None:
    both = asyncio.Barrier(2)

    async def add(name: str) -> int:
        async with Transaction(database) as transaction, transaction.session() as session:
            await both.wait()
            session.add(UserModel(username=name, email=name))
            await session.flush()
            await both.wait()
            return len((await session.scalars(select(UserModel))).all())

    seen_by_ada, seen_by_grace = await asyncio.gather(add("ada"), add("grace"))

    assert (seen_by_ada, seen_by_grace) == (1, 1)


async def test_a_session_leaves_its_connection_to_the_pool(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        pids = set[int]()
        for _ in range(3):
            async with Transaction(small) as transaction, transaction.session() as session:
                pids.add(await session.scalar(select(func.pg_backend_pid())) or 0)
            async with small.connect() as connection:
                pids.add(await connection.fetchval("SELECT pg_backend_pid()"))

    assert len(pids) == 1


async def test_a_session_whose_connection_is_lost_raises_database_unavailable(
    database: Database, database_url: str
) -> None:
    async def read_twice(small: Database) -> None:
        async with Transaction(small) as transaction, transaction.session() as session:
            await session.scalars(select(UserModel))
            await close_others(database)
            await session.scalars(select(UserModel))

    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        with pytest.raises(DatabaseUnavailableError):
            await read_twice(small)

        await small.ping()


async def test_the_driver_s_connection_is_inside_the_transaction(database: Database) -> None:
    async with Transaction(database) as transaction, transaction.connection() as connection:
        await connection.execute("INSERT INTO users (username, email) VALUES ('ada', 'ada')")
        file = BytesIO()
        await connection.copy_from_query("SELECT username FROM users", output=file)

    assert file.getvalue() == b"ada\n"
    assert await count(database) == 0
