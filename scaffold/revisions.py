"""Alembic's revisions as files: read without a database and without importing them."""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scaffold.errors import ScaffoldError

VERSIONS = "db_manager/migrations/versions"


@dataclass(frozen=True, slots=True)
class History:
    """Every revision of a workspace."""

    heads: tuple[str, ...]
    """Revisions that no other follows, sorted."""
    tables: frozenset[str]
    """Tables that a revision creates."""
    faults: tuple[str, ...]
    """Why the files cannot be understood, a sentence each."""

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the revisions of the workspace at `root`."""
        files: dict[str, str] = {}
        followed: set[str] = set()
        tables: set[str] = set()
        faults: list[str] = []
        for path in sorted((root / VERSIONS).glob("*.py")):
            place = f"{VERSIONS}/{path.name}"
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError) as error:
                faults.append(
                    f"{place} is no Python that can be read ({error}): repair or remove it."
                )
                continue
            names = _assignments(tree)
            identity, below = names.get("revision"), names.get("down_revision")
            if not isinstance(identity, str):
                continue
            parents = below if isinstance(below, tuple | list) else (below,)
            if identity in files:
                faults.append(f"{place} repeats the revision {identity} of {files[identity]}.")
            files[identity] = path.name
            followed |= {parent for parent in parents if isinstance(parent, str)}
            tables |= {
                str(call.args[0].value)
                for call in ast.walk(tree)
                if isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr == "create_table"
                and call.args
                and isinstance(call.args[0], ast.Constant)
            }
        return cls(tuple(sorted(files.keys() - followed)), frozenset(tables), tuple(faults))

    def find_head(self) -> str | None:
        """Return the newest revision, None where there is none; raises ScaffoldError at two."""
        if self.faults:
            raise ScaffoldError(self.faults[0])
        if len(self.heads) > 1:
            raise ScaffoldError(
                f"{VERSIONS} has {len(self.heads)} heads ({', '.join(self.heads)}), so which of "
                "them a new revision follows is open. Let one follow the other: set its "
                "down_revision."
            )
        return self.heads[0] if self.heads else None


def revision_id(table: str) -> str:
    """Return the same id on every machine, so that generating twice gives the same bytes."""
    digest = hashlib.sha1(f"create {table}".encode(), usedforsecurity=False)
    return digest.hexdigest()[:12]


def _assignments(tree: ast.Module) -> dict[str, object]:
    """Return the literals that the module binds at its top, by name."""
    values: dict[str, object] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        try:
            value = ast.literal_eval(statement.value)
        except ValueError:
            continue
        values |= {target.id: value for target in targets if isinstance(target, ast.Name)}
    return values
