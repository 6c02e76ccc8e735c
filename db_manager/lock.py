"""One process changes the schema at a time: a session-level advisory lock of PostgreSQL.

It is polled for, in autocommit and on a connection of its own. A transaction-level lock would
be lost in a revision's autocommit block; a blocked `pg_advisory_lock` is ended by lock_timeout
and holds a snapshot that CREATE INDEX CONCURRENTLY waits for, for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

import asyncpg
from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.connection import Target
from db_manager.errors import LockLostError

POLL_INTERVAL = 0.1
PATIENCE = 1.0
"""Seconds of silent waiting."""

_KEY = func.hashtextextended(literal("db_manager:") + func.current_database(), 0)


@asynccontextmanager
async def migration_lock(target: Target, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock; the body is cancelled and LockLostError raised when its connection ends."""
    async with target.connect() as connection:
        session = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await _acquire(session, target, say)
        async with _guarded(session, target):
            yield
        await session.execute(select(func.pg_advisory_unlock(_KEY)))


async def _acquire(session: AsyncConnection, target: Target, say: Callable[[str], None]) -> None:
    asked, said = monotonic(), False
    while not await session.scalar(select(func.pg_try_advisory_lock(_KEY))):
        if not said and monotonic() - asked >= PATIENCE:
            say(f"Waiting for another process that is changing {target.place} …")
            said = True
        await asyncio.sleep(POLL_INTERVAL)


@asynccontextmanager
async def _guarded(session: AsyncConnection, target: Target) -> AsyncIterator[None]:
    """Cancel the body as soon as the lock's connection is closed under it."""
    task, lost, over = _get_task(), asyncio.Event(), asyncio.Event()

    def cancel(_connection: object) -> None:
        # The driver says it a turn of the loop later: the body may have failed in between.
        if not over.is_set():
            lost.set()
            task.cancel()

    driver: asyncpg.Connection = (await session.get_raw_connection()).driver_connection
    driver.add_termination_listener(cancel)
    try:
        yield
    except BaseException as error:
        if not lost.is_set():
            raise
        await _absorb_cancellation(task)
        raise LockLostError(
            f"The connection that holds the lock on {target.place} was closed: stopped, since "
            "another process may be migrating now.\nRun the command again."
        ) from error
    finally:
        over.set()
        driver.remove_termination_listener(cancel)


async def _absorb_cancellation(task: "asyncio.Task[object]") -> None:
    """End our own cancellation, which has not arrived yet where another error came first."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    task.uncancel()


def _get_task() -> "asyncio.Task[object]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can hold the lock")
    return task
