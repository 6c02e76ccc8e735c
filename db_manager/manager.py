"""The operations of the database manager, each a method that returns what it found or did."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeVar

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.comparison import compare
from db_manager.connection import Target
from db_manager.errors import ManagerError
from db_manager.lock import locked_connection
from db_manager.report import MIGRATE, Migration, Status, find_problem
from db_manager.revisions import Revisions
from db_manager.runner import Say, create_tables, render_sql, run, write_revision
from db_manager.schema import (
    drop_everything,
    drop_invalid_indexes,
    drop_tables,
    read_revisions,
    read_tables,
)
from db_manager.workspace import get_workspace

ResultT = TypeVar("ResultT")

WAIT_INTERVAL = 1.0
"""Seconds between two looks at a database that another process migrates."""


class DatabaseManager:
    """Reads and changes the schema of one database.

    Args:
        target: the database.
        say: takes a line for the user while an operation runs.
    """

    def __init__(self, target: Target, say: Say) -> None:
        self._target = target
        self._say = say
        self._revisions = Revisions()
        self._metadata = get_workspace().load_metadata()

    async def status(self) -> Status:
        """Compare the database with the revisions, and with the models if it has them all."""
        async with self._target.connect() as connection:
            return await _do(connection, self._observe)

    async def wait(self, seconds: float) -> None:
        """Return when no revision is pending; a database that is ahead of this code lacks none.

        Raises ManagerError when that takes longer.
        """
        deadline = monotonic() + seconds
        while (status := await self.status()).pending:
            if monotonic() >= deadline:
                raise ManagerError(f"It was not migrated in time. {status.problem}")
            await asyncio.sleep(WAIT_INTERVAL)

    async def migrate(self, revision: str = "head") -> Migration:
        """Bring the database up to `revision`."""
        async with locked_connection(self._target, self._say) as connection:
            return await self._upgrade(connection, revision)

    async def downgrade(self, revision: str) -> list[str]:
        """Take the database back to `revision`; return the ids of what was reverted."""
        async with locked_connection(self._target, self._say) as connection:
            await self._read_known_revisions(connection)
            return await run(
                connection, lambda config: command.downgrade(config, revision), self._say
            )

    async def revise(self, message: str) -> Path | None:
        """Write a revision that makes the models' changes; None when there are none."""
        self._revisions.get_head()
        async with self._target.connect() as connection:
            status = await _do(connection, self._observe)
            if status.problem:
                raise ManagerError(f"A revision follows the newest one. {status.problem}")
            return await write_revision(connection, message) if status.drift else None

    async def sql(self, revision: str = "head") -> str:
        """Return what migrating to `revision` would run."""
        async with self._target.connect() as connection:
            current = await self._read_known_revisions(connection)
        if len(current) > 1:
            raise ManagerError(f"The database is at several revisions ({', '.join(current)}).")
        return render_sql(":".join([*current, revision]))

    async def create_tables(self) -> list[str]:
        """Create the models' tables at once, as the newest revision; return their names.

        A database that has some of them, or a revision, is left to `migrate`.
        """
        self._revisions.get_head()
        async with locked_connection(self._target, self._say) as connection:
            status = await _do(connection, self._observe)
            if status.current and status.problem is None and not status.drift:
                return []
            _refuse_to_create(status)
            await create_tables(connection, self._metadata)
        return sorted(self._metadata.tables)

    async def drop_tables(self) -> None:
        """Drop the models' tables and what the database knows of revisions."""
        async with locked_connection(self._target, self._say) as connection:
            await _do(connection, lambda current: drop_tables(current, self._metadata))

    async def reset(self) -> Migration:
        """Empty the schema, then migrate."""
        self._revisions.get_head()
        async with locked_connection(self._target, self._say) as connection:
            await _do(connection, drop_everything)
            return await self._upgrade(connection, "head")

    async def _upgrade(self, connection: AsyncConnection, revision: str) -> Migration:
        current = await self._read_known_revisions(connection)
        if revision == "head":
            self._revisions.get_head()
        if self._revisions.pending(current):
            for index in await _do(connection, drop_invalid_indexes):
                self._say(f"Dropped the invalid index {index}, which an interrupted run left.")
        applied = await run(connection, lambda config: command.upgrade(config, revision), self._say)
        return Migration(self._target.place, applied, await _do(connection, read_revisions))

    async def _read_known_revisions(self, connection: AsyncConnection) -> tuple[str, ...]:
        current = await _do(connection, read_revisions)
        if problem := find_problem((), self._revisions.unknown(current), pending=0):
            raise ManagerError(problem)
        return current

    def _observe(self, connection: Connection) -> Status:
        current, heads = read_revisions(connection), self._revisions.heads()
        defined, found = frozenset(self._metadata.tables), read_tables(connection)
        unknown = self._revisions.unknown(current)
        pending = [] if unknown else self._revisions.pending(current)
        problem = find_problem(heads, unknown, len(pending))
        return Status(
            database=self._target.place,
            server_version=str(connection.scalar(text("SHOW server_version"))),
            current=current,
            heads=heads,
            pending=tuple(pending),
            tables_defined=tuple(sorted(defined)),
            tables_found=tuple(sorted(defined & found)),
            drift=None if problem else tuple(compare(connection, self._metadata)),
            problem=problem,
        )


async def _do(connection: AsyncConnection, work: Callable[[Connection], ResultT]) -> ResultT:
    """Do all of `work` in one transaction, or nothing of it."""
    async with connection.begin():
        return await connection.run_sync(work)


def _refuse_to_create(status: Status) -> None:
    if status.current:
        raise ManagerError(
            f"The database is at {', '.join(status.current)} already. Run: {MIGRATE}\n"
            "(or `reset`, which drops everything first)"
        )
    if status.tables_found:
        raise ManagerError(
            f"The database has these tables already: {', '.join(status.tables_found)}.\n"
            "Their revision is unknown: drop them first, with `drop-tables` or `reset`."
        )
