"""What a service says at its start about a database that is behind its code, or ahead of it."""

import asyncio
import logging
from collections.abc import Iterable

from quart_fleet.database._engine import Database
from quart_fleet.database.explanations import (
    CONNECTION_ERRORS,
    CORRECT,
    LOOK,
    explain,
    reason_of,
)
from quart_fleet.database_url import describe
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.revisions import History
from quart_fleet.workspace import Workspace

START_TIMEOUT = 1.5
"""Seconds for which a start waits for the answer; a later one is logged when it comes."""

_log = logging.getLogger(__name__)


class RevisionCheck:
    """Logs one warning at start where database and code differ in revisions; raises nothing.

    The database is not changed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def __call__(self, database: Database) -> None:
        """Compare the database's revision with those of the workspace."""
        history = History.read(self._workspace.versions)  # before any request: may block
        if history.faults:
            _log.warning("The revisions do not hold together. %s", " ".join(history.faults))
            return
        comparing = asyncio.create_task(self._compare(database, history))
        database.keep(comparing)
        await asyncio.wait([comparing], timeout=START_TIMEOUT)
        if comparing.done():
            comparing.result()  # raises what it has raised
        else:
            comparing.add_done_callback(lambda late: late.cancelled() or late.exception())

    async def _compare(self, database: Database, history: History) -> None:
        if warning := await self._find_warning(database, database.url or "postgresql://", history):
            _log.warning("%s", warning)

    async def _find_warning(self, database: Database, url: str, history: History) -> str | None:
        heads = frozenset(history.heads)
        try:
            current = await _read_current(database, self._workspace.version_table)
        except DatabaseUnavailableError as error:
            remedy = CORRECT if database.is_configured else LOOK
            reason = explain(error.__cause__ or error, url, remedy)
            return f"{reason} Requests that need it answer 503 until then."
        except CONNECTION_ERRORS as error:
            return f"The database does not tell its revision: {describe(url)} ({reason_of(error)})."
        if heads <= current or (current <= history.ids and not history.needed(current)):
            return None
        place = f"{describe(url)} is at {_names(current)}"
        if unknown := current - history.ids:
            return (
                f"The database is ahead of the code: {place}, and the code has no revision "
                f"{_names(unknown)}; its newest is {_names(heads)}. Update the code."
            )
        # The command reads the environment, and no service's .env.
        configured = self._workspace.load_settings().load().database_url
        default = EmbeddedPostgres(self._workspace.postgres_folder).url()
        variable = "" if describe(url) == describe(configured or default) else "DATABASE_URL=… "
        return (
            f"The database is behind the code: {place}, the newest revision is "
            f"{_names(heads)}. Run: {variable}python -m db_manager migrate"
        )


async def _read_current(database: Database, version_table: str) -> frozenset[str]:
    quoted = '"' + version_table.replace('"', '""') + '"'
    async with database.connect() as connection:
        if await connection.fetchval("SELECT to_regclass($1)::text", quoted) is None:
            return frozenset()
        rows = await connection.fetch(f"SELECT version_num FROM {quoted}")  # noqa: S608 - quoted
        return frozenset(row["version_num"] for row in rows)


def _names(revisions: Iterable[str]) -> str:
    return ", ".join(sorted(revisions)) or "no revision"
