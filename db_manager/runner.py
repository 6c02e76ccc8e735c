"""Alembic's commands, run on the target's connection, with failures said by revision file."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationInfo
from alembic.script import Script
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection

from db_manager.connection import Target, driver_error
from db_manager.errors import ManagerError, RevisionFailedError
from db_manager.revisions import VERSIONS, make_config

Say = Callable[[str], None]
"""Takes a line for the user while an operation runs."""


async def run(target: Target, command: Callable[[Config], object], say: Say) -> list[str]:
    """Run an Alembic command; return the ids of the revisions that it applied or reverted.

    Raises RevisionFailedError, or ManagerError for what Alembic itself refuses.
    """
    config, steps = make_config(), list[str]()

    def note(*, step: MigrationInfo, **_: object) -> None:
        steps.append(str(step.up_revision_id))
        say(f"{'Applied' if step.is_upgrade else 'Reverted'} {_name(step)}")

    def on_connection(connection: Connection) -> None:
        config.attributes.update(connection=connection, on_version_apply=(note,))
        command(config)

    async with target.connect() as connection:
        with reported_by_revision(steps):
            await connection.run_sync(on_connection)
    return steps


@contextmanager
def reported_by_revision(steps: list[str] | None = None) -> Iterator[None]:
    """Name the revision file in which an error arose; `steps` are those that were done."""
    try:
        yield
    except (CommandError, RevisionError) as error:
        raise ManagerError(" ".join(str(error).split())) from error
    except Exception as error:
        where = _find_revision_line(error) or (f"revision {steps[-1]}" if steps else None)
        if where is None:
            raise
        raise RevisionFailedError(
            f"{where}: {_complaint(driver_error(error))}\n"
            "The database stays at the revision before it."
        ) from error


def _find_revision_line(error: Exception) -> str | None:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.parent == VERSIONS:
            return f"{path.name}, line {frame.lineno}"
    return None


def _complaint(error: BaseException) -> str:
    """Bring PostgreSQL's message and its detail, or Python's, into one line."""
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    detail = getattr(error, "detail", None)
    return " ".join(f"{message} ({detail})".split()) if detail else " ".join(message.split())


def _name(step: MigrationInfo) -> str:
    script = step.up_revision
    return (
        f"{script.revision} {script.doc}"
        if isinstance(script, Script)
        else str(step.up_revision_id)
    )
