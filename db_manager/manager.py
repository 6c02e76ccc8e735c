"""The operations of the database manager, each a method that returns what it found or did."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.comparison import Comparison, Findings, Loss
from db_manager.connection import Target, recreate
from db_manager.errors import ACCEPT, ManagerError, RevisionFailedError
from db_manager.lint import find_unmarked
from db_manager.lock import (
    LOCK_WAIT,
    LockRetries,
    is_being_changed,
    limit_waiting,
    locked_connection,
)
from db_manager.made import Made
from db_manager.ownership import Ownership
from db_manager.progress import HalfDone
from db_manager.report import MIGRATE, Migration, Status, describe_lacking, find_problem
from db_manager.reset import NOT_MADE, Ours, RemainingObject, drop_ours
from db_manager.revisions import Revision, Revisions
from db_manager.roles import find_lacking, grant_tables, make_roles
from db_manager.runner import Say, create_tables, render_sql, run, write_revision
from db_manager.schema import (
    drop_tables,
    find_invalid_indexes,
    read_revisions,
    read_tables,
)
from db_manager.seeding import choose_seeds, store_seeds
from db_manager.steps import is_remark, rename_steps
from db_manager.workspace import get_workspace, told_by_file
from quart_fleet.database.explanations import driver_error, reason_of
from quart_fleet.models import owning_roles

ResultT = TypeVar("ResultT")

Renames = Sequence[tuple[str, str]]
"""Old names, as `table` or `table.column`, and new ones."""

_NUMBER_OF_STEPS = re.compile(r"[+-]\d+$")

WAIT_INTERVAL = 1.0
"""Seconds between two looks at a database that another process migrates."""


class DatabaseManager:
    """Reads and changes the schema of one database.

    Args:
        target: the database.
        say: takes a line for the user while an operation runs.
        lock_wait: seconds to keep trying where others hold locks.
    """

    def __init__(self, target: Target, say: Say, lock_wait: float = LOCK_WAIT) -> None:
        self._target = target
        self._say = say
        self._lock_retries = LockRetries(target, say, lock_wait)
        self._revisions = Revisions()
        self._workspace = get_workspace()
        with told_by_file():
            self._metadata = self._workspace.load_metadata()
        self._made = self._made_by(self._revisions.list_all())
        self._ours = Ours(self._metadata, self._made, self._workspace.version_table)

    async def status(self) -> Status:
        """Compare the database with the revisions, and with the models if it has them all."""
        async with self._target.connect() as connection:
            found = await _do(connection, self._observe)
            if found.problem:
                return found
            table, roles = self._workspace.version_table, self._workspace.roles()
            lacking = await _do(
                connection,
                lambda current: find_lacking(current, self._granted_tables(current), table, roles),
            )
        return replace(found, problem=describe_lacking(lacking)) if lacking else found

    async def wait(self, seconds: float) -> None:
        """Return when no revision is pending; a database that is ahead of this code lacks none.

        A service's own role may do it. Raises ManagerError when that takes longer.
        """
        deadline = monotonic() + seconds
        while True:
            async with self._target.connect() as connection:
                delay = await self._find_delay(connection)
            if delay is None:
                return
            if monotonic() >= deadline:
                raise ManagerError(f"It was not migrated in time. {delay}")
            await asyncio.sleep(WAIT_INTERVAL)

    async def seed(self, service: str | None) -> list[str]:
        """Store the rows that a service, or all, begin with; return a line for each resource.

        Raises ManagerError, with nothing stored.
        """
        if self._target.is_protected:
            raise ManagerError(
                f"PROTECTED is set, so that {self._target.place} gets no rows for development."
            )
        async with self._target.connect() as connection:
            if delay := await self._find_delay(connection):
                raise ManagerError(delay)
        return await store_seeds(self._target, choose_seeds(service), self._say)

    async def migrate(
        self,
        revision: str = "head",
        passwords: Mapping[str, str] | None = None,
        *,
        expands_only: bool = False,
    ) -> Migration:
        """Bring the database up to `revision`, and grant each service its tables.

        Args:
            revision: the last one to apply.
            passwords: of the roles to make, by name.
            expands_only: whether to stop before revisions that take away what older code needs.
        """
        async with self._locked_connection() as connection:
            last: str | None = revision
            if expands_only:
                self._revisions.get_head()
                current = await self._read_known_revisions(connection)
                last = self._revisions.last_expansion(current)
                # An empty database has no older code.
                pending = self._revisions.pending(current) if current else []
                if found := find_unmarked([each.id for each in pending]):
                    reason = f"Or say in the file why it is right. {ACCEPT}"
                    raise ManagerError("\n".join([*(f"{each}." for each in found), reason]))
            return await self._upgrade(connection, last, passwords or {})

    async def find_loss(self, revision: str) -> bool:
        """Say whether rows or values may go on the way back to `revision`."""
        async with self._target.connect() as connection:
            current = await self._read_known_revisions(connection)
        return self._revisions.may_lose(current, revision)

    async def downgrade(self, revision: str) -> list[str]:
        """Take the database back to `revision`; return the ids of what was reverted."""
        async with self._locked_connection() as connection:
            await self._refuse_half_done(connection, "downgrade")
            current = await self._read_known_revisions(connection)
            if len(current) > 1 and revision.startswith("-"):
                raise ManagerError(self._revisions.describe_ways_back(current))
            try:
                reverted = await self._run(
                    connection, lambda config: command.downgrade(config, revision), revision
                )
            except ManagerError as error:
                if "Ambiguous walk" not in error.message:
                    raise
                raise ManagerError(self._revisions.describe_ways_back(current)) from error
            await self._grant(connection)  # of tables that were made anew
        return reverted

    async def revise(
        self, message: str, renames: Renames, settle: Callable[[list[Loss]], Renames]
    ) -> list[Path]:
        """Write a revision that makes the models' changes, and the contraction that follows it.

        Returns their files: none where nothing is different.

        Args:
            message: what the revision does.
            renames: old names, as `table` or `table.column`, and new ones.
            settle: is given what the revision would drop, and returns those that are renames too.
        """
        self._revisions.get_head()
        async with self._target.connect() as connection:
            await limit_waiting(connection)  # a rename is tried out, in a transaction
            status = await _do(connection, self._observe)
            if status.problem:
                raise ManagerError(f"A revision follows the newest one. {status.problem}")
            comparison = await self._lock_retries.run(
                connection,
                lambda: _try(connection, lambda current: self._compare(current, renames)[0]),
            )
            more = settle(comparison.losses())
            if more:
                renames = [*renames, *more]
                comparison = await self._lock_retries.run(
                    connection,
                    lambda: _try(connection, lambda current: self._compare(current, renames)[0]),
                )
            written = [each for each in comparison.operations if not is_remark(each)]
            if not written and status.drift:
                raise ManagerError(
                    "No revision can be written for these; write one by hand, with --empty:\n"
                    + "\n".join(status.drift)
                )
            if not written:
                return []
            for loss in comparison.losses():
                self._say(f"The revision drops {loss}.")
            return await self._lock_retries.run(
                connection,
                lambda: write_revision(
                    connection, message, lambda current: self._prepare(current, renames)
                ),
            )

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
        async with self._locked_connection() as connection:
            await self._read_known_revisions(connection)
            status = await _do(connection, self._observe)
            if status.current and status.problem is None and not status.drift:
                return []
            _refuse_to_create(status)
            tables = await _do(connection, self._own_tables)
            roles = self._roles({})
            await self._in_transaction(connection, lambda current: make_roles(current, roles))
            await self._lock_retries.run(
                connection, lambda: create_tables(connection, self._metadata, tables)
            )
            await self._grant(connection, roles)
        return sorted(each.fullname for each in tables)

    async def drop_tables(self) -> list[RemainingObject]:
        """Drop the models' tables, and what the database knows of revisions; return what is left.

        On a server that is given, a table that no applied revision made is of others.
        """
        async with self._locked_connection() as connection:
            current = await self._read_known_revisions(connection)
            tables, left = await _do(connection, self._own_tables), list[RemainingObject]()
            version_table = self._ours.version_table
            if not self._target.is_embedded:
                found = await _do(connection, lambda now: read_tables(now, self._metadata))
                ours = self._ours_at(current)
                version_table = ours.version_table
                for each in [
                    one for one in tables if not ours.has("table", "", one.name, one.schema)
                ]:
                    tables.remove(each)
                    if each.fullname in found:
                        left.append(
                            RemainingObject(f"table {each.fullname}", NOT_MADE, is_met=True)
                        )
            await self._in_transaction(
                connection, lambda now: drop_tables(now, self._metadata, tables, version_table)
            )
        return left

    async def reset(self) -> tuple[Migration, list[RemainingObject]]:
        """Empty the database, then migrate; return what was left, too.

        The embedded server's database is dropped and created anew. Elsewhere the revisions are
        reverted, and what models and revisions name is dropped: what is left is of others. Raises
        ManagerError where that keeps the revisions from being applied again.
        """
        self._revisions.get_head()
        if self._target.is_embedded:
            async with self._locked_connection():
                pass  # no other process is changing it
            await self._target.engine.dispose()
            await recreate(self._target.url)
            return await self.migrate(), []
        async with self._locked_connection() as connection:
            ours = self._ours_at(await self._read_known_revisions(connection))
            failure = ""
            try:
                await self._run(connection, lambda config: command.downgrade(config, "base"))
            except ManagerError as error:
                failure = f"\nReverting ended at {error.message.splitlines()[0]}"
                await connection.rollback()

            def drop(current: Connection) -> list[RemainingObject]:
                left = drop_ours(current, ours, self._ours)
                if met := [f"{each.name}: {each.reason}" for each in left if each.is_met]:
                    lines = ["These would be left, and migrating would meet them:", *met]
                    raise ManagerError("\n".join(lines) + failure)  # which undoes the drops
                return left

            left = await self._in_transaction(connection, drop)
            return await self._upgrade(connection, "head", {}), left

    def _locked_connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return locked_connection(self._target, self._say, self._lock_retries.seconds)

    async def _upgrade(
        self, connection: AsyncConnection, revision: str | None, passwords: Mapping[str, str]
    ) -> Migration:
        await self._refuse_half_done(connection, "upgrade")
        pending = self._revisions.pending(await self._read_known_revisions(connection))
        if revision == "head":
            self._revisions.get_head()
        roles = self._roles(passwords)
        await self._in_transaction(connection, lambda current: make_roles(current, roles))
        applied = list[str]()
        if revision is not None:
            applied = await self._run(
                connection,
                lambda config: command.upgrade(config, revision),
                revision,
                has_work=bool(pending),
            )
        await self._grant(connection, roles)
        return Migration(self._target.place, applied, await _do(connection, read_revisions))

    async def _run(
        self,
        connection: AsyncConnection,
        work: Callable[[Config], object],
        target: str = "",
        *,
        has_work: bool = True,
    ) -> list[str]:
        """Apply or revert revisions; return their ids.

        A failed index of one that is tried again, or was taken back, goes. A number of steps as
        `target` is not begun anew once some are done.
        """
        steps = list[str]()

        async def attempt() -> list[str]:
            if has_work:
                await self._drop_invalid_indexes(connection)
            await run(connection, work, self._say, steps, self._lock_retries.seconds)
            return steps

        try:
            return await self._lock_retries.run(
                connection, attempt, lambda: not (steps and _NUMBER_OF_STEPS.search(target))
            )
        except RevisionFailedError as error:
            if error.is_taken_back:
                with suppress(DBAPIError, ManagerError):  # the next run does it
                    await self._drop_invalid_indexes(connection)
            raise

    async def _in_transaction(
        self, connection: AsyncConnection, work: Callable[[Connection], ResultT]
    ) -> ResultT:
        """Do all of `work` in one transaction, again where locks of others keep it from its end."""
        return await self._lock_retries.run(connection, lambda: _do(connection, work))

    async def _drop_invalid_indexes(self, connection: AsyncConnection) -> None:
        """Drop invalid indexes CONCURRENTLY, which blocks no reader and no writer of their tables."""
        indexes = await _do(connection, lambda current: find_invalid_indexes(current, self._ours))
        if not indexes:
            return
        level = await connection.get_isolation_level()
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            for index in indexes:
                await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index}"))
                self._say(f"Dropped the invalid index {index}, which an interrupted run left.")
        finally:
            await connection.rollback()
            await connection.execution_options(isolation_level=level)

    def _roles(self, passwords: Mapping[str, str]) -> Mapping[str, str | None]:
        """Return the roles to make: on the embedded server, which asks for no password, all."""
        if not self._target.is_embedded:
            return passwords
        return dict.fromkeys(
            {*owning_roles(self._metadata.tables.values()).values(), *self._workspace.roles()}
        )

    async def _grant(self, connection: AsyncConnection, roles: Iterable[str] = ()) -> None:
        table, named = self._workspace.version_table, {*roles, *self._workspace.roles()}

        def grant(current: Connection) -> list[str]:
            return grant_tables(current, self._granted_tables(current), table, named)

        for line in await self._in_transaction(connection, grant):
            self._say(line)

    def _granted_tables(self, connection: Connection) -> list[Table]:
        """Return those of the models that services get rights on, views too."""
        ownership = Ownership(connection, self._metadata, self._workspace, self._made)
        models = self._metadata.tables.values()
        return [each for each in models if not ownership.is_unmanaged(each)]

    async def _find_delay(self, connection: AsyncConnection) -> str | None:
        """Say what keeps a service from starting; None when nothing does."""
        try:
            async with connection.begin():
                if await is_being_changed(connection):
                    return f"Another process is changing {self._target.place}."
                current = await connection.run_sync(read_revisions)
                half_done = await connection.run_sync(self._find_half_done)
        except DBAPIError as error:
            if not isinstance(driver_error(error), asyncpg.InsufficientPrivilegeError):
                raise
            return f"Its revision cannot be read yet ({reason_of(driver_error(error))})."
        if half_done is not None:
            return half_done.remedy
        if self._revisions.unknown(current):
            return None
        pending = self._revisions.pending(current)
        return find_problem((), (), len([each for each in pending if not each.is_contract]))

    async def _refuse_half_done(self, connection: AsyncConnection, way: str) -> None:
        """Raise ManagerError where an interrupted run has left a revision that goes another way."""
        found = await _do(connection, self._find_half_done)
        if found is not None and found.way != way and not found.is_taken_back:
            raise ManagerError(found.remedy)

    def _find_half_done(self, connection: Connection) -> HalfDone | None:
        return HalfDone.find(connection, self._workspace.version_table)

    async def _read_known_revisions(self, connection: AsyncConnection) -> tuple[str, ...]:
        current = await _do(connection, read_revisions)
        if problem := find_problem((), self._revisions.unknown(current), pending=0):
            raise ManagerError(problem)
        return current

    def _observe(self, connection: Connection) -> Status:
        current, heads = read_revisions(connection), self._revisions.heads()
        defined, found = frozenset(self._metadata.tables), read_tables(connection, self._metadata)
        unknown = self._revisions.unknown(current)
        pending = [] if unknown else self._revisions.pending(current)
        half_done = self._find_half_done(connection)
        problem = find_problem(heads, unknown, len(pending))
        if half_done is not None:
            problem = half_done.remedy
        findings = Findings((), (), ()) if problem else self._compare(connection, ())[1]
        return Status(
            database=self._target.place,
            server_version=str(connection.scalar(text("SHOW server_version"))),
            current=current,
            heads=heads,
            pending=tuple(pending),
            tables_defined=tuple(sorted(defined)),
            tables_found=tuple(sorted(defined & found)),
            drift=None if problem else findings.differences,
            not_compared=findings.not_compared,
            others=findings.others,
            problem=problem,
        )

    def _prepare(self, connection: Connection, renames: Renames) -> Comparison:
        """Rename in the database, for the time of the transaction, and make a comparison."""
        for step in rename_steps(renames, connection):
            for statement in step.up:
                connection.exec_driver_sql(statement)
        return Comparison(connection, self._metadata, self._workspace, self._made, renames)

    def _compare(self, connection: Connection, renames: Renames) -> tuple[Comparison, Findings]:
        comparison = self._prepare(connection, renames)
        try:
            return comparison, comparison.compare()
        except DBAPIError:
            raise
        except SQLAlchemyError as error:
            raise ManagerError(f"The models cannot be compared: {reason_of(error)}") from error

    def _made_by(self, revisions: Iterable[Revision]) -> Made:
        """Return what revisions make, which are given with the newest first."""
        versions = self._workspace.versions
        files = [versions / each.file for each in revisions]
        return Made(versions.parent, tuple(reversed(files)))

    def _ours_at(self, current: tuple[str, ...]) -> Ours:
        """Return what the applied revisions made: all that may be dropped."""
        pending = self._revisions.pending(current)
        applied = [each for each in self._revisions.list_all() if each not in pending]
        version_table = self._workspace.version_table if current else None
        return Ours(self._metadata, self._made_by(applied), version_table)

    def _own_tables(self, connection: Connection) -> list[Table]:
        """Return those of the models that are no views, and are not left out."""
        ownership = Ownership(connection, self._metadata, self._workspace, self._made)
        return [
            table
            for table in self._metadata.tables.values()
            if not ownership.is_view(table) and not ownership.is_unmanaged(table)
        ]


async def _do(connection: AsyncConnection, work: Callable[[Connection], ResultT]) -> ResultT:
    """Do all of `work` in one transaction, or nothing of it."""
    async with connection.begin():
        return await connection.run_sync(work)


async def _try(connection: AsyncConnection, work: Callable[[Connection], ResultT]) -> ResultT:
    """Do `work` in a transaction that is rolled back."""
    async with connection.begin() as transaction:
        result = await connection.run_sync(work)
        await transaction.rollback()
    return result


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
