"""Brings a test's database back to what its revisions left: empty but for the rows they inserted."""

from collections.abc import Iterable

import asyncpg

_KEPT = "quart_fleet_kept"
"""The schema that copies of those rows are in; a test's database has it, no other."""

_TABLES = """
    WITH RECURSIVE emptied (id) AS (
        SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        JOIN unnest($1::text[], $2::text[]) AS model (schema, name)
          ON relname = model.name AND nspname = coalesce(model.schema, current_schema())
        WHERE relkind IN ('r', 'p')
        UNION
        SELECT reached.id FROM emptied JOIN (
            SELECT confrelid AS source, conrelid AS id FROM pg_constraint WHERE contype = 'f'
            UNION ALL SELECT inhparent, inhrelid FROM pg_inherits
        ) AS reached ON source = emptied.id
    )
    SELECT id, format('%I.%I', nspname, relname) AS name, relkind::text AS kind,
           quote_literal(format('%I.%I', nspname, relname)) AS literal,
           (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = id AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns,
           ARRAY(SELECT confrelid FROM pg_constraint
                 WHERE conrelid = id AND contype = 'f' AND confrelid <> id) AS needs,
           ARRAY(SELECT objid::regclass::text FROM pg_depend JOIN pg_class ON pg_class.oid = objid
                 WHERE classid = 'pg_class'::regclass AND refclassid = classid
                   AND refobjid = id AND deptype IN ('a', 'i') AND relkind = 'S') AS sequences,
           EXISTS (SELECT FROM pg_trigger WHERE tgrelid = id AND NOT tgisinternal) AS has_triggers
    FROM emptied JOIN pg_class ON pg_class.oid = id
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    ORDER BY name
"""
"""Tables of models, and with them those that TRUNCATE ... CASCADE reaches; views are none."""


_TRUNCATE = """
    DO $emptying$
    DECLARE written text;
    BEGIN
        SELECT string_agg(name, ', ') INTO written FROM ({written}) AS found;
        IF written IS NOT NULL THEN
            EXECUTE format('TRUNCATE %s RESTART IDENTITY CASCADE', written);
        END IF;
    END
    $emptying$"""


async def prepare_emptying(
    connection: asyncpg.Connection, models: Iterable[tuple[str | None, str]]
) -> str:
    """Copy the rows that are there, and return the statements that bring back only these.

    Rows come back behind those that they refer to; triggers do not fire for them. Only tables that
    a test wrote to are emptied, since each costs about a millisecond, and a workspace may have many.
    """
    schemas, names = zip(*models, strict=True) if (models := list(models)) else ((), ())
    tables = await connection.fetch(_TABLES, list(schemas), list(names))
    if not tables:
        return ""
    statements, kept = list[str](), set[int]()
    await connection.execute(f"CREATE SCHEMA {_KEPT}")
    pending = {each["id"]: each for each in tables}
    while pending:
        free = [each for each in pending.values() if not pending.keys() & set(each["needs"])]
        for table in free or list(pending.values()):
            del pending[table["id"]]
            # A partitioned table has its rows in its partitions.
            if table["kind"] == "p" or not await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM ONLY {table['name']})"  # noqa: S608 - quoted
            ):
                continue
            kept.add(table["id"])
            name, columns, copy = table["name"], table["columns"], f"{_KEPT}.t{table['id']}"
            rows = f"SELECT {columns} FROM ONLY {name}"  # noqa: S608 - quoted
            await connection.execute(f"CREATE TABLE {copy} AS {rows}")
            insert = (
                f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - quoted
                f"SELECT {columns} FROM {copy}"
            )
            if table["has_triggers"]:
                alter = f"ALTER TABLE {name}"
                statements += [
                    f"{alter} DISABLE TRIGGER USER",
                    insert,
                    f"{alter} ENABLE TRIGGER USER",
                ]
            else:
                statements.append(insert)
    for sequence in (each for table in tables for each in table["sequences"]):
        row = await connection.fetchrow(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608 - quoted
        if row["is_called"]:
            statements.append(f"SELECT setval('{sequence}', {row['last_value']})")
    written = " UNION ALL ".join(
        f"SELECT {each['literal']} AS name"
        + ("" if each["id"] in kept else f" WHERE {_is_written(each)}")
        for each in tables
    )
    return ";\n".join([_TRUNCATE.format(written=written), *statements])


def _is_written(table: asyncpg.Record) -> str:
    """Return the condition that rows are in a table, or were."""
    rows = f"{'' if table['kind'] == 'p' else 'ONLY '}{table['name']}"
    called = (f"(SELECT is_called FROM {each})" for each in table["sequences"])  # noqa: S608 - quoted
    return " OR ".join([f"EXISTS (SELECT FROM {rows})", *called])
