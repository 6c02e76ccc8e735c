"""The operations of a revision that Alembic does not write by itself, and the order of all."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    CreateForeignKeyOp,
    CreateTableOp,
    DropConstraintOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
)
from sqlalchemy import Column, Connection, MetaData, Sequence, Table, inspect, text
from sqlalchemy.dialects.postgresql import DOMAIN, ENUM, CreateDomainType, CreateEnumType
from sqlalchemy.schema import CreateSequence, ForeignKeyConstraint

from db_manager.definitions import COPY, Definitions, read_domain
from db_manager.rendering import stored_types
from quart_fleet.revisions import NOT_VALID, validate

_VERSION_WITH_SET_EXPRESSION = 17

_LABELS = text("""
    SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum
    WHERE enumtypid = CAST(to_regtype(:name) AS oid)
""")

_SEQUENCE = text("""
    SELECT seqstart AS start, seqincrement AS increment, seqmin AS minvalue, seqmax AS maxvalue,
           seqcache AS cache, seqcycle AS cycle
    FROM pg_sequence WHERE seqrelid = to_regclass(:name)
""")


class Step(MigrateOperation):
    """Statements of a revision, both ways, and the difference that they settle, in words.

    A step without any is written as a remark: for hands to fill in.
    """

    def __init__(self, difference: str, up: Iterable[str], down: Iterable[str] = ()) -> None:
        """Take statements of SQL, or of Python that begin with `op.`."""
        self.difference = difference
        self.up = tuple(up)
        self.down = tuple(down)

    def reverse(self) -> "Step":
        """Swap the two ways."""
        return Step(self.difference, self.down, self.up)


@renderers.dispatch_for(Step)
def _render(_context: AutogenContext, step: Step) -> list[str]:
    remark = [] if step.up or step.down else [f"# To be written by hand: {step.difference}."]
    return [
        each if each.startswith("op.") else f"op.execute({each!r})" for each in step.up
    ] or remark


def is_remark(operation: MigrateOperation) -> bool:
    """Say whether an operation is left to be written by hand."""
    return isinstance(operation, Step) and not operation.up and not operation.down


def rename_steps(renames: Iterable[tuple[str, str]], connection: Connection) -> list[Step]:
    """Return a step for each `table:new`, `table.column:new` or one with a schema before it."""
    quote = connection.dialect.identifier_preparer.quote
    found = inspect(connection)
    steps = []
    for old, new in renames:
        *place, name = old.split(".")
        is_table = not place or (
            len(place) == 1 and any(found.has_table(each, schema=place[0]) for each in (name, new))
        )
        where = "".join(f"{quote(each)}." for each in place)
        if is_table:
            before, after = f"ALTER TABLE {where}{quote(name)}", f"ALTER TABLE {where}{quote(new)}"
            up, down = f"{before} RENAME TO {quote(new)}", f"{after} RENAME TO {quote(name)}"
        else:
            table = f"ALTER TABLE {where.removesuffix('.')} RENAME COLUMN"
            up = f"{table} {quote(name)} TO {quote(new)}"
            down = f"{table} {quote(new)} TO {quote(name)}"
        steps.append(Step(f"{old} is renamed to {new}", [up], [down]))
    return steps


def prerequisite_steps(
    connection: Connection,
    metadata: MetaData,
    operations: Iterable[MigrateOperation],
    schemas_made: frozenset[str],
) -> Iterator[Step]:
    """Yield what tables need before they can be: schemas, types with a name, sequences."""
    dialect = connection.dialect
    preparer: Any = dialect.identifier_preparer  # PostgreSQL's own
    types = {
        str(preparer.format_type(type_)): type_
        for table in metadata.tables.values()
        for column in table.columns
        for type_ in stored_types(column.type, dialect)
        if isinstance(type_, ENUM | DOMAIN)
    }
    present = set(inspect(connection).get_schema_names())
    created = {each.schema for each in operations if isinstance(each, CreateTableOp)}
    named: Iterable[Any] = (*metadata.tables.values(), *types.values())
    needed = created | {each.schema for each in named} - present
    for schema in sorted(filter(None, needed - schemas_made)):
        # It stays when the revision is reverted: it may have been there before.
        create = f"CREATE SCHEMA IF NOT EXISTS {preparer.quote(schema)}"
        yield Step(f"schema {schema}: in the models, not in the database", [create])
    for name, type_ in sorted(types.items()):
        yield from _type_steps(connection, name, type_)
    known = metadata._sequences.values()
    for sequence in sorted((each for each in known if not each.optional), key=lambda one: one.name):
        yield from _sequence_steps(connection, sequence)


def _type_steps(connection: Connection, name: str, type_: ENUM | DOMAIN) -> Iterator[Step]:
    creation = CreateEnumType(type_) if isinstance(type_, ENUM) else CreateDomainType(type_)
    create = str(creation.compile(dialect=connection.dialect))
    if connection.scalar(text("SELECT to_regtype(:name)::text"), {"name": name}) is None:
        drop = f"DROP {'TYPE' if isinstance(type_, ENUM) else 'DOMAIN'} {name}"
        yield Step(f"type {name}: in the models, not in the database", [create], [drop])
    elif isinstance(type_, ENUM):
        labels = connection.scalar(_LABELS, {"name": name}) or []
        yield from _new_labels(connection, name, labels, list(type_.enums))
    elif type_.create_type:
        database, model = read_domain(connection, name, create)
        if database != model:
            yield Step(_difference(f"domain {name}", database, model), [])


def _sequence_steps(connection: Connection, sequence: Sequence) -> Iterator[Step]:
    dialect = connection.dialect
    name = dialect.identifier_preparer.format_sequence(sequence)
    found = connection.execute(_SEQUENCE, {"name": name}).mappings().first()
    if found is None:
        create = str(CreateSequence(sequence).compile(dialect=dialect))
        drop = f"DROP SEQUENCE {name}"
        yield Step(f"sequence {name}: in the models, not in the database", [create], [drop])
        return
    for option, value in found.items():
        if (wanted := getattr(sequence, option)) not in (None, value):
            yield Step(_difference(f"sequence {name}: {option}", str(value), str(wanted)), [])


def _new_labels(
    connection: Connection, name: str, present: list[str], wanted: list[str]
) -> Iterator[Step]:
    literal = connection.dialect.type_descriptor(ENUM()).literal_processor(connection.dialect)
    quoted = literal or repr
    if gone := [each for each in present if each not in wanted]:
        yield Step(
            f"type {name}: {', '.join(gone)} in the database, not in the models, "
            "which PostgreSQL cannot take from a type",
            [],
        )
    order = list(present)
    for position, label in enumerate(wanted):
        if label in present:
            continue
        place = (
            f"AFTER {quoted(wanted[position - 1])}" if position else f"BEFORE {quoted(order[0])}"
        )
        order.append(label)
        yield Step(
            f"type {name}: {label} in the models, not in the database",
            [f"ALTER TYPE {name} ADD VALUE {quoted(label)} {place if present else ''}".strip()],
        )


def definition_steps(
    connection: Connection,
    table: Table,
    found: Definitions,
    changed: frozenset[str],
    left_alone: frozenset[str],
) -> Iterator[Step]:
    """Yield what makes constraints and generated columns of a table those of its model.

    `changed` are constraints and columns that other operations see to; `left_alone` those that
    are no business of the models.
    """
    quote = connection.dialect.identifier_preparer.quote
    relation = connection.dialect.identifier_preparer.format_table(table)
    for kind in ("check", "exclusion", "unique", "primary key"):
        ours = {name: form for (each, name), form in found.model.items() if each == kind}
        theirs = {name: form for (each, name), form in found.database.items() if each == kind}
        nameless = [form for name, form in ours.items() if name.startswith(COPY)]
        refused = {name: why for (each, name), why in found.refused.items() if each == kind}
        for name in sorted(refused.keys() - theirs.keys()):
            why = f"which PostgreSQL does not take ({refused[name]})"
            yield Step(
                f"{kind} {table.fullname}.{name}: in the models, not in the database, {why}", []
            )
        for name in sorted((ours.keys() | theirs.keys()) - changed - refused.keys()):
            model, database = ours.get(name), theirs.get(name)
            title = f"{kind} {table.fullname}{name and f'.{name}'}"
            constraint = quote(name) if name else quote(f"pk_{table.name}")
            is_nameless = name.startswith(COPY)
            if model == database or (kind == "unique" and None in (model, database)):
                continue
            if model is None and (database in nameless or name in left_alone):
                continue
            if is_nameless and model in theirs.values():
                continue
            alter = f"ALTER TABLE {relation}"
            drop = f"{alter} DROP CONSTRAINT {constraint}"
            named = "" if is_nameless else f"CONSTRAINT {constraint} "
            add: Callable[[str], str] = f"{alter} ADD {named}".__add__
            if kind == "primary key" and database is not None:
                old = inspect(connection).get_pk_constraint(table.name, schema=table.schema)["name"]
                drop = f"{alter} DROP CONSTRAINT {quote(str(old))}"
            validated = []
            if kind == "check":
                drop, add = _check_operations(table, name)
                validated = [] if is_nameless else [validate(relation, constraint)]
            up = [drop] if database is not None else []
            words = found.words.get((kind, name), model)
            up += [add(words), *validated] if words is not None else []
            down = [drop] if model is not None and not is_nameless else []
            down += [add(database), *validated] if database is not None else []
            yield Step(_difference(title, database, model), up, down)
    for column in table.columns:
        yield from _generation(connection, table, column, found, changed)


def foreign_key_steps(connection: Connection, table: Table) -> Iterator[Step]:
    """Yield the names of foreign keys, which errors are known by, and MATCH: Alembic compares neither."""
    preparer = connection.dialect.identifier_preparer
    quote, relation = preparer.quote, preparer.format_table(table)
    found = inspect(connection).get_foreign_keys(table.name, schema=table.schema)
    present = {(*each["constrained_columns"],): each for each in found}
    for constraint in sorted(table.foreign_key_constraints, key=lambda each: str(each.name)):
        database = present.get(tuple(constraint.column_keys))
        if database is None or database["referred_table"] != constraint.referred_table.name:
            continue
        old = quote(str(database["name"]))
        new = preparer.format_constraint(constraint) or old  # as it is cut to 63 bytes
        title = f"foreign key {table.fullname}.{new}"
        if old != new:
            rename = f"ALTER TABLE {relation} RENAME CONSTRAINT"
            up, down = f"{rename} {old} TO {new}", f"{rename} {new} TO {old}"
            yield Step(_difference(title, old, new), [up], [down])
        was, now = database["options"].get("match"), (constraint.match or "").upper()
        if (was or "SIMPLE") != (now or "SIMPLE"):
            yield Step(_difference(f"{title}: MATCH", was or "SIMPLE", now or "SIMPLE"), [])


def identity_steps(
    connection: Connection,
    table: Table,
    found: Definitions,
    altered: Collection[tuple[str | None, str, str]],
) -> Iterator[Step]:
    """Yield the options of identities; `altered` are columns that Alembic's operations see to."""
    preparer = connection.dialect.identifier_preparer
    for column in table.columns:
        key = ("identity", column.name)
        model, database = found.model.get(key), found.database.get(key)
        if model is None or database is None or model == database:
            continue
        if (table.schema, table.name, column.name) in altered:
            continue
        alter = (
            f"ALTER TABLE {preparer.format_table(table)} ALTER COLUMN {preparer.quote(column.name)}"
        )
        both = []
        for each in (model, database):  # as the catalogue says it
            words = re.sub(r"\b(START|INCREMENT|MINVALUE|MAXVALUE|CACHE)\b", r"SET \1", each)
            words = re.sub(r"^(ALWAYS|BY DEFAULT)", r"SET GENERATED \1", words)
            words = words.removesuffix(" CYCLE")
            both.append(f"{alter} {words} SET {'' if each.endswith(' CYCLE') else 'NO '}CYCLE")
        title = f"column {table.fullname}.{column.name}: identity"
        yield Step(_difference(title, database, model), both[:1], both[1:])


def invalid_index_steps(table: Table, found: Definitions) -> Iterator[Step]:
    """Yield a remark for each index that only seems to be there."""
    for name in sorted(name for kind, name in found.database if kind == "invalid index"):
        why = "not valid in the database, as after an interrupted CREATE INDEX CONCURRENTLY"
        yield Step(f"index {table.fullname}.{name}: {why}: REINDEX INDEX CONCURRENTLY mends it", [])


def validation_steps(
    connection: Connection, table: Table, found: Definitions, changed: Collection[str]
) -> Iterator[Step]:
    """Yield the validation of constraints that were never held against the rows.

    Those of the model alone; `changed` are constraints that other operations see to.
    """
    preparer = connection.dialect.identifier_preparer
    for constraint in sorted(table.constraints, key=lambda each: str(each.name)):
        name = str(constraint.name)
        is_meant = constraint.dialect_options["postgresql"].get("not_valid")
        if ("not validated", name) in found.database and name not in changed and not is_meant:
            statement = validate(preparer.format_table(table), preparer.quote(name))
            why = "NOT VALID in the database: rows may break it"
            yield Step(f"constraint {table.fullname}.{name}: {why}: {statement}", [statement])


def _check_operations(table: Table, name: str) -> tuple[str, Callable[[str], str]]:
    """Return Alembic's own operations: what is written in SQL is no business of the models."""
    schema = f", schema={table.schema!r}" if table.schema else ""
    title = f"{'None' if name.startswith(COPY) else f'op.f({name!r})'}, {table.name!r}"

    def create(definition: str) -> str:
        inside = re.sub(r"^CHECK \((.*)\)(?: NO INHERIT)?$", r"\1", definition, flags=re.DOTALL)
        escaped = re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", inside)
        not_valid = "" if name.startswith(COPY) else NOT_VALID
        return f"op.create_check_constraint({title}, {escaped!r}{schema}{not_valid})"

    return f'op.drop_constraint({title}, type_="check"{schema})', create


def _generation(
    connection: Connection,
    table: Table,
    column: Column[object],
    found: Definitions,
    changed: frozenset[str],
) -> Iterator[Step]:
    model = found.model.get(("generated", column.name))
    database = found.database.get(("generated", column.name))
    if model == database or column.name in changed or ("generated", column.name) in found.refused:
        return
    title = _difference(f"column {table.fullname}.{column.name}: generated", database, model)
    preparer = connection.dialect.identifier_preparer
    alter = f"ALTER TABLE {preparer.format_table(table)} ALTER COLUMN {preparer.quote(column.name)}"
    version = int((connection.dialect.server_version_info or (0,))[0])
    if model is None:
        yield Step(title, [f"{alter} DROP EXPRESSION"])
    elif (
        database is not None
        and database.split()[0] == model.split()[0]
        and version >= _VERSION_WITH_SET_EXPRESSION
    ):
        texts = [each.partition(" ")[2] for each in (model, database)]
        up, down = (f"{alter} SET EXPRESSION AS ({each})" for each in texts)
        yield Step(title, [up], [down])
    else:
        yield Step(f"{title}: drop the column, and add it again with its indexes", [])


def _difference(title: str, database: str | None, model: str | None) -> str:
    if database is None:
        return f"{title}: in the models, not in the database"
    if model is None:
        return f"{title}: in the database, not in the models"
    return f"{title}: {database} in the database, {model} in the models"


def in_order(operations: list[MigrateOperation]) -> list[MigrateOperation]:
    """Have each operation follow what it needs, both ways.

    A foreign key to a table that is created later is added at the end of the creations, and one
    to a table that is dropped earlier is dropped before: tables may refer to each other in a circle.
    """
    creations = [each for each in operations if isinstance(each, CreateTableOp)]
    drops = [each for each in operations if isinstance(each, DropTableOp)]
    dropped = {_key(each) for each in drops}
    others = [each for each in operations if not isinstance(each, CreateTableOp | DropTableOp)]
    of_dropped = [
        each for each in others if isinstance(each, ModifyTableOps) and _key(each) in dropped
    ]
    of_created = [each for each in others if each not in of_dropped]

    created, late = _sorted(creations)
    last, early = _sorted([each._reverse for each in drops if each._reverse])
    by_key = {_key(each): each for each in drops}
    return [
        *created,
        *(CreateForeignKeyOp.from_constraint(each) for each in late),
        *of_created,
        *of_dropped,
        *(DropConstraintOp.from_constraint(each) for each in early),
        *(by_key[_key(each)] for each in reversed(last)),
    ]


def _sorted(
    creations: list[CreateTableOp],
) -> tuple[list[CreateTableOp], list[ForeignKeyConstraint]]:
    """Put tables behind those that they refer to, and take off the foreign keys that cannot."""
    pending = {_key(each): each for each in sorted(creations, key=_key)}
    done, taken = list[CreateTableOp](), list[ForeignKeyConstraint]()

    def ahead(creation: CreateTableOp) -> list[ForeignKeyConstraint]:
        found = []
        for each in creation.columns:
            if isinstance(each, ForeignKeyConstraint):
                *schema, table, _column = each.elements[0].target_fullname.split(".")
                referred = ".".join(schema), table
                if referred in pending and referred != _key(creation):
                    found.append(each)
        return found

    while pending:
        free = [each for each in pending.values() if not ahead(each)]
        following = free[0] if free else min(pending.values(), key=lambda each: len(ahead(each)))
        for constraint in ahead(following):
            if constraint.name is None:
                columns = "_".join(constraint.column_keys)
                constraint.name = f"{following.table_name}_{columns}_fkey"
            taken.append(constraint)
        following.columns = [
            each for each in following.columns if not any(each is other for other in taken)
        ]
        done.append(pending.pop(_key(following)))
    return done, taken


def _key(operation: CreateTableOp | DropTableOp | ModifyTableOps) -> tuple[str, str]:
    return operation.schema or "", operation.table_name
