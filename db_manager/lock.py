"""One process changes the schema at a time: a session-level advisory lock of PostgreSQL.

The session that holds it is the one that does the work, so that neither outlives the other. It is
polled for: a blocked `pg_advisory_lock` is ended by lock_timeout and holds a snapshot that CREATE
INDEX CONCURRENTLY of another session waits for, for ever. A transaction-level lock would be lost in
a revision's autocommit block.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.connection import Target

POLL_INTERVAL = 0.1
SILENT_WAIT = 1.0
"""Seconds of waiting before the user is told."""

_KEY = func.hashtextextended(literal("db_manager:") + func.current_database(), 0)


@asynccontextmanager
async def locked_connection(
    target: Target, say: Callable[[str], None]
) -> AsyncIterator[AsyncConnection]:
    """Open the connection that holds the lock, to do the work on."""
    async with target.connect() as connection:
        await _acquire(connection, target, say)
        try:
            yield connection
        except BaseException:
            await connection.invalidate()  # ends the session, and with it the lock
            raise
        await _call(connection, func.pg_advisory_unlock(_KEY))


async def is_being_changed(connection: AsyncConnection) -> bool:
    """Say whether a process holds the lock; while the transaction lasts, none takes it."""
    function = func.pg_try_advisory_xact_lock_shared(_KEY)
    return not await connection.scalar(select(function))


async def _acquire(connection: AsyncConnection, target: Target, say: Callable[[str], None]) -> None:
    began, told = monotonic(), False
    while not await _call(connection, func.pg_try_advisory_lock(_KEY)):
        if not told and monotonic() - began >= SILENT_WAIT:
            say(f"Waiting for another process that is changing {target.place} …")
            told = True
        await asyncio.sleep(POLL_INTERVAL)


async def _call(connection: AsyncConnection, function: ColumnElement[bool]) -> bool:
    """Call a function in a transaction of its own."""
    async with connection.begin():
        return bool(await connection.scalar(select(function)))
