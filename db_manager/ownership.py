"""What in a database is of the models and the revisions, and what is of others.

A table is theirs when a model maps it, or when an operation of a revision made it: what it has is
then theirs too, but for what a revision wrote in SQL of its own. All else is of others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, MetaData, Table, text

from db_manager.made import Made
from quart_fleet.workspace import Workspace

_RELATIONS = text("""
    SELECT CASE WHEN nspname = current_schema() THEN '' ELSE nspname END, relname, CAST(relkind AS text),
           relispartition OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid),
           EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
                   AND objid = pg_class.oid AND deptype = 'e')
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
      AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
""")
_INHERITED = text("""
    SELECT CASE WHEN nspname = current_schema() THEN '' ELSE nspname END, relname, attname
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE attinhcount > 0 AND NOT attislocal AND relkind IN ('r', 'p')
""")
KINDS = {"v": "view", "m": "materialized view", "f": "foreign table"}


def full_name(schema: str | None, name: str) -> str:
    """Return a name as SQLAlchemy's metadata has it: without the default schema."""
    return f"{schema}.{name}" if schema else name


@dataclass
class Ownership:
    """Tells the models' and revisions' own from that of others, in one database."""

    connection: Connection
    metadata: MetaData
    workspace: Workspace
    made: Made

    @cached_property
    def tables(self) -> list[Table]:
        """Those of the models that are tables of the database, and compared."""
        return [
            table
            for _, table in sorted(self.metadata.tables.items())
            if self.relations.get((table.schema, table.name), ("",))[0] in ("r", "p")
            and not self.has_left_out(table.name, table.fullname)
        ]

    def is_view(self, table: Table) -> bool:
        """Say whether a model maps what is no table: it is there as such, or a revision makes it."""
        kind = self.relations.get((table.schema, table.name), ("",))[0]
        if kind:
            return kind in KINDS
        names = self.made.names("view", "materialized view", "foreign table")
        return bool(table.info.get("is_view")) or table.name in names

    def is_unmanaged(self, table: Table) -> bool:
        """Say whether the settings leave a table of the models out."""
        return self.has_left_out(table.name, table.fullname)

    def has_left_out(self, *names: str) -> bool:
        """Say whether the settings leave out what has one of these names."""
        return any(fnmatchcase(name, each) for name in names for each in self.workspace.unmanaged)

    def is_name_compared(self, name: str | None, kind: str, parents: Any) -> bool:
        """Say of a name in the database whether Alembic is to look at it."""
        schema = parents.get("schema_name")
        if kind == "schema":
            ours = {each.schema for each in self.metadata.tables.values()}
            return name is None or name in ours | {each for each, _ in self.made.tables}
        if name is None:
            return True
        if kind == "table":
            return self.is_table_compared(schema, name)
        table = parents["table_name"]
        names = (f"{table}.{name}", f"{full_name(schema, table)}.{name}")
        if self.has_left_out(*names) or (kind != "column" and self.has_left_out(name)):
            return False
        is_aside = (
            (schema, table, name) in self.inherited
            or (table, name) in self.made.parts
            or (kind == "index" and name in self.made.names("index"))
        )
        return not is_aside or self.model_has(schema, table, name)

    def is_table_compared(self, schema: str | None, name: str) -> bool:
        """Leave out partitions and children, which go with their parents, and extensions' tables."""
        if self.has_left_out(name, full_name(schema, name)):
            return False
        if full_name(schema, name) in self.metadata.tables:
            return True
        _, is_child, is_extensions = self.relations.get((schema, name), ("", False, False))
        return (schema, name) in self.made.tables and not is_child and not is_extensions

    def model_has(self, schema: str | None, table: str, name: str) -> bool:
        """Say whether a model names a column, an index or a constraint."""
        model = self.metadata.tables.get(full_name(schema, table))
        if model is None:
            return False
        named: tuple[Any, ...] = (*model.indexes, *model.constraints)
        return name in model.columns or name in {str(each.name) for each in named}

    def is_object_compared(
        self, item: Any, name: str | None, kind: str, is_reflected: bool, _other: object
    ) -> bool:
        """Say of a thing of the models whether it is to be in the database."""
        if is_reflected:
            return True
        if kind == "table":
            return not self.is_view(item) and not self.has_left_out(item.name, item.fullname)
        if kind == "column":
            return not self.has_left_out(
                f"{item.table.name}.{name}", f"{item.table.fullname}.{name}"
            )
        return not (name and self.has_left_out(name))

    def left_alone(self, table: Table, found: Iterable[str]) -> frozenset[str]:
        """Return the names in a table that revisions gave it in SQL of their own, or are left out."""
        names = {name for each, name in self.made.parts if each == table.name}
        return frozenset(
            names | {each for each in found if self.has_left_out(each, f"{table.name}.{each}")}
        )

    def others(self) -> list[str]:
        """Return the tables that are in the schemas of the models, and of others."""
        schemas = {None, *(each.schema for each in self.metadata.tables.values())}
        return sorted(
            full_name(schema, name)
            for (schema, name), (kind, _, _) in self.relations.items()
            if kind in ("r", "p", "f")
            and schema in schemas
            and name != self.workspace.version_table
            and full_name(schema, name) not in self.metadata.tables
            and (schema, name) not in self.made.tables
        )

    @cached_property
    def relations(self) -> dict[tuple[str | None, str], tuple[str, bool, bool]]:
        rows = self.connection.execute(_RELATIONS)
        return {
            (schema or None, name): (kind, is_child, is_extensions)
            for schema, name, kind, is_child, is_extensions in rows
        }

    @cached_property
    def inherited(self) -> frozenset[tuple[str | None, str, str]]:
        rows = self.connection.execute(_INHERITED)
        return frozenset((schema or None, table, column) for schema, table, column in rows)
