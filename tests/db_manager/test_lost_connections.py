"""A migration whose connections end under it: the lock's, the work's, or both."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest

from db_manager.connection import Target, open_target
from db_manager.errors import LockLostError
from db_manager.lock import migration_lock
from shared.config import DatabaseConfig
from tests.db_manager.outcome import USERS, execute
from tests.db_manager.workspace_copy import WorkspaceCopy

HERE = "FROM pg_stat_activity WHERE datname = current_database()"
SLEEPS = f"SELECT pid {HERE} AND wait_event = 'PgSleep'"
TERMINATE = f"SELECT pg_terminate_backend(pid, 60000) {HERE} AND pid <> pg_backend_pid() AND {{}}"
HOLDS_LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
LOCK_LOST = "The connection that holds the lock on"
WORK_LOST = "aaaaaaaaaaa1_by_hand.py, line 10: connection was closed"


@pytest.mark.parametrize(
    ("lost", "reasons"),
    [
        (HOLDS_LOCK, [LOCK_LOST]),
        (f"NOT {HOLDS_LOCK}", [WORK_LOST]),
        ("true", [LOCK_LOST, WORK_LOST]),
    ],
    ids=["the lock's", "the work's", "both, as when the server stops"],
)
async def test_a_connection_that_is_lost_stops_it(
    copy: WorkspaceCopy, fresh_database_url: str, lost: str, reasons: list[str]
) -> None:
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.execute("SELECT pg_sleep(60)")')
    process = copy.start("migrate")
    observer = await asyncpg.connect(fresh_database_url)
    while not await observer.fetchval(SLEEPS):  # noqa: ASYNC110
        await asyncio.sleep(0.05)

    await observer.execute(TERMINATE.format(lost))
    _, err = await asyncio.to_thread(process.communicate, timeout=60)
    current = await observer.fetchval("SELECT version_num FROM alembic_version")
    await observer.close()

    assert (process.returncode, current) == (1, USERS)
    assert any(reason in err for reason in reasons)
    assert "Traceback" not in err


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


@pytest.mark.parametrize("turns", range(8))
async def test_a_lock_that_is_lost_as_the_work_fails_interrupts_nothing_else(
    turns: int, fresh_database_url: str
) -> None:
    async def lose_and_fail(target: Target) -> None:
        async with migration_lock(target, say=lambda _line: None):
            _do_meanwhile(execute, fresh_database_url, TERMINATE.format(HOLDS_LOCK))
            for _ in range(turns):
                await asyncio.sleep(0)
            raise ZeroDivisionError

    config = DatabaseConfig.model_validate({"DATABASE_URL": fresh_database_url})
    async with open_target(config) as target:
        with pytest.raises((ZeroDivisionError, LockLostError)):
            await lose_and_fail(target)

        await asyncio.sleep(0)


def _do_meanwhile(work: Callable[..., None], *arguments: str) -> None:
    """Do it in a thread, with the loop standing still."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work, *arguments).result()
