"""The revisions of a workspace as files: read without a database, without Alembic, and not run.

The start of a service compares them with its database, for which importing Alembic would cost a
tenth of a second; the generator follows them; the database manager explains by them what Alembic
refuses. What both write of a change that lets services go on is here too. Imports only the standard
library.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quart_fleet.files import UnreadableFileError, parse_python, shown

AUTOCOMMIT_BLOCK = "with op.get_context().autocommit_block():"
"""What is below it is in no transaction; `db_manager` goes on in it where a run was interrupted."""
CONCURRENTLY = ", postgresql_concurrently=True"
"""Has an index be made or dropped while others write to its table."""
NOT_VALID = ", postgresql_not_valid=True"
"""Has a constraint not look at the rows that are there, which VALIDATE does without a lock."""
_LONGEST_NAME = 63
"""Bytes of PostgreSQL's names."""

_IDENTIFIERS = ("revision", "down_revision", "depends_on", "branch_labels", "phase")


_BATCH = 5_000
"""Rows that are filled by one statement: some 50 ms in which a write of one of them waits."""
_FILLING = (
    "DO $$ DECLARE ",
    "done bigint := (SELECT min({key}) - 1 FROM {relation}); ",
    "last bigint; ",
    "BEGIN LOOP ",
    "SELECT max({key}) INTO last FROM ",
    "(SELECT {key} FROM {relation} WHERE {key} > done ORDER BY {key} LIMIT {batch}) AS batch; ",
    "EXIT WHEN last IS NULL; ",
    "UPDATE {relation} SET {column} = {expression} ",
    "WHERE {key} > done AND {key} <= last AND {column} IS NULL; ",
    "COMMIT; ",
    "done := last; ",
    "END LOOP; END $$",
)


def fill_in_batches(
    relation: str, column: str, expression: str, key: str = "id"
) -> tuple[str, ...]:
    """Return, in parts, what fills rows in which a column is null, some in a transaction each.

    Args:
        relation: the table, quoted where it has to be, as all names here.
        column: what is filled.
        expression: with what.
        key: a column of whole numbers by which the rows are walked through.
    """
    words = {"relation": relation, "column": column, "expression": expression, "key": key}
    return tuple(each.format_map(words | {"batch": str(_BATCH)}) for each in _FILLING)


def validate(relation: str, constraint: str) -> str:
    """Return what holds a constraint that is NOT VALID against the rows; others write meanwhile."""
    return f"ALTER TABLE {relation} VALIDATE CONSTRAINT {constraint}"


def use_index(relation: str, name: str, *, deferrable: bool, initially: str = "") -> str:
    """Return what makes a unique index a constraint of its name, at once."""
    words = f"{' DEFERRABLE' * deferrable}{initially and f' INITIALLY {initially}'}"
    return f"ALTER TABLE {relation} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}{words}"


def name_of_not_null_check(table: str, column: str) -> str:
    """Return the name of a check that is there until a column is required without looking at rows."""
    return f"nn_{table}_{column}"[:_LONGEST_NAME]


@dataclass(frozen=True, slots=True)
class Revision:
    """One file: a step of the schema's history."""

    file: str
    """Its name in the folder."""
    id: str
    follows: tuple[str, ...]
    """Ids of the revisions before it: none for the first, two or more for a merge."""
    depends_on: tuple[str, ...]
    """Ids or labels of others that have to be applied before."""
    labels: tuple[str, ...]
    tables: frozenset[str]
    """Those that it creates."""
    is_contract: bool = False
    """Whether it takes away what older code needs: applied when that code runs no more."""


@dataclass(frozen=True, slots=True)
class History:
    """Every revision of a folder, and why they cannot be understood."""

    revisions: tuple[Revision, ...]
    """By file; those of unreadable files are missing."""
    faults: tuple[str, ...]
    """A line for each file that cannot be read, id that two files have, and missing parent."""

    @classmethod
    def read(cls, versions: Path) -> Self:
        """Read a folder's revisions, those files that Alembic takes for such."""
        revisions, faults = [], []
        for path in sorted(versions.glob("*.py")):
            if path.name.startswith(("__init__", ".#")):
                continue
            try:
                revisions.append(_read(path))
            except UnreadableFileError as error:
                faults.append(error.message)
            except OSError as error:
                faults.append(f"{shown(path)} cannot be read: {error.strerror}.")
        # A file that cannot be read may hold what the others seem to lack.
        faults = faults or [f"{shown(versions)}: {each}" for each in _find_faults(revisions)]
        return cls(tuple(revisions), tuple(faults))

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all."""
        return frozenset(each.id for each in self.revisions)

    @property
    def heads(self) -> tuple[str, ...]:
        """The ids that no other revision follows, sorted."""
        followed = {parent for each in self.revisions for parent in each.follows}
        return tuple(sorted(self.ids - followed))

    def needed(self, current: frozenset[str]) -> frozenset[str]:
        """Return what a database at `current` lacks for this code, which needs no contraction."""
        by_id = {each.id: each for each in self.revisions}
        reached, ahead = set[str](), [*current & self.ids]
        while ahead:
            identity = ahead.pop()
            if identity in by_id and identity not in reached:
                reached.add(identity)
                ahead += [*by_id[identity].follows, *by_id[identity].depends_on]
        return frozenset(
            each.id for each in self.revisions if each.id not in reached and not each.is_contract
        )

    @property
    def tables(self) -> frozenset[str]:
        """The tables that a revision creates, or gives their names."""
        return frozenset(table for each in self.revisions for table in each.tables)


def _read(path: Path) -> Revision:
    """Read one file; raises UnreadableFileError."""
    tree = parse_python(path)
    found = dict[str, tuple[str, ...]]()
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                names = [name]
            case _:
                continue
        found |= {name: _read_ids(path, name, value) for name in names if name in _IDENTIFIERS}
    if not found.get("revision"):
        remedy = "Set revision to an id of its own, or move the file to another folder."
        raise UnreadableFileError("No revision's id", path, 1, remedy)
    return Revision(
        file=path.name,
        id=found["revision"][0],
        follows=found.get("down_revision", ()),
        depends_on=found.get("depends_on", ()),
        labels=found.get("branch_labels", ()),
        tables=frozenset(_find_tables(tree)),
        is_contract=found.get("phase") == ("contract",),
    )


def _find_tables(tree: ast.Module) -> Iterator[str]:
    """Yield the names in `op.create_table("name", …)` and `op.rename_table("old", "name")`."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Call(
                    func=ast.Attribute(attr="create_table"),
                    args=[ast.Constant(value=str(table)), *_],
                )
                | ast.Call(
                    func=ast.Attribute(attr="rename_table"),
                    args=[_, ast.Constant(value=str(table)), *_],
                )
            ):
                yield table


def _read_ids(path: Path, name: str, value: ast.expr) -> tuple[str, ...]:
    """Return the ids that a literal holds; raises UnreadableFileError for anything else."""
    match value:
        case ast.Constant(value=None):
            return ()
        case ast.Constant(value=str(identity)):
            return (identity,)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return tuple(each for part in parts for each in _read_ids(path, name, part))
    remedy = "Write it as text in quotes, which can be read without running the file."
    raise UnreadableFileError(f"A computed {name}", path, value.lineno, remedy)


def _find_faults(revisions: list[Revision]) -> Iterator[str]:
    """Yield a line for each id of two files, each missing parent, and revisions in a circle."""
    files = defaultdict[str, list[str]](list)
    for each in revisions:
        files[each.id].append(each.file)
    for identity, names in files.items():
        if len(names) > 1:
            yield (
                f"{' and '.join(names)} are both revision {identity}: "
                "delete one of them, or give it an id of its own."
            )
    labels = {label for each in revisions for label in each.labels}
    for each in revisions:
        lacking = {parent: "follows" for parent in each.follows if parent not in files}
        lacking |= {
            other: "depends on" for other in each.depends_on if other not in files.keys() | labels
        }
        for other, relation in lacking.items():
            yield (
                f"{each.file} (revision {each.id}) {relation} revision {other}, which no file here "
                "holds: restore its file, or correct the id."
            )
    reached, pending = set[str](), list(revisions)
    while reachable := [each for each in pending if reached.issuperset(each.follows)]:
        reached |= {each.id for each in reachable}
        pending = [each for each in pending if each not in reachable]
    if pending and all(parent in files for each in pending for parent in each.follows):
        circle = ", ".join(each.file for each in pending)
        yield f"{circle}: these revisions follow each other in a circle: correct one down_revision."
