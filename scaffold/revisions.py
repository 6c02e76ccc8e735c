"""Alembic's revisions as files: read without a database and without importing them."""

import ast
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from scaffold.errors import ScaffoldError

VERSIONS = "db_manager/migrations/versions"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision's file says of itself."""

    id: str
    down: frozenset[str]
    tables: frozenset[str]
    """Those that it creates."""


@dataclass(frozen=True, slots=True)
class History:
    """Every revision of a workspace."""

    revisions: dict[str, Revision] = field(default_factory=dict)

    def find_head(self) -> str | None:
        """Return the newest revision, None where there is none; raises ScaffoldError at two."""
        below = frozenset[str]().union(*(one.down for one in self.revisions.values()))
        heads = sorted(self.revisions.keys() - below)
        if len(heads) > 1:
            raise ScaffoldError(
                f"{VERSIONS} has {len(heads)} heads ({', '.join(heads)}), so a new revision has no "
                "one to follow. Let one follow the other: set its down_revision."
            )
        return heads[0] if heads else None

    def creates(self, table: str) -> bool:
        """Whether a revision makes this table."""
        return any(table in one.tables for one in self.revisions.values())


def revision_id(table: str) -> str:
    """Return the same id on every machine, so that generating twice gives the same bytes."""
    digest = hashlib.sha1(f"create {table}".encode(), usedforsecurity=False)
    return digest.hexdigest()[:12]


def read_history(root: Path) -> History:
    """Read the revisions of the workspace at `root`; raises ScaffoldError."""
    history = History()
    for path in sorted((root / VERSIONS).glob("*.py")):
        revision = _find_revision(path)
        if revision is None:
            continue
        if revision.id in history.revisions:
            raise ScaffoldError(f"{VERSIONS}/{path.name} repeats the revision {revision.id}.")
        history.revisions[revision.id] = revision
    return history


def _find_revision(path: Path) -> Revision | None:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ScaffoldError(
            f"{VERSIONS}/{path.name} is no Python that can be read ({error}): repair or remove it."
        ) from None
    names = _assignments(tree)
    identity = names.get("revision")
    if not isinstance(identity, str):
        return None
    return Revision(identity, _down(names.get("down_revision")), _created_tables(tree))


def _assignments(tree: ast.Module) -> dict[str, object]:
    """Return the literals that the module binds at its top, by name."""
    values: dict[str, object] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                values[target.id] = _find_literal(value)
    return values


def _find_literal(value: ast.expr) -> object:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def _down(value: object) -> frozenset[str]:
    parents = value if isinstance(value, tuple | list) else (value,)
    return frozenset(parent for parent in parents if isinstance(parent, str))


def _created_tables(tree: ast.Module) -> frozenset[str]:
    return frozenset(
        str(call.args[0].value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "create_table"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    )
