"""One process changes the schema at a time: a session-level advisory lock of PostgreSQL.

It is polled for, in autocommit and on a connection of its own. A transaction-level lock would
be lost in a revision's autocommit block; a blocked `pg_advisory_lock` is ended by lock_timeout
and holds a snapshot that CREATE INDEX CONCURRENTLY waits for, for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
    """Hold the lock; when its connection ends, so do the body's, and LockLostError is raised."""
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
    """Cut the body's connections as soon as the lock's is closed under it."""
    driver: asyncpg.Connection = (await session.get_raw_connection()).driver_connection
    cut: list[int] = []

    def cut_others(_connection: object) -> None:
        cut.extend(target.cut())

    driver.add_termination_listener(cut_others)
    try:
        yield
    except Exception as error:
        if not driver.is_closed():
            raise
        await target.end(cut)
        raise LockLostError(
            f"The connection that holds the lock on {target.place} was closed: stopped, since "
            "another process may be migrating now.\nRun the command again."
        ) from error
    finally:
        driver.remove_termination_listener(cut_others)
