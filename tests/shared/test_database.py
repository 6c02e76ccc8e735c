"""The pool and the transaction, on a real PostgreSQL."""

import asyncio
import itertools

import asyncpg
import pytest
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.config import DatabaseConfig
from shared.database.engine import Database
from shared.database.statement import Statement
from shared.database.transaction import Transaction
from shared.errors import DatabaseUnavailableError
from shared.models.user import UserModel

USERS = UserModel.__table__
ADD = Statement(
    insert(UserModel).values(username=bindparam("name"), email=bindparam("name")).returning(USERS)
)
RENAME = Statement(update(UserModel).values(email=bindparam("email")).returning(USERS))
COUNT = Statement(select(func.count().label("users")).select_from(UserModel))


def config(url: str | None, **settings: object) -> DatabaseConfig:
    return DatabaseConfig.model_validate({"DATABASE_URL": url, **settings})


async def count(database: Database) -> int:
    async with Transaction(database) as transaction:
        row = await transaction.fetch_first(COUNT, {})
    assert row is not None
    return int(row["users"])


async def test_what_is_committed_stays(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})
        await transaction.commit()

    assert await count(database) == 1


async def test_what_is_not_committed_is_gone(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})

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


async def close_others(database: Database) -> None:
    """Have the server close every other connection to this database, as a restart does."""
    async with database.connect() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )


async def test_a_second_write_after_a_commit_needs_a_commit_of_its_own(
    database: Database,
) -> None:
    async with Transaction(database) as transaction:
        await transaction.write(ADD, {"name": "ada"})
        await transaction.commit()
        await transaction.write(ADD, {"name": "grace"})

    assert await count(database) == 1


async def test_connections_that_the_server_closed_cost_no_request(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        await small.ping()
        await close_others(database)

        await small.ping()


async def test_those_who_wait_are_served_in_the_order_of_asking(database_url: str) -> None:
    served = list[int]()

    async def ask(number: int, small: Database) -> None:
        async with small.connect():
            served.append(number)
            await asyncio.sleep(0)

    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        await asyncio.gather(*(ask(number, small) for number in range(20)))

    assert served == list(range(20))


async def test_a_process_opens_no_more_connections_than_its_pool_has(database_url: str) -> None:
    open_now, most = 0, 0

    async def ask(small: Database) -> None:
        nonlocal open_now, most
        async with small.connect():
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0.001)
            open_now -= 1

    async with Database(config(database_url, DB_POOL_SIZE=3)) as small:
        await asyncio.gather(*(ask(small) for _ in range(30)))

    assert most == 3


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@127.0.0.1:1/nowhere",
        "postgresql:///postgres?host=/nonexistent",
    ],
)
async def test_a_server_that_is_away_is_said_to_be_unavailable(url: str) -> None:
    async with Database(config(url)) as database:
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()


async def test_a_database_that_does_not_exist_is_said_to_be_unavailable(
    database_url: str,
) -> None:
    absent = database_url.replace("/test_", "/absent_")
    async with Database(config(absent)) as database:
        with pytest.raises(DatabaseUnavailableError):
            await database.ping()


async def test_a_database_is_used_only_while_it_is_open(database_url: str) -> None:
    database = Database(config(database_url))

    with pytest.raises(RuntimeError, match="not open"):
        await database.ping()


class RecordingServer:
    """A server that says when it is held."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.held = False

    async def __aenter__(self) -> str:
        self.held = True
        return self.url

    async def __aexit__(self, *exception: object) -> None:
        self.held = False


async def test_the_embedded_server_is_held_while_the_database_is_open(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    server = RecordingServer(database_url)

    async with Database(DatabaseConfig.load(), server) as database:
        held_inside = server.held
        await database.ping()

    assert (held_inside, server.held) == (True, False)


async def test_a_configured_database_leaves_the_embedded_server_alone(database_url: str) -> None:
    server = RecordingServer("postgresql://nobody/")

    async with Database(config(database_url), server) as database:
        await database.ping()

        assert not server.held


async def test_ordinary_sessions_are_there_for_who_wants_them(database: Database) -> None:
    sessions = database.sessions()
    async with sessions() as session, session.begin():
        session.add(UserModel(username="ada", email="ada@example.com"))

    async with sessions() as session:
        user = (await session.scalars(select(UserModel))).one()

    assert (user.username, user.is_active) == ("ada", True)


async def test_queries_are_logged_where_that_is_asked_for(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="shared.database.engine"):
        async with Database(config(database_url, DB_ECHO=True)) as database:
            await database.ping()

    assert "SELECT 1" in caplog.text


async def test_what_a_block_leaves_in_its_session_is_cleared(
    database: Database, database_url: str
) -> None:
    async with Database(config(database_url, DB_POOL_SIZE=1)) as small:
        async with small.connect() as connection:
            await connection.execute("SET statement_timeout = 7000")
            await connection.execute("SELECT pg_advisory_lock(7)")

        async with small.connect() as connection:
            timeout = await connection.fetchval("SHOW statement_timeout")
            locks = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )

    assert (timeout, locks) == ("0", 0)


async def test_a_mistake_of_ours_is_not_taken_for_a_lost_connection(database: Database) -> None:
    async with Transaction(database) as transaction:
        await transaction.fetch(COUNT, {})
        reads = (transaction.fetch(COUNT, {}), transaction.fetch(COUNT, {}))

        outcomes = await asyncio.gather(*reads, return_exceptions=True)

    assert any(isinstance(outcome, asyncpg.InterfaceError) for outcome in outcomes)
