"""What the server makes of the texts of a table's model, beside what it made of the table's own.

Texts that mean the same are written in many ways: `'{}'`, `'{}'::jsonb`; `age > 0`, `(age > 0)`.
The model's definitions are therefore given to a temporary table with the columns of the real one,
in a savepoint that is rolled back, and both tables are read from the catalogue by one query.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import CheckConstraint, Column, Connection, FetchedValue, Table, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.types import NullType

from quart_fleet.database.explanations import driver_error, reason_of

COPY = "db_manager_compared"
"""The temporary table; a constraint without a name gets one that begins so."""

_CATALOGUE = text("""
    WITH own AS (SELECT CAST(CAST(:relation AS regclass) AS oid) AS id)
    SELECT 'type' AS kind, attname AS name, format_type(atttypid, atttypmod) || CASE
           WHEN attcollation <> typcollation THEN ' COLLATE ' || CAST(attcollation AS regcollation)
           ELSE '' END AS definition
    FROM own JOIN pg_attribute ON attrelid = id JOIN pg_type ON pg_type.oid = atttypid
    WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT CASE attgenerated WHEN '' THEN 'default' ELSE 'generated' END, attname,
           CASE attgenerated WHEN 'v' THEN 'VIRTUAL ' WHEN 's' THEN 'STORED ' ELSE '' END
               || pg_get_expr(adbin, adrelid)
    FROM own JOIN pg_attrdef ON adrelid = id
    JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
    UNION ALL
    SELECT 'identity', attname,
           concat_ws(' ', CASE attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
               'START', seqstart, 'INCREMENT', seqincrement, 'MINVALUE', seqmin,
               'MAXVALUE', seqmax, 'CACHE', seqcache, CASE WHEN seqcycle THEN 'CYCLE' END)
    FROM own JOIN pg_attribute ON attrelid = id AND attidentity <> ''
    JOIN pg_depend ON refobjid = attrelid AND refobjsubid = attnum AND deptype = 'i'
    JOIN pg_sequence ON seqrelid = objid
    UNION ALL
    SELECT CASE contype WHEN 'c' THEN 'check' WHEN 'x' THEN 'exclusion' WHEN 'u' THEN 'unique'
           ELSE 'primary key' END,
           CASE contype WHEN 'p' THEN '' ELSE conname END,
           replace(pg_get_constraintdef(oid), ' NOT VALID', '')
    FROM own JOIN pg_constraint ON conrelid = id
    WHERE contype IN ('c', 'x', 'u', 'p') AND conislocal AND conparentid = 0
    UNION ALL
    SELECT 'index', relname,
           CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END
               || substring(pg_get_indexdef(oid) FROM ' (USING .*)$')
    FROM own JOIN pg_index ON indrelid = id JOIN pg_class ON oid = indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT 'invalid index', relname, ''
    FROM own JOIN pg_index ON indrelid = id JOIN pg_class ON oid = indexrelid
    WHERE NOT indisvalid AND relkind = 'i'
    UNION ALL
    SELECT 'not validated', conname, ''
    FROM own JOIN pg_constraint ON conrelid = id
    WHERE NOT convalidated AND conislocal AND conparentid = 0
      AND pg_get_constraintdef(pg_constraint.oid) NOT LIKE '% NOT ENFORCED'
""")

_COLUMNS = text("""
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = CAST(:relation AS regclass) AND attnum > 0
""")

Forms = dict[tuple[str, str], str]
"""The server's own texts by kind (`default`, `check`, …) and name."""


@dataclass(slots=True)
class Definitions:
    """The definitions of one table: the model's and the database's, in one spelling."""

    model: Forms = field(default_factory=dict)
    database: Forms = field(default_factory=dict)
    words: Forms = field(default_factory=dict)
    """The model's own texts of checks: the server's, given to it once more, may become another one."""
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """What the server does not take of the model, with its reason."""


def read_definitions(connection: Connection, table: Table) -> Definitions:
    """Read those of a table that is in the database."""
    preparer = connection.dialect.identifier_preparer
    relation = preparer.format_table(table)
    found = Definitions(database=_read(connection, relation))
    with connection.begin_nested() as savepoint:
        try:
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {COPY} (LIKE {relation})")
        except DBAPIError as error:
            savepoint.rollback()
            found.refused["definitions", ""] = reason_of(driver_error(error))
            found.model = {key: form for key, form in found.database.items() if key[0] != "type"}
            return found
        for kind, name, statement in _statements(connection, table):
            try:
                with connection.begin_nested():
                    connection.exec_driver_sql(statement)
                if kind == "check":
                    found.words[kind, name] = statement[statement.index("CHECK (") :]
            except DBAPIError as error:
                found.refused[kind, name] = reason_of(driver_error(error))
        copied = _read(connection, f"pg_temp.{COPY}")
        found.model = {key: form for key, form in copied.items() if key[0] != "type"}
        found.model |= _types(connection, table)
        savepoint.rollback()
    return found


def _read(connection: Connection, relation: str) -> Forms:
    rows = connection.execute(_CATALOGUE, {"relation": relation})
    return {(kind, name): definition for kind, name, definition in rows}


def _types(connection: Connection, table: Table) -> Forms:
    """Return the types of a model's columns; none while one of them is not in the database yet."""
    dialect, name = connection.dialect, f"{COPY}_types"
    columns = ", ".join(
        f"{dialect.identifier_preparer.quote(column.name)} "
        f"{dialect.type_compiler_instance.process(column.type, type_expression=column)}"
        for column in table.columns
        if not isinstance(column.type, NullType)
    )
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({columns})")
            return _read(connection, f"pg_temp.{name}")
    except DBAPIError:
        return {}


def _statements(connection: Connection, table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield kind, name and a statement for everything that the model defines on the copy.

    Columns come first: constraints and indexes may be of generated ones.
    """
    dialect = connection.dialect
    compiler = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]  # None: of no statement
    quote = dialect.identifier_preparer.quote
    columns = connection.execute(_COLUMNS, {"relation": f"pg_temp.{COPY}"})
    present = {str(name): str(type_) for name, type_ in columns}
    for column in table.columns:
        type_ = present.get(column.name) or dialect.type_compiler_instance.process(column.type)
        add = f"ALTER TABLE {COPY} ADD COLUMN {quote(column.name)} {type_}"
        alter = f"ALTER TABLE {COPY} ALTER COLUMN {quote(column.name)}"
        if column.name not in present:
            yield "column", column.name, add
        if column.computed is not None:
            drop = f"ALTER TABLE {COPY} DROP COLUMN {quote(column.name)}"
            yield "generated", column.name, drop
            yield "generated", column.name, f"{add} {compiler.process(column.computed)}"
        elif column.identity is not None:
            yield "identity", column.name, f"{alter} SET NOT NULL"
            yield "identity", column.name, f"{alter} ADD {compiler.process(column.identity)}"
        elif (default := text_of_default(connection, column)) is not None:
            yield "default", column.name, f"{alter} SET DEFAULT {default}"
    kinds = {
        CheckConstraint: "check",
        ExcludeConstraint: "exclusion",
        UniqueConstraint: "unique",
        PrimaryKeyConstraint: "primary key",
    }
    for constraint in sorted(table.constraints, key=lambda each: str(each.name)):
        kind = kinds.get(type(constraint))
        rule = constraint._create_rule
        if rule is not None and not rule(compiler):
            continue
        if kind and (kind != "primary key" or table.primary_key.columns):
            name = "" if kind == "primary key" else str(constraint.name or "")
            yield kind, name, f"ALTER TABLE {COPY} ADD {compiler.process(constraint)}"
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        statement = str(CreateIndex(index).compile(dialect=dialect)).replace("CONCURRENTLY ", "", 1)
        place = f" ON {dialect.identifier_preparer.format_table(table)} "
        yield "index", str(index.name), statement.replace(place, f" ON {COPY} ", 1)


def text_of_default(connection: Connection, column: Column[object]) -> str | None:
    """Return the text that CREATE TABLE would have after DEFAULT, None where it has none."""
    default = column.server_default
    if default is None or type(default) is FetchedValue:
        return None
    dialect = connection.dialect
    compiler = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]  # None: of no statement
    return compiler.get_column_default_string(column)


_DOMAIN = text("""
    SELECT concat_ws(' ', format_type(typbasetype, typtypmod),
        CASE WHEN typcollation NOT IN (0, 100) THEN 'COLLATE ' || CAST(typcollation AS regcollation) END,
        'DEFAULT ' || typdefault, CASE WHEN typnotnull THEN 'NOT NULL' END,
        (SELECT string_agg(definition, ' ' ORDER BY definition)
         FROM pg_constraint, pg_get_constraintdef(oid) AS definition
         WHERE contypid = pg_type.oid AND contype = 'c'))
    FROM pg_type WHERE oid = to_regtype(:name)
""")


def read_domain(connection: Connection, name: str, creation: str) -> tuple[str | None, str | None]:
    """Return what a domain is in the database, and what the statement that creates it would make."""
    present, wanted = connection.scalar(_DOMAIN, {"name": name}), None
    with connection.begin_nested() as savepoint:
        try:
            copy = f"pg_temp.{COPY}"
            connection.exec_driver_sql(creation.replace(name, copy, 1))
            wanted = connection.scalar(_DOMAIN, {"name": copy})
            savepoint.rollback()
        except DBAPIError:
            return present, present
    return present, wanted
