"""How the models differ from the database: in words, and as the operations of a revision."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.ddl.impl import ComparisonResult
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateTableOp,
    DowngradeOps,
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Index, MetaData, Table, text
from sqlalchemy.schema import DDLElement

from db_manager.definitions import Definitions, read_definitions, text_of_default
from db_manager.errors import ManagerError
from db_manager.made import Made
from db_manager.online import online, split
from db_manager.ownership import KINDS, Ownership, full_name
from db_manager.progress import Progress
from db_manager.rendering import render_item
from db_manager.revisions import contraction_of
from db_manager.steps import (
    definition_steps,
    foreign_key_steps,
    identity_steps,
    in_order,
    invalid_index_steps,
    prerequisite_steps,
    rename_steps,
    validation_steps,
)
from db_manager.words import describe
from quart_fleet.workspace import Workspace

_NEVER_COMPARED = text("""
    WITH found (kind, relation, name) AS (
        SELECT 'trigger', tgrelid, tgname FROM pg_trigger
        WHERE NOT tgisinternal AND tgparentid = 0
        UNION ALL SELECT 'rule', ev_class, rulename FROM pg_rewrite WHERE rulename <> '_RETURN'
        UNION ALL SELECT 'policy', polrelid, polname FROM pg_policy
        UNION ALL SELECT 'row level security', oid, '' FROM pg_class WHERE relrowsecurity
    )
    SELECT kind, CASE WHEN nspname = current_schema() THEN '' ELSE nspname END, relname, name
    FROM found JOIN pg_class ON pg_class.oid = relation
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
""")
_COLUMNS = text("""
    SELECT attname FROM pg_attribute
    WHERE attnum > 0 AND NOT attisdropped AND attrelid = CAST(:name AS regclass)
""")


class ImplThatAsksTheServer(PostgresqlImpl):
    """Alembic's for PostgreSQL, in whose place it is by being defined.

    Alembic compares texts, after taking off what PostgreSQL is known to add; and it has PostgreSQL
    compute defaults, which differ for ever when they are random.
    """

    __dialect__ = "postgresql"
    take: Callable[[Any, str], None] | None = None
    """Is given each statement and its text, in place of the output, where nothing is run."""

    def _exec(self, construct: Any, *arguments: Any, **options: Any) -> Any:
        """Run a statement of a revision, which may be done already by a run that was interrupted."""
        progress: Progress | None = self.context_opts.get("progress")
        if self.take is not None:
            literal = {} if isinstance(construct, DDLElement) else {"literal_binds": True}
            clause = text(construct) if isinstance(construct, str) else construct
            self.take(construct, str(clause.compile(dialect=self.dialect, compile_kwargs=literal)))
            return None
        if progress is None or self.as_sql or self.connection is None:
            return super()._exec(construct, *arguments, **options)
        statement = (
            construct
            if isinstance(construct, str)
            else str(construct.compile(dialect=self.dialect))
        )

        def run() -> Any:
            return super(ImplThatAsksTheServer, self)._exec(construct, *arguments, **options)

        return progress.execute(statement, self.connection, run)

    def compare_type(self, inspector_column: Column[Any], metadata_column: Column[Any]) -> bool:
        """Say whether the model's type is another than the database's, in all that it says."""
        comparison: Comparison = self.context_opts["comparison"]
        found = comparison.definitions(metadata_column.table)
        model = found.model.get(("type", metadata_column.name))
        if model is None:
            return super().compare_type(inspector_column, metadata_column)
        return model != found.database.get(("type", metadata_column.name))

    def compare_server_default(
        self, inspector_column: Column[Any], metadata_column: Column[Any], *_defaults: str | None
    ) -> bool:
        """Say whether the model's default is another than the database's."""
        comparison: Comparison = self.context_opts["comparison"]
        if ("default", metadata_column.name) in comparison.definitions(
            metadata_column.table
        ).refused:
            # It was tried on the column as it is: a default of another type is another default.
            types = {
                each.type.compile(self.dialect) for each in (inspector_column, metadata_column)
            }
            return inspector_column.server_default is None or len(types) > 1
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
        for column in (each for table in self.metadata.tables.values() for each in table.columns):
            for constraint in tuple(column.constraints):
                # Alembic writes what is the table's, and loses what is written inside of a column.
                column.constraints.remove(constraint)
                column.table.append_constraint(constraint)
        self._rename_steps = rename_steps(self.renames, self.connection)
        self.ownership = Ownership(self.connection, self.metadata, self.workspace, self.made)

    def options(self) -> dict[str, Any]:
        """Return what Alembic's context is configured with."""
        return {
            "comparison": self,
            "target_metadata": self.metadata,
            "compare_type": True,
            "compare_server_default": True,
            "include_schemas": True,
            "include_name": self.ownership.is_name_compared,
            "include_object": self.ownership.is_object_compared,
            "render_item": render_item,
            "process_revision_directives": self.write,
            "version_table": self.workspace.version_table,
        }

    def compare(self) -> Findings:
        """Find every difference."""
        default = str(self.connection.scalar(text("SELECT current_schema()")))
        for table in self.metadata.tables.values():
            if table.schema == default:
                raise ManagerError(
                    f"The model of {table.fullname} names the schema {default}, which is the default "
                    "of this database: leave it out of the model, or it is another table to "
                    "SQLAlchemy."
                )
        with warnings.catch_warnings():
            # Of circles among tables and of computed columns: both are seen to here.
            warnings.simplefilter("ignore")
            context = MigrationContext.configure(self.connection, opts=self.options())
            self.complete(context, (), [produce_migrations(context, self.metadata)])
        lines = sorted(line for each in self.operations for line in describe(each))
        return Findings(
            tuple(lines), tuple(sorted(self._not_compared())), tuple(self.ownership.others())
        )

    def complete(self, _context: object, _revision: object, scripts: list[Any]) -> None:
        """Add to Alembic's operations what it does not write, and put all in order, both ways."""
        script: MigrationScript = scripts[0]
        upgrade = script.upgrade_ops
        if upgrade is None or script.downgrade_ops is None:
            return
        operations = list(upgrade.ops)
        for operation in operations:
            if isinstance(operation, CreateTableOp):
                operation.info = {}  # its service, which is the model's to say at any time
        renames = self._rename_steps
        made = self.made.names("schema")
        before = prerequisite_steps(self.connection, self.metadata, operations, made)
        steps = [
            step
            for table in self.ownership.tables
            for step in definition_steps(
                self.connection,
                table,
                self.definitions(table),
                _changed(operations, table),
                self.ownership.left_alone(
                    table, {name for _, name in self.definitions(table).database}
                ),
            )
        ]
        invalid = [
            step
            for table in self.ownership.tables
            for step in invalid_index_steps(table, self.definitions(table))
        ]
        altered = {
            (each.schema, each.table_name, inner.column_name)
            for each in operations
            if isinstance(each, ModifyTableOps)
            for inner in each.ops
            if isinstance(inner, AlterColumnOp)
        }
        more = [
            step
            for table in self.ownership.tables
            for step in (
                *foreign_key_steps(self.connection, table),
                *validation_steps(
                    self.connection, table, self.definitions(table), _changed(operations, table)
                ),
                *identity_steps(self.connection, table, self.definitions(table), altered),
            )
        ]
        self.operations = [*renames, *before, *in_order(operations), *steps, *more, *invalid]
        upgrade.ops[:] = self.operations

    def write(self, context: object, revision: object, scripts: list[MigrationScript]) -> None:
        """Have a revision do all so that services go on, and another one what they have to be rid of."""
        self.complete(context, revision, scripts)
        [script] = scripts
        preparer = self.connection.dialect.identifier_preparer
        partitioned = frozenset(
            (schema or "", name)
            for (schema, name), (kind, *_) in self.ownership.relations.items()
            if kind == "p"
        )
        parts = [each for each in split(self.operations) if each] or [[]]
        for number, part in enumerate(parts):
            if number:
                identity = contraction_of(str(script.rev_id))
                message = f"contract: {script.message}"
                head = str(script.rev_id)
                more = MigrationScript(
                    identity, UpgradeOps([]), DowngradeOps([]), message=message, head=head
                )
                scripts.append(more)
            upgrade, downgrade = scripts[-1].upgrade_ops, scripts[-1].downgrade_ops
            if upgrade is not None and downgrade is not None:
                back = [each.reverse() for each in reversed(part)]
                upgrade.ops[:] = online(part, preparer, partitioned)
                downgrade.ops[:] = online(back, preparer, partitioned)

    def losses(self) -> list[Loss]:
        """Return what the operations drop together with rows or values."""
        created = [each.table_name for each in self.operations if isinstance(each, CreateTableOp)]
        found = []
        for operation in self.operations:
            if isinstance(operation, DropTableOp):
                name = full_name(operation.schema, operation.table_name)
                found.append(Loss("table", name, tuple(sorted(created))))
            elif isinstance(operation, ModifyTableOps):
                new = [each.column.name for each in operation.ops if isinstance(each, AddColumnOp)]
                for each in operation.ops:
                    if isinstance(each, DropColumnOp) and each.to_column().computed is None:
                        name = f"{full_name(operation.schema, operation.table_name)}.{each.column_name}"
                        found.append(Loss("column", name, tuple(sorted(new))))
        return found

    def has_other_default(self, column: Column[Any]) -> bool:
        """Say whether the model's default is another than the database's."""
        found = self.definitions(column.table)
        key = ("default", column.name)
        model, database = found.model.get(key), found.database.get(key)
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

    def _not_compared(self) -> Iterable[str]:
        for table in self.metadata.tables.values():
            kind = self.ownership.relations.get((table.schema, table.name), ("",))[0]
            if self.ownership.is_unmanaged(table):
                yield f"table {table.fullname}: left out by [tool.scaffold] unmanaged"
            elif self.ownership.is_view(table):
                yield f"{KINDS.get(kind, 'view')} {table.fullname}: mapped by a model"
        for table in self.ownership.tables:
            found = self.definitions(table)
            for (kind, name), reason in found.refused.items():
                title = f"{kind} {table.fullname}{name and f'.{name}'}"
                yield f"{title}: PostgreSQL does not take the model's ({reason})"
            names = {name for kind, name in found.database if kind != "primary key"}
            relation = self.connection.dialect.identifier_preparer.format_table(table)
            names.update(self.connection.scalars(_COLUMNS, {"name": relation}))
            own = self.ownership.left_alone(table, names) | self.made.names("index")
            for name in sorted(names & own):
                if not self.ownership.model_has(table.schema, table.name, name):
                    yield f"{table.fullname}.{name}: of a revision's own SQL, or left out"
        yield from self._never_compared()

    def _never_compared(self) -> Iterable[str]:
        for table in self.ownership.tables:
            for option in (*table.kwargs, *table._prefixes):
                yield f"table {table.fullname}: {str(option).removeprefix('postgresql_')}"
        ours = {f"{each.schema or ''}.{each.name}": each for each in self.ownership.tables}
        rows = self.connection.execute(_NEVER_COMPARED)
        for kind, schema, table_name, name in rows:
            if f"{schema}.{table_name}" in ours:
                title = f"{kind} {full_name(schema or None, table_name)}{name and f'.{name}'}"
                yield f"{title}: not in models"


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
