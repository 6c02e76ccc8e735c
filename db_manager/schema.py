"""What is in a database, read and dropped on a plain SQLAlchemy connection."""

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text

VERSION_TABLE = "alembic_version"

_INVALID_INDEXES = text("""
    SELECT format('%I', indexes.relname)
    FROM pg_index
    JOIN pg_class AS indexes ON indexes.oid = pg_index.indexrelid
    WHERE NOT pg_index.indisvalid
      AND indexes.relkind = 'i'
      AND indexes.relnamespace = CAST(current_schema() AS regnamespace)
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexes.oid)
    ORDER BY 1
""")
"""Those of a partitioned table (relkind I) are left alone: invalid is how they begin."""

_DROP_STATEMENTS = text("""
    WITH objects (rank, kind, class, id, namespace, name) AS (
        SELECT 1, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                  WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
               CAST('pg_class' AS regclass), oid, relnamespace, format('%I', relname)
        FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
        UNION ALL
        SELECT 2, 'SEQUENCE', CAST('pg_class' AS regclass), oid, relnamespace, format('%I', relname)
        FROM pg_class WHERE relkind = 'S'
        UNION ALL
        SELECT 3, 'TYPE', CAST('pg_type' AS regclass), oid, typnamespace, format('%I', typname)
        FROM pg_type
        WHERE typtype IN ('e', 'd')
           OR typtype = 'c' AND (SELECT relkind FROM pg_class WHERE oid = typrelid) = 'c'
        UNION ALL
        SELECT 4, 'ROUTINE', CAST('pg_proc' AS regclass), oid, pronamespace,
               format('%I(%s)', proname, pg_get_function_identity_arguments(oid))
        FROM pg_proc
    )
    SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name)
    FROM objects
    WHERE namespace = CAST(current_schema() AS regnamespace)
      AND NOT EXISTS (
          SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype = 'e'
      )
    ORDER BY rank, name
""")
"""Everything in the current schema but what belongs to an extension."""


def read_revisions(connection: Connection) -> tuple[str, ...]:
    """Return the ids that the database says it is at: none, one, or a head of each branch."""
    return tuple(MigrationContext.configure(connection).get_current_heads())


def read_tables(connection: Connection) -> frozenset[str]:
    """Return the names of the tables, without Alembic's own."""
    return frozenset(inspect(connection).get_table_names()) - {VERSION_TABLE}


def drop_invalid_indexes(connection: Connection) -> list[str]:
    """Drop what a killed CREATE INDEX CONCURRENTLY left; return the names."""
    names = [str(name) for name in connection.scalars(_INVALID_INDEXES)]
    for name in names:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    return names


def drop_tables(connection: Connection, metadata: MetaData) -> None:
    """Drop the tables of the models, and Alembic's own."""
    metadata.drop_all(connection)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {VERSION_TABLE}")


def drop_everything(connection: Connection) -> None:
    """Leave the current schema as empty as a new database's."""
    for statement in connection.scalars(_DROP_STATEMENTS).all():
        connection.exec_driver_sql(statement)
