"""The revisions on disk, as Alembic reads them."""

import ast
import os
import re
import subprocess
import sys
import traceback
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import rev_id as new_id

from db_manager.errors import ManagerError
from db_manager.workspace import get_workspace
from quart_fleet.database.explanations import reason_of
from quart_fleet.files import parse_python
from quart_fleet.revisions import History

PACKAGE = Path(__file__).parent

LONGEST_MESSAGE = 90

_KEEPING = frozenset(
    {
        *("f", "get_context", "create_table", "add_column", "rename_table", "create_index"),
        *("drop_index", "create_check_constraint", "create_unique_constraint", "drop_constraint"),
        *("create_foreign_key", "create_primary_key", "create_exclude_constraint"),
        *("create_table_comment", "drop_table_comment"),
    }
)
"""Operations of Alembic that lose no row and no value."""
_REST = r"(?:[^;,()]|\((?:[^()]|\([^()]*\))*\))+"
"""Of a statement: without a comma, behind which ALTER TABLE may do something else."""
_KEEPING_STATEMENT = re.compile(
    rf"SET LOCAL {_REST}|COMMENT ON {_REST}|(?:CREATE|DROP|ALTER) INDEX {_REST}|ALTER (?:TABLE|SEQUENCE) "
    rf"\S+ (?:RENAME|VALIDATE CONSTRAINT|ADD CONSTRAINT|DROP CONSTRAINT) {_REST}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema's history."""

    id: str
    message: str
    file: str
    """The file's name in `migrations/versions`."""
    follows: tuple[str, ...]
    is_contract: bool = False
    """Whether it takes away what older code needs: marked by `phase = "contract"`."""

    @classmethod
    def of(cls, script: Script) -> Self:
        """Read Alembic's own record."""
        down = script.down_revision
        follows = (down,) if isinstance(down, str) else tuple(down or ())
        is_contract = getattr(script.module, "phase", None) == "contract"
        return cls(script.revision, script.doc, Path(script.path).name, follows, is_contract)


def make_config() -> Config:
    """Configure Alembic as `alembic.ini` would; the separator lets paths hold any character."""
    config = Config(cmd_opts=Namespace(quiet=True))
    settings = {
        "script_location": PACKAGE,
        "version_locations": get_workspace().versions,
        "path_separator": "newline",
        "version_path_separator": "newline",
    }
    for name, value in settings.items():
        config.set_main_option(name, str(value).replace("%", "%%"))
    return config


@contextmanager
def whole_or_not_at_all() -> Iterator[str]:
    """Give a new revision's id; raises ManagerError where its file cannot be written.

    What was written of it goes: no command reads the others beside half a revision.
    """
    rev_id = str(new_id())
    try:
        yield rev_id
    except OSError as error:
        versions = get_workspace().versions
        begun = [*versions.glob(f"{rev_id}_*"), *versions.glob(f"{contraction_of(rev_id)}_*")]
        for file in begun:
            file.unlink()
        if not begun and error.filename is None:  # of the database, not of the disk
            raise
        reason = os.strerror(error.errno or 0)
        raise ManagerError(f"Nothing was written: {versions}: {reason}") from error


def contraction_of(rev_id: str) -> str:
    """Return the id of the contraction that is written with a revision."""
    return sha256(rev_id.encode()).hexdigest()[:12]


def format_file(file: Path) -> None:
    """Have ruff sort and format a file, where it is installed."""
    if find_spec("ruff") is None:
        return
    for arguments in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *arguments, str(file)]
        subprocess.run(command, check=False)  # noqa: S603 - the words are ours


def find_line(error: Exception) -> str | None:
    """Name the line of a revision's file in which an error arose."""
    versions = get_workspace().versions
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.parent == versions:
            return f"{path.name}, line {frame.lineno}"
    return None


def refuse_bad_message(message: str) -> None:
    """Keep a message to what a file's first line holds; raises ManagerError."""
    if not message.strip() or not message.isprintable() or len(message) > LONGEST_MESSAGE:
        raise ManagerError(
            f"A revision's message is one line of 1 to {LONGEST_MESSAGE} characters."
        )


def describe_heads(heads: tuple[str, ...]) -> str:
    """Say what is wrong with several heads, and how to make them one."""
    return (
        f"The revisions have {len(heads)} heads: {', '.join(heads)}. "
        "Join them: python -m db_manager merge"
    )


class Revisions:
    """The history as a whole; raises ManagerError where it does not hold together."""

    def __init__(self) -> None:
        if faults := History.read(get_workspace().versions).faults:
            raise ManagerError("\n".join(faults))
        self._scripts = ScriptDirectory.from_config(make_config())

    def list_all(self) -> list[Revision]:
        """Return every revision, the newest first."""
        with _told_by_line():
            return [Revision.of(script) for script in self._scripts.walk_revisions()]

    def heads(self) -> tuple[str, ...]:
        """Return the ids that no other revision follows."""
        with _told_by_line():
            return tuple(sorted(self._scripts.get_heads()))

    def get_head(self) -> str | None:
        """Return the newest revision, None where there is none yet; raises on several."""
        heads = self.heads()
        if len(heads) > 1:
            raise ManagerError(describe_heads(heads))
        return heads[0] if heads else None

    def refuse_unknown(self, target: str) -> None:
        """Raise ManagerError where `downgrade` could not go to `target`, whatever the database has."""
        steps = re.fullmatch(r"(?:(?P<branch>.+)@)?-(?P<number>\d+)", target)
        known = len(self.list_all())
        if steps and int(steps["number"]) > known:
            raise ManagerError(f"{target} leads back beyond the first revision.")
        name = steps["branch"] if steps else target
        if name not in (None, "base", "head", "heads"):
            try:
                self._scripts.get_revisions(name)
            except Exception as error:
                raise ManagerError(
                    f"No revision {name!r}. They are listed by: python -m db_manager history"
                ) from error

    def last_expansion(self, current: tuple[str, ...]) -> str | None:
        """Return the last pending revision before the first contraction; None where there is none.

        Raises ManagerError where an expansion follows a contraction: code of the release before it
        has to run everywhere, and its contraction be applied, before this one is rolled out.
        """
        pending = self.pending(current)
        expansions = [each for each in pending if not each.is_contract]
        first = next((each for each in pending if each.is_contract), None)
        if (
            first is not None
            and expansions
            and pending.index(expansions[-1]) > pending.index(first)
        ):
            late = expansions[-1]
            raise ManagerError(
                f"{late.id} {late.message} expands, and follows {first.id} {first.message}, which is a "
                f"contraction that is not applied. Where no code runs any more that needs what "
                f"{first.id} takes away: python -m db_manager migrate {first.id}, then this again."
            )
        return expansions[-1].id if expansions else None

    def may_lose(self, current: tuple[str, ...], target: str) -> bool:
        """Say whether a way back drops what may hold rows or values; in doubt it does."""
        try:
            # Annotated as one revision, it takes all that a database is at, as Alembic calls it.
            steps = self._scripts._downgrade_revs(target, current)  # type: ignore[arg-type]
        except Exception:  # whatever is wrong is told by the downgrade itself
            return True
        for step in steps:
            body = parse_python(Path(step.revision.path)).body
            ways = [
                each
                for each in body
                if isinstance(each, ast.FunctionDef) and each.name == "downgrade"
            ]
            names = [node for node in ast.walk(ast.Module(body, [])) if isinstance(node, ast.Name)]
            if len(ways) != 1 or any(each.id == "downgrade" for each in names):
                return True
            calls = [node for node in ast.walk(ways[0]) if isinstance(node, ast.Call)]
            if not all(map(_keeps_rows, calls)):
                return True
        return False

    def describe_ways_back(self, current: tuple[str, ...]) -> str:
        """Say what `downgrade` takes where a number of steps may mean several branches."""
        parents = {each.id: each.follows for each in self.list_all()}
        several = [f"{each}@-1" for each in current]
        ways = several if len(current) > 1 else parents[current[0]]
        commands = " or ".join(f"downgrade {each}" for each in sorted(ways))
        return f"Several steps lead back from {', '.join(current)}. Name one: {commands}"

    def unknown(self, current: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of a database's revisions that no file holds."""
        known = {each.id for each in self.list_all()}
        return tuple(each for each in current if each not in known)

    def pending(self, current: tuple[str, ...]) -> list[Revision]:
        """Return what a database at `current` lacks, the oldest first."""
        everything, applied = self.list_all(), set(current)
        for each in everything:  # the newest first: a revision that is applied has been reached
            if each.id in applied:
                applied.update(each.follows)
        return [each for each in reversed(everything) if each.id not in applied]


def _keeps_rows(call: ast.Call) -> bool:
    """Say whether a call of a revision certainly drops no row and no value."""
    match call.func:
        case ast.Attribute(attr="alter_column"):
            return not {"type_", "new_column_name"} & {each.arg for each in call.keywords}
        case ast.Attribute(attr="execute"):
            match call.args:
                case [ast.Constant(value=str(statement))]:
                    return _KEEPING_STATEMENT.fullmatch(statement.strip()) is not None
            return False
        case ast.Attribute(value=ast.Name(id="op"), attr=attr):
            return attr in _KEEPING
        # A type, a default and the like, which are given to an operation.
        case (
            ast.Attribute(value=ast.Name(id="sa" | "postgresql"))
            | ast.Attribute(attr="autocommit_block")
        ):
            return True
    return False


@contextmanager
def _told_by_line() -> Iterator[None]:
    """Name the line of a revision that cannot be read; raises ManagerError."""
    try:
        yield
    except Exception as error:
        where = find_line(error) or "db_manager/migrations/versions"
        raise ManagerError(f"The revisions cannot be read: {where}: {reason_of(error)}") from error
