"""Alembic's commands, run on the target's connection, with failures said by revision file."""

import asyncio
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
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db_manager.comparison import Comparison
from db_manager.errors import LockedError, ManagerError, RevisionFailedError
from db_manager.lock import is_of_a_lock
from db_manager.revisions import (
    Revisions,
    find_half_done,
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

_NOT_DONE = frozenset({"42701", "42703", "42704", "42710", "42P01", "42P07"})
"""What PostgreSQL says of a name that is not there yet, or still is: of a column, a table, another."""
_IS_CONSTRAINT = "is already associated with a constraint"
"""What it says of an index that still is its constraint's, with a code (55000) of other mistakes too."""

Say = Callable[[str], None]
"""Takes a line for the user while an operation runs."""


async def run(
    connection: AsyncConnection, work: Callable[[Config], object], say: Say, steps: list[str]
) -> None:
    """Run Alembic's commands on a connection; `steps` gets the ids that they applied or reverted.

    Raises RevisionFailedError, or ManagerError for what Alembic itself refuses.
    """
    config = make_config()

    def note(*, step: MigrationInfo, **_: object) -> None:
        steps.append(str(step.up_revision_id))
        say(f"{'Applying' if step.is_upgrade else 'Reverting'} {_name(step)}")

    def on_connection(connection: Connection) -> None:
        config.attributes.update(connection=connection, on_version_apply=(note,))
        work(config)

    try:
        with _reported_by_revision(steps):
            await connection.run_sync(on_connection)
    except LockedError:
        raise
    except RevisionFailedError as error:
        if error.half_done is None:
            raise
        await connection.rollback()
        raise await _take_back(connection, error, error.half_done) from error
    await connection.rollback()  # what Alembic has only read


async def _take_back(
    connection: AsyncConnection, failure: RevisionFailedError, half_done: tuple[Path, str]
) -> RevisionFailedError:
    """Undo what a failed revision has committed by its own other way; return what to say then.

    What that would undo and was not done yet is left out.
    """
    file, way = half_done
    back = "downgrade" if way == "upgrade" else "upgrade"

    def go_back(current: Connection) -> None:
        scripts = ScriptDirectory.from_config(make_config())
        [script] = [each for each in scripts.walk_revisions() if Path(each.path) == file]
        context = MigrationContext.configure(current)

        def invoke(operation: MigrateOperation) -> object:
            try:
                with nullcontext() if is_autocommit() else current.begin_nested():
                    return invoke_strictly(operation)
            except DBAPIError as error:
                cause = driver_error(error)
                is_not_done = getattr(cause, "sqlstate", None) in _NOT_DONE
                if not is_not_done and _IS_CONSTRAINT not in str(cause):
                    raise
                return None

        def is_autocommit() -> bool:
            return current.get_execution_options().get("isolation_level") == "AUTOCOMMIT"

        with Operations.context(context) as operations, context.begin_transaction():
            invoke_strictly = operations.invoke
            operations.invoke = invoke  # type: ignore[method-assign,assignment]
            getattr(script.module, back)()

    first = failure.message.splitlines()[0]
    try:
        await connection.run_sync(go_back)
    except Exception as error:  # whatever a revision may raise: the first failure is told
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
) -> Path:
    """Write a revision that brings the database to the models; return its file."""
    written = list[Path]()

    def write(config: Config) -> None:
        current: Connection = config.attributes["connection"]
        with (
            warnings.catch_warnings(action="ignore"),
            current.begin() as transaction,
            whole_or_not_at_all() as rev_id,
        ):
            config.attributes["comparison"] = comparison(current).options()
            script = command.revision(config, message, autogenerate=True, rev_id=rev_id)
            transaction.rollback()  # what was renamed and made for the comparison
        written.append(_path_of(script))

    await run(connection, write, _say_nothing, [])
    await asyncio.to_thread(format_file, written[0])
    return written[0]


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
def _reported_by_revision(steps: list[str]) -> Iterator[None]:
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
        half_done = find_half_done(error)
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
