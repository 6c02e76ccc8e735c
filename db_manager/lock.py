"""The locks of a migration: its own, and those of others that it waits for.

One process changes the schema at a time: a session-level advisory lock of PostgreSQL.

The session that holds it is the one that does the work, so that neither outlives the other. It is
polled for: a blocked `pg_advisory_lock` is ended by lock_timeout and holds a snapshot that CREATE
INDEX CONCURRENTLY of another session waits for, for ever. A transaction-level lock would be lost in
a revision's autocommit block.

A statement that waits for a lock on a table has every later reader of the table wait behind it. It
waits for LOCK_TIMEOUT seconds at most, lets them pass, and is tried again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import ColumnElement, Row, func, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.connection import Target
from db_manager.errors import LockedError, ManagerError
from quart_fleet.database.explanations import driver_error, reason_of

ResultT = TypeVar("ResultT")

LOCK_TIMEOUT = 2
"""Seconds that a statement waits for a lock: requests wait behind it."""
LOCK_WAIT = 60.0
"""Seconds that a command keeps trying, by default."""

_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between tries, in which those who waited are served; the last one again and again."""

_HOLDERS = text("""
    SELECT holders.pid, coalesce(activity.usename, activity.backend_type) AS owner, activity.state,
           activity.query,
           to_char(activity.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS since
    FROM pg_stat_activity AS waiting, LATERAL unnest(pg_blocking_pids(waiting.pid)) AS holders (pid)
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = holders.pid
    WHERE waiting.pid = :pid AND waiting.wait_event_type = 'Lock'
    ORDER BY activity.xact_start NULLS LAST, holders.pid
""")
"""Who keeps a session waiting, the oldest transaction first; 0 is a prepared transaction."""
_CHANGING = text("""
    SELECT activity.pid, coalesce(activity.usename, activity.backend_type) AS owner, activity.state,
           activity.query,
           to_char(activity.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS since
    FROM pg_locks AS locks JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
    WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1
      AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (CAST(locks.classid AS bigint) << 32) | CAST(locks.objid AS bigint)
          = hashtextextended('db_manager:' || current_database(), 0)
""")
"""Who holds the lock of migrations, since its session began."""
_LONGEST_STATEMENT = 80

POLL_INTERVAL = 0.1
SILENT_WAIT = 1.0
"""Seconds of waiting before the user is told."""

_KEY = func.hashtextextended(literal("db_manager:") + func.current_database(), 0)


@asynccontextmanager
async def locked_connection(
    target: Target, say: Callable[[str], None], seconds: float = LOCK_WAIT
) -> AsyncIterator[AsyncConnection]:
    """Open the connection that holds the lock, to do the work on.

    Raises LockedError when another process holds it for longer than `seconds`.
    """
    async with target.connect() as connection:
        await _acquire(connection, target, say, seconds)
        await limit_waiting(connection)
        try:
            yield connection
        except BaseException:
            await connection.invalidate()  # ends the session, and with it the lock
            raise
        await _call(connection, func.pg_advisory_unlock(_KEY))


async def limit_waiting(connection: AsyncConnection) -> None:
    """Have no statement of the session wait for a lock for longer than LOCK_TIMEOUT."""
    async with connection.begin():
        await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}s'"))


@dataclass
class LockRetries:
    """Does work again where locks of others kept it from its end, and says who they are."""

    target: Target
    say: Callable[[str], None]
    seconds: float = LOCK_WAIT
    """How long work is tried again."""
    _holder: str = field(default="", init=False)

    async def run(
        self,
        connection: AsyncConnection,
        attempt: Callable[[], Awaitable[ResultT]],
        can_repeat: Callable[[], bool] = lambda: True,
    ) -> ResultT:
        """Do work again, which is undone then, for as long as a lock keeps it from its end.

        Raises LockedError when that takes longer than `seconds`.
        """
        deadline, tries = monotonic() + self.seconds, 0
        while True:
            self._holder = ""
            try:
                async with self._watching(connection):
                    return await attempt()
            except (LockedError, DBAPIError) as error:
                advice = f"\nTried for {self.seconds:g} s; --lock-wait SECONDS sets that."
                failure = self._describe(error, advice if can_repeat() else "")
                if failure is None:
                    raise
                await connection.rollback()
                left = deadline - monotonic()
                if left <= 0 or not can_repeat():
                    raise failure from error
                self.say(f"{failure.message.splitlines()[0]}. Trying again …")
                await asyncio.sleep(min(_PAUSES[min(tries, len(_PAUSES) - 1)], left))
                await limit_waiting(connection)
                tries += 1

    def _describe(self, error: LockedError | DBAPIError, advice: str) -> LockedError | None:
        """Say who kept the lock; None for another error."""
        if isinstance(error, DBAPIError):
            cause = driver_error(error)
            if not is_of_a_lock(cause):
                return None
            error = LockedError(reason_of(cause))
        first, *others = error.message.splitlines()
        who = self._holder and f" ({self._holder})"
        failure = LockedError("\n".join([f"{first}{who}", *others]) + advice)
        failure.half_done = error.half_done
        return failure

    @asynccontextmanager
    async def _watching(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Look at who keeps the connection waiting, on another one."""
        async with connection.begin():
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        is_over = asyncio.Event()

        async def watch() -> None:
            # Without another connection, as where all are taken, it is not told who it is.
            with suppress(ManagerError, DBAPIError, OSError):
                await _pause(is_over)
                if is_over.is_set():
                    return
                async with self.target.connect() as other:
                    while not is_over.is_set():
                        async with other.begin():
                            holders = (await other.execute(_HOLDERS, {"pid": pid})).all()
                        if holders:
                            self._holder = describe_holders(holders)
                        await _pause(is_over)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            is_over.set()
            await watching


def describe_holders(holders: Sequence[Row[Any]]) -> str:
    """Name the first: its process, user, start, and what it runs or ran last."""
    first, more = holders[0], len(holders) - 1
    others = f"and {more} more, " if more else ""
    if first.pid == 0:
        return f"held by {others}a prepared transaction: see pg_prepared_xacts"
    statement = " ".join((first.query or "").split())
    statement = "".join(each if each.isprintable() else "?" for each in statement)
    since = f" since {first.since}" if first.since else ""
    state = f", {first.state}" if first.state not in ("active", None) else ""
    return (
        f"held by {others}pid {first.pid} of {first.owner}{since}{state}: "
        f"{statement[:_LONGEST_STATEMENT]}"
    )


def is_of_a_lock(error: BaseException) -> bool:
    """Say whether a statement ended since others held a lock for too long, or waited for its own."""
    return isinstance(error, asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError)


async def is_being_changed(connection: AsyncConnection) -> bool:
    """Say whether a process holds the lock; while the transaction lasts, none takes it."""
    function = func.pg_try_advisory_xact_lock_shared(_KEY)
    return not await connection.scalar(select(function))


async def _acquire(
    connection: AsyncConnection, target: Target, say: Callable[[str], None], seconds: float
) -> None:
    began, told = monotonic(), False
    while not await _call(connection, func.pg_try_advisory_lock(_KEY)):
        waited = monotonic() - began
        is_over = waited >= seconds
        if is_over or (waited >= SILENT_WAIT and not told):
            async with connection.begin():
                holders = (await connection.execute(_CHANGING)).all()
            who = f" ({describe_holders(holders)})" if holders else ""
            if is_over:
                raise LockedError(
                    f"Another process is changing {target.place}{who}.\n"
                    f"Waited for {seconds:g} s; --lock-wait SECONDS sets that."
                )
            say(f"Waiting for another process that is changing {target.place}{who} …")
            told = True
        await asyncio.sleep(POLL_INTERVAL)


async def _pause(is_over: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(is_over.wait(), POLL_INTERVAL)


async def _call(connection: AsyncConnection, function: ColumnElement[bool]) -> bool:
    """Call a function in a transaction of its own."""
    async with connection.begin():
        return bool(await connection.scalar(select(function)))
