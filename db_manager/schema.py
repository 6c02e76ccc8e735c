"""What is in a database, read and dropped on a plain SQLAlchemy connection."""

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, inspect, text

from db_manager.reset import Ours
from db_manager.workspace import get_workspace

_INVALID_INDEXES = text("""
    SELECT CASE WHEN schema IS NULL THEN '' ELSE quote_ident(schema) || '.' END
               || quote_ident(indexes.relname), tables.relname, schema
    FROM pg_index
    JOIN pg_class AS indexes ON indexes.oid = pg_index.indexrelid
    JOIN pg_class AS tables ON tables.oid = pg_index.indrelid
    JOIN pg_namespace ON pg_namespace.oid = tables.relnamespace,
    LATERAL nullif(nspname, current_schema()) AS schema
    WHERE NOT pg_index.indisvalid
      AND indexes.relkind = 'i'
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexes.oid)
    ORDER BY 1
""")
"""Those of a partitioned table (relkind I) are left alone: invalid is how they begin."""


def read_revisions(connection: Connection) -> tuple[str, ...]:
    """Return the ids that the database says it is at: none, one, or a head of each branch."""
    options = {"version_table": get_workspace().version_table}
    return tuple(MigrationContext.configure(connection, opts=options).get_current_heads())


def read_tables(connection: Connection, metadata: MetaData) -> frozenset[str]:
    """Return which of the models' tables, or views, are there."""
    found = inspect(connection)
    return frozenset(
        name
        for name, table in metadata.tables.items()
        if found.has_table(table.name, schema=table.schema)
    )


def find_invalid_indexes(connection: Connection, ours: Ours) -> list[str]:
    """Return what a killed CREATE INDEX CONCURRENTLY left on tables of ours.

    One of others may be under construction.
    """
    rows = connection.execute(_INVALID_INDEXES).all()
    return [index for index, table, schema in rows if ours.has("table", "", table, schema)]


def drop_tables(
    connection: Connection, metadata: MetaData, tables: list[Table], version_table: str | None
) -> None:
    """Drop tables of the models, and the one that says at which revision the database is."""
    metadata.drop_all(connection, tables=tables)
    if version_table is not None:
        quote = connection.dialect.identifier_preparer.quote
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quote(version_table)}")
