"""Alembic's commands, run on the target's connection, with failures said by revision file."""

import asyncio
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.operations import MigrateOperation, Operations
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.comparison import Comparison
from db_manager.errors import LockedError, ManagerError, RevisionFailedError
from db_manager.lint import mark_phase
from db_manager.lock import LOCK_TIMEOUT, is_of_a_lock, limit_waiting
from db_manager.progress import HalfDone, Progress, comment_on
from db_manager.revisions import (
    Revisions,
    find_line,
    format_file,
    make_config,
    whole_or_not_at_all,
)
from db_manager.workspace import get_workspace
from quart_fleet.database.explanations import driver_error, reason_of

_UNDONE = "The database stays at the revision before it."
_TAKEN_BACK = {
    "upgrade": f"What it had committed already, its downgrade() took back. {_UNDONE}",
    "downgrade": (
        "What it had committed already, its upgrade() took back: what it had dropped is empty. "
        "The database stays at this revision."
    ),
}
_HALF_DONE = (
    "A part of it is committed and stays. Mend the cause, then run it again, which goes on from there: "
    "python -m db_manager"
)
_UNKNOWN = "It may have been kept or undone. See: python -m db_manager status"

_IS_DONE = frozenset(
    {"3F000", "42701", "42703", "42704", "42710", "42723", "42P01", "42P04", "42P06", "42P07"}
)
"""What PostgreSQL says of a name that is not there, or is there already: of a column, a table, another."""
_IS_SO_ALREADY = re.compile(
    "is already associated with a constraint|is (?:already|not) an identity column"
    "|is not a (?:stored )?generated column|is not an existing enum label"
    "|multiple primary keys for table|is already a partition"
)
"""What PostgreSQL says of work that is done, with codes (55000, 42P16, …) of other mistakes too."""

Say = Callable[[str], None]
"""Takes a line for the user while an operation runs."""


async def run(
    connection: AsyncConnection,
    work: Callable[[Config], object],
    say: Say,
    steps: list[str],
    lock_wait: float = LOCK_TIMEOUT,
) -> None:
    """Run Alembic's commands on a connection, and take up what an interrupted run left.

    Args:
        connection: to the database, without a transaction.
        work: is given Alembic's configuration.
        say: takes a line for each revision.
        steps: gets the ids that were applied or reverted.
        lock_wait: seconds that statements wait for locks where all others pass meanwhile.

    Raises RevisionFailedError, or ManagerError for what Alembic itself refuses.
    """
    config, table = make_config(), get_workspace().version_table
    found = await connection.run_sync(HalfDone.find, table)
    await connection.rollback()
    if found is not None and found.is_taken_back:
        scripts = ScriptDirectory.from_config(config).walk_revisions()
        files = [Path(each.path) for each in scripts if each.revision == found.revision]
        if not files:
            raise ManagerError(f"{found.remedy}\nNo file holds it any more: bring it back.")
        failure = RevisionFailedError(f"{found.revision}: its {found.way} was being taken back")
        failure = await _take_back(connection, failure, (files[0], found.way))
        if not failure.is_taken_back:
            raise failure
        say(failure.message.replace("\n", ". "))
        found = None
    progress = Progress(table, found, lock_wait, LOCK_TIMEOUT)

    def note(*, ctx: MigrationContext, step: MigrationInfo, **_: object) -> None:
        if ctx.connection is not None:
            progress.finish(ctx.connection)
        steps.append(str(step.up_revision_id))
        say(f"{'Applying' if step.is_upgrade else 'Reverting'} {_name(step)}")

    def on_connection(connection: Connection) -> None:
        config.attributes.update(connection=connection, on_version_apply=(note,), progress=progress)
        work(config)

    try:
        with _reported_by_revision(steps, progress):
            await connection.run_sync(on_connection)
    except RevisionFailedError as error:
        # Of a session that was lost, the lock is lost too: what is half done waits for the next run.
        if error.half_done is None or connection.invalidated or isinstance(error, LockedError):
            raise
        await connection.rollback()
        await limit_waiting(connection)
        raise await _take_back(connection, error, error.half_done) from error
    await connection.rollback()  # what Alembic has only read


async def _take_back(
    connection: AsyncConnection, failure: RevisionFailedError, half_done: tuple[Path, str]
) -> RevisionFailedError:
    """Undo what a failed revision has committed by its own other way; return what to say then.

    What that would undo and was not done yet is left out. Where it commits in parts itself, the
    database keeps that it is under way, so that it is done again if it is interrupted.
    """
    file, way = half_done
    back = "downgrade" if way == "upgrade" else "upgrade"
    table = get_workspace().version_table

    def go_back(current: Connection) -> None:
        scripts = ScriptDirectory.from_config(make_config())
        [script] = [each for each in scripts.walk_revisions() if Path(each.path) == file]
        way_back = getattr(script.module, back)
        if "autocommit_block" in way_back.__code__.co_names:
            with current.begin():
                HalfDone(script.revision, way, 0, "0", is_taken_back=True).note(current, table)
        context = MigrationContext.configure(current)

        def invoke(operation: MigrateOperation) -> object:
            try:
                with nullcontext() if is_autocommit() else current.begin_nested():
                    return invoke_strictly(operation)
            except DBAPIError as error:
                cause = driver_error(error)
                is_not_done = getattr(cause, "sqlstate", None) in _IS_DONE
                if not is_not_done and _IS_SO_ALREADY.search(str(cause)) is None:
                    raise
                return None

        def is_autocommit() -> bool:
            return current.get_execution_options().get("isolation_level") == "AUTOCOMMIT"

        with Operations.context(context) as operations, context.begin_transaction():
            invoke_strictly = operations.invoke
            operations.invoke = invoke  # type: ignore[method-assign,assignment]
            way_back()
            comment_on(current, table, "NULL")

    first = failure.message.splitlines()[0]
    try:
        await connection.run_sync(go_back)
    except Exception as error:  # whatever a revision may raise: the first failure is told
        await connection.rollback()
        reason = reason_of(driver_error(error))
        return RevisionFailedError(
            f"{failure.message}\n(Its {back}() could not take it back: {reason})"
        )
    taken_back = RevisionFailedError(f"{first}\n{_TAKEN_BACK[way]}")
    taken_back.is_taken_back = True
    return taken_back


def render_sql(revisions: str) -> str:
    """Write what an upgrade over `FROM:TO`, or from nothing to `TO`, would run."""
    config = make_config()
    config.output_buffer = StringIO()
    with _reported_by_revision([]):
        command.upgrade(config, revisions, sql=True)
    script = config.output_buffer.getvalue()
    # A database that was taken back to base has the table already, empty.
    table = get_workspace().version_table
    return script.replace(f"CREATE TABLE {table}", f"CREATE TABLE IF NOT EXISTS {table}")


async def create_tables(
    connection: AsyncConnection, metadata: MetaData, tables: list[Table]
) -> None:
    """Create tables and call that the newest revision, in one transaction."""

    def create(config: Config) -> None:
        current: Connection = config.attributes["connection"]
        quote = current.dialect.identifier_preparer.quote
        with current.begin():
            for schema in sorted({each.schema for each in tables if each.schema}):
                current.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
            metadata.create_all(current, tables=tables)
            command.stamp(config, "head")

    await run(connection, create, _say_nothing, [])


async def write_revision(
    connection: AsyncConnection, message: str, comparison: Callable[[Connection], Comparison]
) -> list[Path]:
    """Write a revision that brings the database to the models; return its file.

    What older code cannot do without is taken away by a second one.
    """
    written = list[Path]()

    def write(config: Config) -> None:
        current: Connection = config.attributes["connection"]
        with (
            warnings.catch_warnings(action="ignore"),
            current.begin() as transaction,
            whole_or_not_at_all() as rev_id,
        ):
            config.attributes["comparison"] = comparison(current).options()
            scripts = command.revision(config, message, autogenerate=True, rev_id=rev_id)
            transaction.rollback()  # what was renamed and made for the comparison
        several = scripts if isinstance(scripts, list) else [scripts]
        written.extend(map(_path_of, several))

    await run(connection, write, _say_nothing, [])
    for file in written:
        await asyncio.to_thread(mark_phase, file)
        await asyncio.to_thread(format_file, file)
    return written


def write_empty_revision(message: str) -> Path:
    """Write a revision that changes nothing, for hands to fill in; return its file."""
    Revisions().get_head()
    with _reported_by_revision([]), whole_or_not_at_all() as rev_id:
        file = _path_of(command.revision(make_config(), message, rev_id=rev_id))
    format_file(file)
    return file


def write_merge(message: str) -> Path | None:
    """Write a revision that follows all heads, and changes nothing; None where there is one."""
    heads = Revisions().heads()
    if len(heads) <= 1:
        return None
    with _reported_by_revision([]), whole_or_not_at_all() as rev_id:
        file = _path_of(command.merge(make_config(), list(heads), message, rev_id=rev_id))
    format_file(file)
    return file


def _path_of(script: Script | list[Script | None] | None) -> Path:
    if not isinstance(script, Script):
        raise TypeError(f"Alembic wrote no single revision: {script!r}")
    return Path(script.path)


@contextmanager
def _reported_by_revision(steps: list[str], progress: Progress | None = None) -> Iterator[None]:
    """Name the revision file in which an error arose; `steps` are those that were done."""
    try:
        yield
    except ManagerError:
        raise
    except (CommandError, RevisionError) as error:
        reason = " ".join(str(error).split())
        raise ManagerError(f"{reason}\nSee: python -m db_manager history") from error
    except Exception as error:
        line, cause = find_line(error), driver_error(error)
        if isinstance(error, PendingRollbackError) and isinstance(error.__context__, Exception):
            cause = driver_error(error.__context__)  # by which the connection was lost
        if line is None and not steps:
            raise
        where = line or f"{steps[-1]}, at its commit"
        is_unknown = line is None and isinstance(cause, asyncpg.ConnectionDoesNotExistError)
        rest = _UNKNOWN if is_unknown else _UNDONE
        reason = reason_of(cause)
        if "multiple commands into a prepared statement" in reason:
            reason += ": give each statement an op.execute of its own"
        if "cannot be cast automatically" in reason:
            reason += ': say how, op.alter_column(…, postgresql_using="COLUMN::TYPE")'
        kind = LockedError if is_of_a_lock(cause) else RevisionFailedError
        half_done = progress.half_done if progress is not None else None
        if half_done is not None:
            rest = f"{_HALF_DONE} {'migrate' if half_done[1] == 'upgrade' else 'downgrade'}"
        failure = kind(f"{where}: {reason}\n{rest}")
        failure.half_done = half_done
        raise failure from error


def _name(step: MigrationInfo) -> str:
    script = step.up_revision
    return (
        f"{script.revision} {script.doc}"
        if isinstance(script, Script)
        else str(step.up_revision_id)
    )


def _say_nothing(_line: str) -> None:
    """Some commands apply no revision."""
