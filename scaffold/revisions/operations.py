"""Operations of a revision as lines of Python, in the forms that `db_manager revision` writes too."""

import json
import re
from collections.abc import Iterator, Sequence

from quart_fleet.revisions import NOT_VALID, fill_in_batches
from scaffold.generation.fields import spell_in_sql
from scaffold.generation.tables import Column, ForeignKey, Table, parts_of, quoted, trigrams_of
from scaffold.language.description import Generated, Value
from scaffold.revisions.conversions import convert

_MADE_FOR = "made for {}"


def named(name: str) -> str:
    """Return a whole name, to which no convention adds anything."""
    return f"op.f({json.dumps(name)})"


def execute(*statement: str) -> str:
    """Return the execution of a statement, whose parts have a line each."""
    return f"op.execute({' '.join(map(ascii, statement))})"


def create_table(table: Table) -> list[str]:
    """Return the creation of a table and its indexes."""
    moment = 'sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False'
    identity = 'sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)'
    times = [f'sa.Column("{name}", {moment})' for name in ("created_at", "updated_at")]
    arguments = [
        json.dumps(table.name),
        *([identity] * table.is_own),
        *(column.line for column in table.columns.values()),
        *(times * table.is_own),
        *(
            f"sa.CheckConstraint({column.check_as(column.name)!a}, "
            f"name={named(table.check_name(column.name))})"
            for column in table.enums
        ),
        *(
            f'sa.ForeignKeyConstraint(["{each.column}"], ["{each.table}.id"], '
            f"name={named(table.reference_name(each))}{each.options})"
            for each in table.references
        ),
        f"sa.PrimaryKeyConstraint({', '.join(map(json.dumps, table.key))}, "
        f"name={named(f'pk_{table.name}')})",
        *(
            f"sa.UniqueConstraint({', '.join(map(json.dumps, columns))}, "
            f"name={named(table.unique_name(columns))}{', deferrable=True' * table.deferrable})"
            for columns in table.uniques
        ),
    ]
    # The comma at the end has the formatter put each argument on a line of its own.
    creation = f"op.create_table({', '.join(arguments)},)"
    indexes = [
        create_index(table.name, table.index_name(columns), parts_of(columns, "sa.literal_column"))
        for columns in table.indexes
    ]
    if table.searched:
        indexes = [make_trigrams(table.name), *indexes, create_search(table, table.searched)]
    return [creation, *indexes]


def drop_table(table: Table) -> list[str]:
    """Return what takes the creation back."""
    name = json.dumps(table.name)
    indexes = [
        f"op.drop_index({named(table.index_name(columns))}, table_name={name})"
        for columns in reversed(table.indexes)
    ]
    trigrams = []
    if table.searched:
        indexes.insert(0, f"op.drop_index({named(table.search_name)}, table_name={name})")
        trigrams = [drop_trigrams(table.name)]
    return [*indexes, f"op.drop_table({name})", *trigrams]


def create_reference(name: str, source: str, reference: ForeignKey) -> str:
    """Return the creation of a foreign key that does not look at the rows which are there yet."""
    return (
        f"op.create_foreign_key({named(name)}, {json.dumps(source)}, {json.dumps(reference.table)}, "
        f'["{reference.column}"], ["id"]{reference.options}{NOT_VALID})'
    )


def create_index(
    table: str, name: str, parts: Sequence[str], *, unique: bool = False, options: str = ""
) -> str:
    """Return the creation of an index of `parts` in Python."""
    return (
        f"op.create_index({named(name)}, {json.dumps(table)}, [{', '.join(parts)}], "
        f"unique={unique}{options})"
    )


def create_search(table: Table, columns: Sequence[str], options: str = "") -> str:
    """Return the creation of the index in which lists seek a part of some columns."""
    parts = [json.dumps(each) for each in columns]
    options = f"{trigrams_of(columns)}{options}"
    return create_index(table.name, table.search_name, parts, options=options)


def make_trigrams(table: str) -> str:
    """Return what makes the extension of such an index, unless it is there.

    The owner of a database may: it is a trusted one. The comment says of which table it is, so
    that what another hand has made is never dropped.
    """
    return execute(
        "DO $$ BEGIN ",
        "IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN ",
        "CREATE EXTENSION pg_trgm; ",
        f"COMMENT ON EXTENSION pg_trgm IS '{_MADE_FOR.format(table)}'; ",
        "END IF; END $$",
    )


def drop_trigrams(table: str) -> str:
    """Return what drops the extension if it was made for this table, and no other one uses it."""
    return execute(
        "DO $$ BEGIN ",
        "IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm' ",
        f"AND obj_description(oid, 'pg_extension') = '{_MADE_FOR.format(table)}') THEN ",
        "DROP EXTENSION pg_trgm; ",
        "END IF; ",
        "EXCEPTION WHEN dependent_objects_still_exist THEN NULL; ",
        "END $$",
    )


def alter_column(table: str, was: Column, now: Column) -> Iterator[str]:
    """Yield what changes the type and the default of a column; it can be repeated."""
    alter = f"op.alter_column({json.dumps(table)}, {json.dumps(was.name)}, "
    is_other_type = was.sqlalchemy != now.sqlalchemy
    existing = f"existing_nullable={was.nullable})"
    present = was.server_default
    if is_other_type and present != "None":
        present = "None"
        yield f"{alter}existing_type={was.sqlalchemy}, server_default=None, {existing}"
    if is_other_type and (conversion := convert(was.kind, now.kind)):
        using = ""
        if conversion.using:
            expression = conversion.using.format(quoted(was.name))
            using = f", postgresql_using={expression!a}"
        if "datetime" in (was.kind.name, now.kind.name):
            yield execute("SET LOCAL timezone = 'UTC'")
        yield f"{alter}existing_type={was.sqlalchemy}, type_={now.sqlalchemy}{using}, {existing}"
    if present != now.server_default:
        default = f"server_default={now.server_default}, "
        yield f"{alter}existing_type={now.sqlalchemy}, {default}{existing}"


def fill_rows(table: str, column: str, expression: str) -> str:
    """Return what fills the rows in which a column is null, in transactions of some of them each."""
    return execute(*fill_in_batches(quoted(table), quoted(column), expression))


def literal(value: Value) -> str:
    """Return a value in SQL, for a column of its type.

    Of colons SQLAlchemy makes parameters, and two dollars end the statement that it is in.
    """
    if isinstance(value, Generated):
        return {Generated.NOW: "now()", Generated.RANDOM: "gen_random_uuid()"}[value]
    text = value if isinstance(value, str) else spell_in_sql(value)
    escaped = re.sub(r"[:$%\\\x00-\x1f]", lambda found: f"\\{ord(found[0]):04X}", text)
    prefix = "" if escaped == text else "U&"
    return prefix + "'{}'".format(escaped.replace("'", "''"))
