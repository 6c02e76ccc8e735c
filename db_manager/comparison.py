"""How the models differ from the database: in words, and as the operations of a revision.

A table is compared when a model maps it, or when an operation of a revision made it: what it has is
then compared whole, but for what a revision wrote in SQL of its own. All else is of others.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.ddl.impl import ComparisonResult
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations.ops import (
    AddColumnOp,
    CreateTableOp,
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Index, MetaData, Table, text

from db_manager.definitions import Definitions, read_definitions, text_of_default
from db_manager.errors import ManagerError
from db_manager.made import Made
from db_manager.rendering import render_item
from db_manager.steps import (
    Step,
    definition_steps,
    in_order,
    prerequisite_steps,
    rename_steps,
)
from quart_fleet.workspace import Workspace

_ONLY_IN_MODELS = "in the models, not in the database"
_ONLY_IN_DATABASE = "in the database, not in the models"

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
_NEVER_COMPARED = text("""
    WITH found (kind, relation, name) AS (
        SELECT 'trigger', tgrelid, tgname FROM pg_trigger
        WHERE NOT tgisinternal AND tgparentid = 0
        UNION ALL SELECT 'rule', ev_class, rulename FROM pg_rewrite WHERE rulename <> '_RETURN'
        UNION ALL SELECT 'policy', polrelid, polname FROM pg_policy
    )
    SELECT kind, CASE WHEN nspname = current_schema() THEN '' ELSE nspname END, relname, name
    FROM found JOIN pg_class ON pg_class.oid = relation
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
""")
_COLUMNS = text("""
    SELECT attname FROM pg_attribute
    WHERE attnum > 0 AND NOT attisdropped AND attrelid = CAST(:name AS regclass)
""")
_KINDS = {"v": "view", "m": "materialized view", "f": "foreign table"}


class ImplThatAsksTheServer(PostgresqlImpl):
    """Alembic's for PostgreSQL, in whose place it is by being defined.

    Alembic compares texts, after taking off what PostgreSQL is known to add; and it has PostgreSQL
    compute defaults, which differ for ever when they are random.
    """

    __dialect__ = "postgresql"

    def compare_server_default(
        self, _column: Column[Any], metadata_column: Column[Any], *_defaults: str | None
    ) -> bool:
        """Say whether the model's default is another than the database's."""
        comparison: Comparison = self.context_opts["comparison"]
        return comparison.has_other_default(metadata_column)

    def compare_indexes(self, metadata_index: Index, reflected_index: Index) -> Any:
        """Say whether the model's index is another than the database's."""
        comparison: Comparison = self.context_opts["comparison"]
        table = metadata_index.table
        found = comparison.definitions(table) if table is not None else Definitions()
        name = ("index", str(reflected_index.name))
        if found.model.get(name) == found.database.get(name) or name in found.refused:
            return ComparisonResult.Equal()
        return ComparisonResult.Different(f"{found.database.get(name)} to {found.model.get(name)}")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison found, in words."""

    differences: tuple[str, ...]
    not_compared: tuple[str, ...]
    others: tuple[str, ...]
    """Tables that neither a model nor an operation of a revision made."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something with rows or values in it that a revision would drop."""

    kind: str
    """`table` or `column`."""
    name: str
    """`table`, `table.column`, or one with a schema before it."""
    candidates: tuple[str, ...]
    """The new names that it may have been given."""

    def __str__(self) -> str:
        return (
            f"the {self.kind} {self.name}, with its {'rows' if self.kind == 'table' else 'values'}"
        )


@dataclass
class Comparison:
    """Compares one database with the models; the connection is in a transaction."""

    connection: Connection
    metadata: MetaData
    workspace: Workspace
    made: Made
    renames: Sequence[tuple[str, str]] = ()
    """Old names and new ones of what the revision renames, done in the transaction already."""
    operations: list[MigrateOperation] = field(default_factory=list)
    _found: dict[str, Definitions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rename_steps = rename_steps(self.renames, self.connection)

    def options(self) -> dict[str, Any]:
        """Return what Alembic's context is configured with."""
        return {
            "comparison": self,
            "target_metadata": self.metadata,
            "compare_type": True,
            "compare_server_default": True,
            "include_schemas": True,
            "include_name": self._is_compared,
            "include_object": self._is_object_compared,
            "render_item": render_item,
            "process_revision_directives": self.complete,
            "version_table": self.workspace.version_table,
        }

    def compare(self) -> Findings:
        """Find every difference."""
        self._refuse_named_default_schema()
        with warnings.catch_warnings():
            # Of circles among tables and of computed columns: both are seen to here.
            warnings.simplefilter("ignore")
            context = MigrationContext.configure(self.connection, opts=self.options())
            self.complete(context, (), [produce_migrations(context, self.metadata)])
        lines = sorted(line for each in self.operations for line in _describe(each))
        return Findings(tuple(lines), tuple(sorted(self._not_compared())), tuple(self._others()))

    def complete(self, _context: object, _revision: object, scripts: list[Any]) -> None:
        """Add to Alembic's operations what it does not write, and put all in order, both ways."""
        script: MigrationScript = scripts[0]
        upgrade = script.upgrade_ops
        if upgrade is None or script.downgrade_ops is None:
            return
        operations = list(upgrade.ops)
        renames = self._rename_steps
        made = self.made.names("schema")
        before = prerequisite_steps(self.connection, self.metadata, operations, made)
        steps = [
            step
            for table in self._tables
            for step in definition_steps(
                self.connection,
                table,
                self.definitions(table),
                _changed(operations, table),
                self._left_alone(table),
            )
        ]
        self.operations = [*renames, *before, *in_order(operations), *steps]
        upgrade.ops[:] = self.operations
        script.downgrade_ops.ops.clear()
        upgrade.reverse_into(script.downgrade_ops)

    def losses(self) -> list[Loss]:
        """Return what the operations drop together with rows or values."""
        created = [each.table_name for each in self.operations if isinstance(each, CreateTableOp)]
        found = []
        for operation in self.operations:
            if isinstance(operation, DropTableOp):
                name = _full(operation.schema, operation.table_name)
                found.append(Loss("table", name, tuple(sorted(created))))
            elif isinstance(operation, ModifyTableOps):
                new = [each.column.name for each in operation.ops if isinstance(each, AddColumnOp)]
                for each in operation.ops:
                    if isinstance(each, DropColumnOp) and each.to_column().computed is None:
                        name = f"{_full(operation.schema, operation.table_name)}.{each.column_name}"
                        found.append(Loss("column", name, tuple(sorted(new))))
        return found

    def has_other_default(self, column: Column[Any]) -> bool:
        """Say whether the model's default is another than the database's."""
        found = self.definitions(column.table)
        key = ("default", column.name)
        model, database = found.model.get(key), found.database.get(key)
        if key in found.refused:
            return database is None
        is_serial = column is column.table.autoincrement_column and model is None
        if is_serial and (database or "").startswith("nextval("):
            return False
        if column.server_default is not None and text_of_default(self.connection, column) is None:
            return False  # the server fills it in a way of its own: FetchedValue
        return model != database

    def definitions(self, table: Table) -> Definitions:
        """Return those of a table of the models, read once."""
        if table.fullname not in self._found:
            self._found[table.fullname] = read_definitions(self.connection, table)
        return self._found[table.fullname]

    def _refuse_named_default_schema(self) -> None:
        default = str(self.connection.scalar(text("SELECT current_schema()")))
        if named := [
            each.fullname for each in self.metadata.tables.values() if each.schema == default
        ]:
            raise ManagerError(
                f"The model of {named[0]} names the schema {default}, which is the default of this "
                "database: leave it out of the model, or it is another table to SQLAlchemy."
            )

    @cached_property
    def _relations(self) -> dict[tuple[str | None, str], tuple[str, bool, bool]]:
        rows = self.connection.execute(_RELATIONS)
        return {
            (schema or None, name): (kind, is_child, is_extensions)
            for schema, name, kind, is_child, is_extensions in rows
        }

    @cached_property
    def _inherited(self) -> frozenset[tuple[str | None, str, str]]:
        rows = self.connection.execute(_INHERITED)
        return frozenset((schema or None, table, column) for schema, table, column in rows)

    @cached_property
    def _tables(self) -> list[Table]:
        """Those of the models that are tables of the database, and compared."""
        return [
            table
            for _, table in sorted(self.metadata.tables.items())
            if self._relations.get((table.schema, table.name), ("",))[0] in ("r", "p")
            and not self._is_unmanaged(table.name, table.fullname)
        ]

    def is_view(self, table: Table) -> bool:
        """Say whether a model maps what is no table: it is there as such, or a revision makes it."""
        kind = self._relations.get((table.schema, table.name), ("",))[0]
        if kind:
            return kind in _KINDS
        names = self.made.names("view", "materialized view", "foreign table")
        return bool(table.info.get("is_view")) or table.name in names

    def is_unmanaged(self, table: Table) -> bool:
        """Say whether the settings leave a table of the models out."""
        return self._is_unmanaged(table.name, table.fullname)

    def _is_unmanaged(self, *names: str) -> bool:
        return any(fnmatchcase(name, each) for name in names for each in self.workspace.unmanaged)

    def _is_compared(self, name: str | None, kind: str, parents: Any) -> bool:
        """Say of a name in the database whether Alembic is to look at it."""
        schema = parents.get("schema_name")
        if kind == "schema":
            ours = {each.schema for each in self.metadata.tables.values()}
            return name is None or name in ours | {each for each, _ in self.made.tables}
        if name is None:
            return True
        if kind == "table":
            return self._is_table_compared(schema, name)
        table = parents["table_name"]
        names = (f"{table}.{name}", f"{_full(schema, table)}.{name}")
        if self._is_unmanaged(*names) or (kind != "column" and self._is_unmanaged(name)):
            return False
        is_aside = (
            (schema, table, name) in self._inherited
            or (table, name) in self.made.parts
            or (kind == "index" and name in self.made.names("index"))
        )
        return not is_aside or self._model_has(schema, table, name)

    def _is_table_compared(self, schema: str | None, name: str) -> bool:
        """Leave out partitions and children, which go with their parents, and extensions' tables."""
        if self._is_unmanaged(name, _full(schema, name)):
            return False
        if _full(schema, name) in self.metadata.tables:
            return True
        _, is_child, is_extensions = self._relations.get((schema, name), ("", False, False))
        return (schema, name) in self.made.tables and not is_child and not is_extensions

    def _model_has(self, schema: str | None, table: str, name: str) -> bool:
        """Say whether a model names a column, an index or a constraint."""
        model = self.metadata.tables.get(_full(schema, table))
        if model is None:
            return False
        named: tuple[Any, ...] = (*model.indexes, *model.constraints)
        return name in model.columns or name in {str(each.name) for each in named}

    def _is_object_compared(
        self, item: Any, name: str | None, kind: str, is_reflected: bool, _other: object
    ) -> bool:
        """Say of a thing of the models whether it is to be in the database."""
        if is_reflected:
            return True
        if kind == "table":
            return not self.is_view(item) and not self._is_unmanaged(item.name, item.fullname)
        if kind == "column":
            return not self._is_unmanaged(
                f"{item.table.name}.{name}", f"{item.table.fullname}.{name}"
            )
        return not (name and self._is_unmanaged(name))

    def _left_alone(self, table: Table) -> frozenset[str]:
        """Return the names in a table that revisions gave it in SQL of their own, or are left out."""
        names = {name for each, name in self.made.parts if each == table.name}
        found = {name for _, name in self.definitions(table).database}
        return frozenset(
            names | {each for each in found if self._is_unmanaged(each, f"{table.name}.{each}")}
        )

    def _not_compared(self) -> Iterable[str]:
        for table in self.metadata.tables.values():
            kind = self._relations.get((table.schema, table.name), ("",))[0]
            if self._is_unmanaged(table.name, table.fullname):
                yield f"table {table.fullname}: left out by [tool.scaffold] unmanaged"
            elif self.is_view(table):
                yield f"{_KINDS.get(kind, 'view')} {table.fullname}: mapped by a model"
        for table in self._tables:
            found = self.definitions(table)
            for (kind, name), reason in found.refused.items():
                title = f"{kind} {table.fullname}{name and f'.{name}'}"
                yield f"{title}: PostgreSQL refuses the model's ({reason})"
            names = {name for kind, name in found.database if kind != "primary key"}
            relation = self.connection.dialect.identifier_preparer.format_table(table)
            names.update(self.connection.scalars(_COLUMNS, {"name": relation}))
            own = self._left_alone(table) | self.made.names("index")
            for name in sorted(names & own):
                if not self._model_has(table.schema, table.name, name):
                    yield f"{table.fullname}.{name}: of a revision's own SQL, or left out"
        ours = {f"{each.schema or ''}.{each.name}": each for each in self._tables}
        rows = self.connection.execute(_NEVER_COMPARED)
        for kind, schema, table_name, name in rows:
            if f"{schema}.{table_name}" in ours:
                yield f"{kind} {_full(schema or None, table_name)}.{name}: not in models"

    def _others(self) -> list[str]:
        """Return the tables that are in the schemas of the models, and of others."""
        schemas = {None, *(each.schema for each in self.metadata.tables.values())}
        return sorted(
            _full(schema, name)
            for (schema, name), (kind, _, _) in self._relations.items()
            if kind in ("r", "p", "f")
            and schema in schemas
            and name != self.workspace.version_table
            and _full(schema, name) not in self.metadata.tables
            and (schema, name) not in self.made.tables
        )


def _full(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def _changed(operations: Iterable[MigrateOperation], table: Table) -> frozenset[str]:
    """Return the constraints and columns of a table that operations add, drop or alter."""
    return frozenset(
        str(name)
        for each in operations
        if isinstance(each, ModifyTableOps)
        and (each.schema, each.table_name) == (table.schema, table.name)
        for inner in each.ops
        if not type(inner).__name__.startswith("AlterColumn")
        for name in (
            getattr(inner, "constraint_name", None),
            getattr(getattr(inner, "column", None), "name", None),
            getattr(inner, "column_name", None),
        )
        if name
    )


def _describe(operation: MigrateOperation) -> list[str]:
    """Put an operation in words."""
    if isinstance(operation, Step):
        return [operation.difference]
    changes: list[Any] = UpgradeOps([operation]).as_diffs()
    return [
        _describe_change(change)
        for difference in changes
        for change in (difference if isinstance(difference, list) else [difference])
    ]


def _describe_change(change: tuple[Any, ...]) -> str:
    """Put one of `compare_metadata`'s tuples, whose shapes Alembic's manual lists, in words."""
    match change:
        case (str(kind), schema, table, column, _existing, old, new) if kind[:6] == "modify":
            what = kind.removeprefix("modify_")
            return (
                f"column {_full(schema, table)}.{column}: {what} {_value(old)} in the database, "
                f"{_value(new)} in the models"
            )
        case (str(kind), schema, table, column):
            return f"column {_full(schema, table)}.{column.name}: {_side(kind)}"
        case (str(kind), thing, *_):
            return f"{_sort(kind)} {_full_name(thing)}: {_side(kind)}"
        case _:
            return str(change)


def _side(kind: str) -> str:
    return _ONLY_IN_MODELS if kind.startswith("add") else _ONLY_IN_DATABASE


def _sort(kind: str) -> str:
    sort = kind.partition("_")[2].replace("_", " ")
    return "foreign key" if sort == "fk" else sort


def _full_name(thing: Any) -> str:
    if isinstance(thing, Table):
        return thing.fullname
    table = getattr(thing, "table", None)
    return f"{table.fullname}.{thing.name}" if table is not None else str(thing.name)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return str(getattr(value, "arg", value))
