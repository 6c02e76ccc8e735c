"""A migration whose connections end under it: the lock's, the work's, or both."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import select

from db_manager.connection import Target, open_target
from db_manager.errors import ManagerError
from db_manager.lock import locked_connection
from quart_fleet.settings import DatabaseSettings
from tests.db_manager.outcome import USERS, execute
from tests.db_manager.workspace_copy import WorkspaceCopy

HERE = "FROM pg_stat_activity WHERE datname = current_database()"
SLEEPS = f"SELECT pid {HERE} AND wait_event = 'PgSleep'"
TERMINATE = f"SELECT pg_terminate_backend(pid, 60000) {HERE} AND pid <> pg_backend_pid() AND {{}}"
HOLDS_LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
WORK_LOST = "aaaaaaaaaaa1_by_hand.py, line 10: connection was closed"


@pytest.mark.slow
async def test_a_connection_that_is_lost_stops_it(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("SELECT pg_sleep(60)")')
    process = copy.start("migrate")
    observer = await asyncpg.connect(fresh_database_url)
    while not await observer.fetchval(SLEEPS):  # noqa: ASYNC110
        await asyncio.sleep(0.05)

    await observer.execute(TERMINATE.format(HOLDS_LOCK))
    _, err = await asyncio.to_thread(process.communicate, timeout=60)
    asleep = await observer.fetchval(SLEEPS)
    current = await observer.fetchval("SELECT version_num FROM alembic_version")
    await observer.close()

    assert (process.returncode, current, asleep) == (1, USERS, None)
    assert WORK_LOST in err
    assert "Traceback" not in err


async def test_the_lock_and_the_work_are_one_session(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("SELECT pg_sleep(60)")')
    process = copy.start("migrate")
    observer = await asyncpg.connect(fresh_database_url)
    while not await observer.fetchval(SLEEPS):  # noqa: ASYNC110
        await asyncio.sleep(0.05)

    holder = await observer.fetchval(f"SELECT pid {HERE} AND {HOLDS_LOCK}")
    asleep = await observer.fetchval(SLEEPS)
    await observer.execute(TERMINATE.format(HOLDS_LOCK))
    await asyncio.to_thread(process.communicate, timeout=60)
    await observer.close()

    assert holder == asleep


def test_a_connection_that_is_lost_at_the_commit_leaves_it_unsaid(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    copy.add_revision(
        "aaaaaaaaaaa1",
        USERS,
        """
        op.execute("CREATE TABLE kept (id int)")
        op.execute(
            "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60); END'"
        )
        op.execute(
            "CREATE CONSTRAINT TRIGGER leaving AFTER INSERT ON kept "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION leave()"
        )
        op.execute("INSERT INTO kept VALUES (1)")
        """,
    )

    outcome = copy.run("migrate")

    *_, error, after = outcome.err.splitlines()
    assert outcome.code == 1
    assert error.startswith("Error: aaaaaaaaaaa1, at its commit: connection was closed")
    assert after == "It may have been kept or undone. See: python -m db_manager status"


async def test_work_between_two_statements_gets_to_no_third(fresh_database_url: str) -> None:
    config = DatabaseSettings.model_validate({"DATABASE_URL": fresh_database_url})

    async def work_on(target: Target) -> None:
        async with locked_connection(target, say=lambda _line: None) as connection:
            await asyncio.to_thread(execute, fresh_database_url, TERMINATE.format(HOLDS_LOCK))
            await connection.execute(select(1))

    async with open_target(config) as target, asyncio.timeout(60):
        with pytest.raises(ManagerError, match=r"connection (was|is) closed"):
            await work_on(target)


async def test_a_failed_work_leaves_no_lock(fresh_database_url: str) -> None:
    config = DatabaseSettings.model_validate({"DATABASE_URL": fresh_database_url})

    async def fail(target: Target) -> None:
        async with locked_connection(target, say=lambda _line: None):
            raise ManagerError("It cannot be done.")

    async with open_target(config) as target, asyncio.timeout(60):
        with pytest.raises(ManagerError, match="cannot be done"):
            await fail(target)
        async with locked_connection(target, say=lambda _line: None) as connection:
            is_usable = not connection.closed

    assert is_usable
