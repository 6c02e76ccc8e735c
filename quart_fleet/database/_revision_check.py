"""What a service says at its start about a database that is behind its code, or ahead of it.

Revisions are read without Alembic: importing it would cost every service a tenth of a second
and its memory, for two names in each file.
"""

import ast
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quart_fleet.database._engine import Database
from quart_fleet.database.explanations import (
    CONNECTION_ERRORS,
    CORRECT,
    LOOK,
    explain,
    reason_of,
)
from quart_fleet.database_url import describe, normalise
from quart_fleet.errors import DatabaseUnavailableError
from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.workspace import Workspace

_log = logging.getLogger(__name__)


class RevisionCheck:
    """Logs one warning at start where database and code differ in revisions; raises nothing.

    The database is not changed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def __call__(self, database: Database) -> None:
        """Compare the database's revision with those of the workspace."""
        if warning := await self._find_warning(database, database.url or "postgresql://"):
            _log.warning("%s", warning)

    async def _find_warning(self, database: Database, url: str) -> str | None:
        try:
            revisions = read_revisions(self._workspace.versions)  # before any request: may block
            current = await _read_current(database)
        except (SyntaxError, ValueError) as error:
            return f"The revisions cannot be read: {reason_of(error)}. Correct that file."
        except DatabaseUnavailableError as error:
            remedy = CORRECT if database.is_configured else LOOK
            reason = explain(error.__cause__ or error, url, remedy)
            return f"{reason} Requests that need it answer 503 until then."
        except CONNECTION_ERRORS as error:
            return f"The database does not tell its revision: {describe(url)} ({reason_of(error)})."
        if revisions.heads <= current:
            return None
        place = f"{describe(url)} is at {_names(current)}"
        if unknown := current - revisions.ids:
            return (
                f"The database is ahead of the code: {place}, and the code has no revision "
                f"{_names(unknown)}; its newest is {_names(revisions.heads)}. Update the code."
            )
        # The command reads the environment, and no service's .env.
        configured = self._workspace.load_settings().load().database_url
        default = EmbeddedPostgres(self._workspace.postgres_folder).url()
        variable = "" if normalise(url) == normalise(configured or default) else "DATABASE_URL=… "
        return (
            f"The database is behind the code: {place}, the newest revision is "
            f"{_names(revisions.heads)}. Run: {variable}python -m db_manager migrate"
        )


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions of a folder, by their ids."""

    ids: frozenset[str]
    heads: frozenset[str]
    """Those that no other one follows."""


def read_revisions(versions: Path) -> Revisions:
    """Read a folder of revisions; raises SyntaxError and ValueError for one that is no Python."""
    ids, followed = set[str](), set[str]()
    for path in versions.glob("*.py"):
        values = _constants(path)
        ids.update(_as_ids(values.get("revision")))
        followed.update(_as_ids(values.get("down_revision")))
    return Revisions(frozenset(ids), frozenset(ids - followed))


async def _read_current(database: Database) -> frozenset[str]:
    async with database.connect() as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')::text") is None:
            return frozenset()
        rows = await connection.fetch("SELECT version_num FROM alembic_version")
        return frozenset(row["version_num"] for row in rows)


def _constants(path: Path) -> dict[str, object]:
    """Read what a module assigns to single names at its top, as far as it is literal."""
    constants = dict[str, object]()
    for statement in ast.parse(path.read_bytes(), path.name).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.Tuple() as value)
                | ast.AnnAssign(
                    target=ast.Name(id=name), value=ast.Constant() | ast.Tuple() as value
                )
            ):
                constants[name] = ast.literal_eval(value)
    return constants


def _as_ids(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(each) for each in value) if isinstance(value, tuple) else ()


def _names(revisions: Iterable[str]) -> str:
    return ", ".join(sorted(revisions)) or "no revision"
