"""Operations of a revision in the forms that let services read and write meanwhile.

What older code works with too comes first, as an expansion; what takes away something that it needs
is a contraction, in a file of its own. Where a statement takes its time it is in no transaction, and
so is then all else of its file: each statement is committed by itself, and a run that was interrupted
goes on behind the last one.
"""

import re
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op, renderers
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateCheckConstraintOp,
    CreateForeignKeyOp,
    CreateIndexOp,
    CreateTableOp,
    CreateUniqueConstraintOp,
    DropColumnOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
)
from sqlalchemy import ClauseElement, Column, Identity, Integer
from sqlalchemy.sql.compiler import IdentifierPreparer
from sqlalchemy.sql.elements import conv

from db_manager.steps import Step
from quart_fleet.revisions import (
    AUTOCOMMIT_BLOCK,
    CONCURRENTLY,
    NOT_VALID,
    fill_in_batches,
    name_of_not_null_check,
    use_index,
    validate,
)

_STABLE = (
    "now|(?:transaction|statement)_timestamp|current_setting|timezone|age|date_(?:trunc|part|bin)|extract"
    "|to_(?:char|date|timestamp|number|jsonb?)|make_(?:date|time|timestamp|timestamptz|interval)"
    "|lower|upper|coalesce|nullif|concat|concat_ws|format|greatest|least|length|substr|substring|replace"
    "|trim|md5|encode|decode|round|floor|ceil|abs|cast|array|row|jsonb?_build_(?:object|array)"
    "|array_fill|string_to_array|(?:int[48]|num|ts|tstz|date)range"
    "|and|or|not|in|any|all|case|when|then|else|is|between|like|default"
    "|varchar|varying|char|character|bpchar|numeric|decimal|float|bit|varbit|time|timetz|timestamp"
    "|timestamptz|interval|check|references|unique|key|current_time(?:stamp)?|localtime(?:stamp)?"
    "|left|right|lpad|rpad|repeat|mod|power|sqrt|point|to_tsvector|vector|halfvec|hstore"
)
VOLATILE = re.compile(
    rf"(?<![\w.\":])(?!(?:pg_catalog\.)?(?:{_STABLE})\s*\()[\w.\"]+\s*\(", re.IGNORECASE
)
"""What a default is made of that may be another one for each row: a function that is not known."""

Place = tuple[str, str]
"""A schema, empty for the default one, and a table."""


class Online(MigrateOperation):
    """An operation of Alembic with an option more, and with what goes around it."""

    def __init__(
        self, operation: MigrateOperation, option: str = "", then: Iterable[str] = ()
    ) -> None:
        """Take an argument as text of Python, and lines of Python that follow."""
        self.operation = operation
        self.option = option
        self.then = tuple(then)


class Lines(MigrateOperation):
    """Lines of Python, and those of the way back."""

    def __init__(self, *lines: str, back: Iterable[str] = ()) -> None:
        """Take them as they are written."""
        self.lines = lines
        self.back = tuple(back)

    def reverse(self) -> "Lines":
        """Swap the two ways."""
        return Lines(*self.back, back=self.lines)


@renderers.dispatch_for(Online)
def _render_online(context: AutogenContext, online: Online) -> list[str]:
    lines = render_op(context, online.operation)
    if not lines:
        return list(online.then)
    *lines, last = lines
    keyword = online.option.partition("=")[0]
    option = "" if keyword and keyword in last else online.option
    return [*lines, f"{last.removesuffix(')')}{option})", *online.then]


@renderers.dispatch_for(Lines)
def _render_lines(_context: AutogenContext, lines: Lines) -> list[str]:
    return list(lines.lines)


def is_required_without_default(column: Column[object]) -> bool:
    """Say whether rows that are there lack a value of it."""
    is_filled = column.server_default is not None or column.computed is not None
    is_numbered = isinstance(column.identity, Identity) or "SERIAL" in str(column.type).upper()
    return not column.nullable and not is_filled and not is_numbered


def split(
    operations: Iterable[MigrateOperation],
) -> tuple[list[MigrateOperation], list[MigrateOperation]]:
    """Return what older code works with too, and what takes away what it needs.

    A column that is required and has no default is an optional one first.
    """
    flat = [
        inner
        for each in operations
        for inner in (each.ops if isinstance(each, ModifyTableOps) else [each])
    ]
    dropped = {place_of(each) for each in flat if isinstance(each, DropTableOp)}
    without = {_column_of(each) for each in flat if isinstance(each, DropColumnOp)}
    losing = {(schema, table) for schema, table, _ in without}
    named = {
        each.index_name if isinstance(each, CreateIndexOp) else each.constraint_name
        for each in flat
        if isinstance(each, CreateIndexOp | CreateForeignKeyOp | CreateUniqueConstraintOp)
    }
    expansion, contraction = list[MigrateOperation](), list[MigrateOperation]()
    required = list[AlterColumnOp]()
    for each in flat:
        place = place_of(each)
        if isinstance(each, DropTableOp | DropColumnOp) or place in dropped:
            contraction.append(each)
        elif isinstance(each, DropIndexOp | DropConstraintOp) and place in losing:
            name = each.index_name if isinstance(each, DropIndexOp) else each.constraint_name
            (expansion if name in named else contraction).append(each)
        elif isinstance(each, AddColumnOp) and _column_of(each) in without:
            contraction.append(each)
        elif isinstance(each, AddColumnOp) and is_required_without_default(each.column):
            column = each.column._copy()
            column.nullable = True
            expansion.append(AddColumnOp(each.table_name, column, schema=each.schema))
            required.append(
                AlterColumnOp(
                    each.table_name,
                    column.name,
                    schema=each.schema,
                    existing_type=column.type,
                    existing_nullable=True,
                    modify_nullable=False,
                )
            )
        elif isinstance(each, AlterColumnOp) and each.modify_nullable is False:
            rest, nullability = _apart(each)
            if rest.has_changes():
                expansion.append(rest)
            required.append(nullability)
        else:
            expansion.append(each)
    checks = [_without_check(each) for each in required]
    return expansion, [*required, *checks, *contraction]


def _without_check(required: AlterColumnOp) -> Lines:
    """Return what takes the check of a column away that could not become required."""
    name = name_of_not_null_check(required.table_name, required.column_name)
    schema = f", schema={required.schema!r}" if required.schema else ""
    where = f'{required.table_name!r}, type_="check"{schema}, if_exists=True'
    return Lines(back=[f"op.drop_constraint(op.f({name!r}), {where})"])


def _apart(operation: AlterColumnOp) -> tuple[AlterColumnOp, AlterColumnOp]:
    """Return all that a column becomes, but for being required, and that."""
    rest, nullability = copy(operation), copy(operation)
    rest.modify_nullable = None
    nullability.modify_type = nullability.modify_name = None
    nullability.modify_comment = nullability.modify_server_default = False
    if operation.modify_type is not None:
        nullability.existing_type = operation.modify_type
    if operation.modify_server_default is not False:
        nullability.existing_server_default = operation.modify_server_default
    return rest, nullability


def online(
    operations: Iterable[MigrateOperation],
    preparer: IdentifierPreparer,
    left_alone: frozenset[Place],
) -> list[MigrateOperation]:
    """Return operations in an autocommit block where one of them takes its time.

    Tables that are made or dropped by them are used by no one meanwhile; those that are `left_alone`
    know none of the forms.
    """
    given = list(operations)
    ends = {place_of(each) for each in given if isinstance(each, CreateTableOp | DropTableOp)}
    done = [
        step
        for each in given
        for step in ([each] if place_of(each) in ends | left_alone else _online(each, preparer))
    ]
    takes_time = any(
        isinstance(each, Online)
        or (isinstance(each, Step) and any("VALIDATE CONSTRAINT" in line for line in each.up))
        for each in done
    )
    return [Lines(AUTOCOMMIT_BLOCK), *done] if takes_time else done


def _online(
    operation: MigrateOperation, preparer: IdentifierPreparer
) -> Iterator[MigrateOperation]:
    """Yield what does the same and lets others read and write."""
    schema, table = place_of(operation)
    relation = ".".join(map(preparer.quote, filter(None, (schema, table))))
    match operation:
        case CreateIndexOp() | DropIndexOp():
            yield Online(operation, CONCURRENTLY)
        case CreateForeignKeyOp(constraint_name=str(name)):
            yield Online(operation, NOT_VALID, [in_sql(validate(relation, preparer.quote(name)))])
        case CreateUniqueConstraintOp(constraint_name=str(name)):
            kept = {
                key: value for key, value in operation.kw.items() if key.startswith("postgresql_")
            }
            index = CreateIndexOp(
                conv(name), table, operation.columns, schema=schema or None, unique=True, **kept
            )
            statement = use_index(
                relation,
                preparer.quote(name),
                deferrable=bool(operation.kw.get("deferrable")),
                initially=operation.kw.get("initially") or "",
            )
            yield Online(index, CONCURRENTLY, [in_sql(statement)])
        case AddColumnOp(column=added) if is_filled_by_row(added, preparer):
            yield from _filled(operation, added, relation, preparer)
        case AddColumnOp(column=added) if getattr(added.type, "create_constraint", False):
            # Its check is among the table's, which are made by themselves.
            added = added._copy()
            added.type = copy(added.type)
            vars(added.type)["create_constraint"] = False
            yield AddColumnOp(table, added, schema=schema or None)
        case AlterColumnOp(modify_nullable=False, column_name=column):
            rest, nullability = _apart(operation)
            if rest.has_changes():
                yield rest
            name = name_of_not_null_check(table, column)
            check = CreateCheckConstraintOp(
                conv(name), table, f"{preparer.quote(column)} IS NOT NULL", schema=schema or None
            )
            yield Lines(
                f"# A row without {column} keeps this from its end: fill it here, or before."
            )
            yield Online(check, NOT_VALID, [in_sql(validate(relation, preparer.quote(name)))])
            yield nullability
            yield DropConstraintOp(conv(name), table, type_="check", schema=schema or None)
        case _:
            yield operation


def is_filled_by_row(column: Column[object], preparer: IdentifierPreparer) -> bool:
    """Say whether each row gets a value of its own, which can be given to some rows at a time."""
    default = getattr(column.server_default, "arg", None)
    if not isinstance(default, ClauseElement) or column.table is None:
        return False
    words = re.sub("'(?:[^']|'')*'", "''", str(default.compile(dialect=preparer.dialect)))
    if VOLATILE.search(words) is None:
        return False
    keys = [*column.table.primary_key.columns]
    return len(keys) == 1 and isinstance(keys[0].type, Integer)


def _filled(
    addition: AddColumnOp, column: Column[object], relation: str, preparer: IdentifierPreparer
) -> Iterator[MigrateOperation]:
    """Yield what adds a column without a value, and fills it."""
    added = column._copy()
    added.server_default, added.nullable = None, True
    schema = addition.schema
    existing: dict[str, Any] = {"schema": schema, "existing_type": added.type}
    yield AddColumnOp(addition.table_name, added, schema=schema)
    yield AlterColumnOp(
        addition.table_name,
        column.name,
        existing_nullable=True,
        modify_server_default=column.server_default,
        **existing,
    )
    [key] = column.table.primary_key.columns
    names = [preparer.quote(each) for each in (column.name, key.name)]
    yield Online(Lines(), "", [in_sql(*fill_in_batches(relation, names[0], "DEFAULT", names[1]))])
    if not column.nullable:
        required = AlterColumnOp(
            addition.table_name,
            column.name,
            existing_server_default=column.server_default,
            existing_nullable=True,
            modify_nullable=False,
            **existing,
        )
        yield from _online(required, preparer)


def in_sql(*statement: str) -> str:
    """Return the execution of a statement, given in parts, in which no name is taken for a parameter."""
    escaped = [re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", each) for each in statement]
    return f"op.execute({' '.join(map(repr, escaped))})"


def place_of(operation: MigrateOperation) -> Place:
    """Return the table that an operation changes, two empty words where it is of none."""
    source = getattr(operation, "source_table", None)
    if source is not None:
        return getattr(operation, "kw", {}).get("source_schema") or "", source
    return getattr(operation, "schema", None) or "", getattr(operation, "table_name", "")


def _column_of(operation: AddColumnOp | DropColumnOp) -> tuple[str, str, str]:
    column = operation.column.name if isinstance(operation, AddColumnOp) else operation.column_name
    return *place_of(operation), str(column)
