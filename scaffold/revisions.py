"""Revisions written from two descriptions of a resource: the same text on every machine.

A revision of a table that exists is safe for services that use it meanwhile. It has up to three parts:

1. a transaction that adds columns, and checks that do not look at the rows that are there yet;
2. statements in no transaction, which take their time and let others read and write: rows are filled
   in batches (before there are checks), checks validated, indexes made and dropped;
3. a transaction that makes columns required and indexes constraints, drops and renames. With it the
   database notes the revision.

A run that was interrupted in the second part is begun anew, so all of the first two can be repeated.
What waits for a lock waits briefly, as others wait behind it; db_manager tries the revision again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Generic, Self, TypeVar

from scaffold.conversions import convert
from scaffold.errors import MisuseError
from scaffold.fields import Resource
from scaffold.language.description import Generated, Value, spell
from scaffold.names import LONGEST_NAME
from scaffold.render import render
from scaffold.tables import Column, Table, parts_of, quoted

Key = TypeVar("Key")

_BATCH = 5_000
"""Rows that are filled by one statement: some 50 ms in which a write of one of them waits."""
_LOCK_TIMEOUT = "500ms"
_MANY_STATEMENTS = 50
"""Of one function, of which ruff takes no more."""
_FILLING = (
    "DO $$ DECLARE ",
    "done bigint := (SELECT min(id) - 1 FROM {table}); ",
    "last bigint; ",
    "BEGIN LOOP ",
    "SELECT max(id) INTO last FROM ",
    "(SELECT id FROM {table} WHERE id > done ORDER BY id LIMIT {batch}) AS batch; ",
    "EXIT WHEN last IS NULL; ",
    "UPDATE {table} SET {column} = {expression} ",
    "WHERE id > done AND id <= last AND {column} IS NULL; ",
    "COMMIT; ",
    "done := last; ",
    "END LOOP; END $$",
)
_NEUTRAL: Mapping[str, Value] = {
    **dict.fromkeys(("str", "text", "email", "url"), ""),
    **dict.fromkeys(("int", "bigint", "float"), 0),
    "decimal": Decimal(0),
    "bool": False,
    "date": date(1970, 1, 1),
    "time": time(),
    "datetime": datetime(1970, 1, 1, tzinfo=UTC),
    "duration": timedelta(),
    "uuid": Generated.RANDOM,
}
"""What rows get when a required column comes back whose values were dropped."""
_DISTINCT = {
    **dict.fromkeys(("str", "text", "email", "url"), "id::text"),
    **dict.fromkeys(("int", "bigint", "float", "decimal"), "id"),
    "date": "DATE '1970-01-01' + id::integer",
    "time": "TIME '00:00' + id * INTERVAL '1 millisecond'",
    "datetime": "to_timestamp(id)",
    "duration": "id * INTERVAL '1 second'",
    "uuid": "gen_random_uuid()",
}
"""The same where the column is unique."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A step of the schema's history."""

    id: str
    file_name: str
    text: str
    """Of the file, before it is formatted."""
    warnings: tuple[str, ...]
    """What cannot be safe: what is lost, what fails while other code runs, what may be refused."""


def write_revision(
    old: Resource | None,
    new: Resource | None,
    *,
    parent: str | None,
    fill: Mapping[str, Value] | None = None,
    renames: Mapping[str, str] | None = None,
) -> Revision | None:
    """Return the revision from one description to another; None where the table stays as it is.

    Args:
        old: what the database has; None creates the table.
        new: what it gets; None drops the table.
        parent: the id of the revision that it follows.
        fill: what rows that are there get in a new or newly required field, by its name.
        renames: old names of fields, and new ones.

    Raises MisuseError for what cannot be written, as a required field without `fill`.
    """
    before = None if old is None else Table.of(old)
    after = None if new is None else Table.of(new)
    warnings = list[str]()
    if before is not None and after is not None:
        change = _Change(before, after, renames or {})
        change.refuse_what_cannot_be()
        change.fill(fill or {})
        back = _Change(after, before, {name: was for was, name in change.renames.items()})
        back.fill_with_inventions()
        upgrade, downgrade = change.statements(), back.statements()
        message, warnings = change.message, list(change.warnings())
    elif after is not None:
        upgrade, downgrade = _creation(after), _drop(after)
        message = f"create {after.name}"
    elif before is not None:
        upgrade, downgrade = [_WAIT_BRIEFLY, *_drop(before)], _creation(before)
        message = f"drop {before.name}"
        warnings = [f"{before.name} is dropped, with its rows."]
    else:
        return None
    if not upgrade:
        return None
    operations = "\n".join([parent or "", *upgrade, "", *downgrade])
    identity = hashlib.sha1(operations.encode(), usedforsecurity=False).hexdigest()[:12]
    many = "  # noqa: PLR0915 - one for each change"
    words = {
        "id": identity,
        "down_revision": parent,
        "message": message,
        "upgrade": upgrade,
        "upgrade_ignores": many * (len(upgrade) > _MANY_STATEMENTS),
        "downgrade": downgrade,
        "downgrade_ignores": many * (len(downgrade) > _MANY_STATEMENTS),
    }
    name = f"{identity}_{message.replace(' ', '_')}.py"
    text = render("models/revision.py.jinja", {"revision": words})
    return Revision(identity, name, text, tuple(warnings))


def _creation(table: Table) -> list[str]:
    moment = 'sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False'
    arguments = [
        json.dumps(table.name),
        'sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)',
        *(column.line for column in table.columns.values()),
        f'sa.Column("created_at", {moment})',
        f'sa.Column("updated_at", {moment})',
        *(
            f"sa.CheckConstraint({_text(column.check_as(column.name))}, "
            f"name={_of(table.check_name(column.name))})"
            for column in table.enums
        ),
        f'sa.PrimaryKeyConstraint("id", name={_of(f"pk_{table.name}")})',
        *(
            f"sa.UniqueConstraint({', '.join(map(json.dumps, columns))}, "
            f"name={_of(table.unique_name(columns))})"
            for columns in table.uniques
        ),
    ]
    # The comma at the end has the formatter put each argument on a line of its own.
    creation = f"op.create_table({', '.join(arguments)},)"
    indexes = [
        f"op.create_index({_of(table.index_name(columns))}, {json.dumps(table.name)}, "
        f"[{', '.join(parts_of(columns, 'sa.literal_column'))}], unique=False)"
        for columns in table.indexes
    ]
    return [creation, *indexes]


def _drop(table: Table) -> list[str]:
    name = json.dumps(table.name)
    indexes = [
        f"op.drop_index({_of(table.index_name(columns))}, table_name={name})"
        for columns in reversed(table.indexes)
    ]
    return [*indexes, f"op.drop_table({name})"]


def _of(name: str) -> str:
    """Return a whole name, to which no convention adds anything."""
    return f"op.f({json.dumps(name)})"


def _text(statement: str) -> str:
    return ascii(statement)


def _sql(statement: str) -> str:
    return f"op.execute({_text(statement)})"


def _in_transaction(lines: list[str]) -> list[str]:
    return [_WAIT_BRIEFLY, *lines] if lines else []


def _in_none(lines: list[str]) -> list[str]:
    within = [f"    {each}" for each in lines]
    return ["with op.get_context().autocommit_block():", *within] if lines else []


_WAIT_BRIEFLY = _sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")


def _literal(value: Value) -> str:
    """Return a value in SQL, for a column of its type; of colons a text of SQLAlchemy makes parameters."""
    if isinstance(value, Generated):
        return {Generated.NOW: "now()", Generated.RANDOM: "gen_random_uuid()"}[value]
    text = value if isinstance(value, str) else spell(value)
    escaped = "".join(
        f"\\{ord(each):04X}" if each in ":\\%" or ord(each) < ord(" ") else each for each in text
    ).replace("'", "''")
    return f"{'U&' * (len(escaped) != len(text.replace(chr(39), chr(39) * 2)))}'{escaped}'"


@dataclass(frozen=True, slots=True)
class _Filling:
    """What rows that are there get in a column."""

    default: str
    """As a column's default, which PostgreSQL keeps for all of them in its catalogue; empty where each
    row gets a value of its own."""
    expression: str
    """In SQL."""

    @classmethod
    def of(cls, column: Column, value: Value) -> Self:
        """Return the same value for all, or a random one for each."""
        default = "" if value is Generated.RANDOM else column.server_default_of(value)
        return cls(default, _literal(value))


@dataclass(frozen=True, slots=True)
class _Sets(Generic[Key]):
    """What becomes of constraints or indexes: each known by its columns."""

    added: list[Key]
    removed: list[Key]
    renamed: list[tuple[Key, Key]]

    @classmethod
    def of(cls, old: Mapping[Key, Key], new: Sequence[Key]) -> Self:
        """Compare those of `old`, by what they are once columns are renamed, with those of `new`."""
        return cls(
            [each for each in new if each not in old],
            [was for each, was in old.items() if each not in new],
            [(was, each) for each, was in old.items() if each in new and was != each],
        )


class _Change:
    """From one table to another, in the new names of its columns."""

    def __init__(self, old: Table, new: Table, renames: Mapping[str, str]) -> None:
        self.renames = renames
        self._fillings: dict[str, _Filling] = {}
        self.title = new.name
        self._old = old
        # The table gets its name at the end.
        self._new = replace(new, name=old.name)
        self._names = {new: old for old, new in renames.items()}
        self._table = json.dumps(old.name)
        self._alter = f"ALTER TABLE {quoted(old.name)}"
        columns = {renames.get(name, name): column for name, column in old.columns.items()}
        self.added = [each for name, each in new.columns.items() if name not in columns]
        self.dropped = [each for name, each in columns.items() if name not in new.columns]
        self.kept = [(columns[name], each) for name, each in new.columns.items() if name in columns]
        self.required = [now for was, now in self.kept if was.nullable and not now.nullable]
        uniques = {tuple(renames.get(each, each) for each in key): key for key in old.uniques}
        self.uniques = _Sets.of(uniques, new.uniques)
        indexes = {
            tuple(replace(each, name=renames.get(each.name, each.name)) for each in key): key
            for key in old.indexes
        }
        self.indexes = _Sets.of(indexes, new.indexes)
        self._checked = [each for each in self.added if each.kind.words]
        self._checked += [
            now for was, now in self.kept if now.kind.words not in ((), was.kind.words)
        ]

    @property
    def message(self) -> str:
        """What the revision does."""
        sets = [*self.uniques.added, *self.uniques.removed]
        parts = [each for key in [*self.indexes.added, *self.indexes.removed] for each in key]
        names = {each for key in sets for each in key} | {each.name for each in parts} - {"id"}
        others = [now.name for was, now in self.kept if replace(was, name=now.name) != now]
        names |= {each.name for each in (*self.added, *self.dropped)} | {
            *self.renames.values(),
            *others,
        }
        if len(names) != 1 or self.title != self._old.name:
            return f"change {self.title}"
        [name] = names
        if self.added:
            return f"add {name} to {self.title}"
        if self.dropped:
            return f"drop {name} from {self.title}"
        if self.renames and not (others or sets or parts):
            return f"rename {self._names[name]} to {name} in {self.title}"
        return f"change {name} of {self.title}"

    def refuse_what_cannot_be(self) -> None:
        """Raise MisuseError for names that change places, and values that become of no other type."""
        for old, new in self.renames.items():
            if old in self._new.columns or new in self._old.columns:
                raise MisuseError(
                    f"{old} of {self.title} is renamed to {new}, and one of both names is another "
                    "field before or after it: do it in two steps, each applied on its own."
                )
        for was, now in self.kept:
            if was.sqlalchemy != now.sqlalchemy and convert(was.kind, now.kind) is None:
                raise MisuseError(
                    f"{now.name} of {self.title} cannot become {now.kind}: no value of {was.kind} "
                    "is one. Drop it, and add it anew under another name."
                )

    def fill(self, given: Mapping[str, Value]) -> None:
        """Say what rows that are there get; raises MisuseError where that is to be said."""
        missing = []
        for column in [*self.added, *self.required]:
            value = given.get(column.name, column.default)
            if value is not None:
                self._fillings[column.name] = _Filling.of(column, value)
            elif not column.nullable:
                missing.append(column.name)
        if missing:
            raise MisuseError(
                f"What do the rows of {self.title} that are there get as {', '.join(missing)}? "
                f"Say it: {' '.join(f'--fill {name}=VALUE' for name in missing)}"
            )

    def fill_with_inventions(self) -> None:
        """Have something in columns whose values are gone; of an optional one, nulls will be told."""
        for column in self.added:
            kind = column.kind
            if column.default is not None:
                self._fillings[column.name] = _Filling.of(column, column.default)
            elif (
                (column.name,) in self._new.uniques
                and kind.name in _DISTINCT
                and not column.nullable
            ):
                self._fillings[column.name] = _Filling("", _DISTINCT[kind.name])
            elif not column.nullable:
                neutral = kind.words[0] if kind.words else _NEUTRAL[kind.name]
                self._fillings[column.name] = _Filling.of(column, neutral)

    def warnings(self) -> Iterator[str]:
        """Yield what cannot be safe, for the user."""
        for column in self.dropped:
            yield f"{column.name} is dropped from {self._old.name}, with its values."
        if self.renames or self.title != self._old.name:
            yield f"Code that knows the old names fails on {self.title} until it is replaced."
        for was, now in self.kept:
            conversion = convert(was.kind, now.kind) if was.sqlalchemy != now.sqlalchemy else None
            if conversion and conversion.warning:
                yield f"{now.name} is {conversion.warning}."
            if now.kind.words and (gone := set(was.kind.words) - set(now.kind.words)):
                yield (
                    f"{', '.join(sorted(gone))} of {now.name} may be in rows: they keep the revision "
                    "from being applied."
                )
        news = [*(each for each in self.added if not each.nullable), *self.required]
        if named := ", ".join(each.name for each in news if each.default is None):
            yield f"Code that gives no {named} cannot add to {self.title} until it is replaced."
        for columns in self.uniques.added:
            yield (
                f"{', '.join(columns)} of {self.title} is unique: rows with equal values keep the "
                "revision from being applied."
            )

    @property
    def _to_fill(self) -> list[Column]:
        """Columns whose rows are written, in batches."""
        found = [
            each
            for each in self.added
            if each.name in self._fillings and not self._fillings[each.name].default
        ]
        return found + [each for each in self.required if each.name in self._fillings]

    @property
    def _to_require(self) -> list[Column]:
        """Columns that are required once no row lacks a value."""
        return [
            each for each in self._to_fill if not each.nullable and each in self.added
        ] + self.required

    def _now(self, name: str) -> str:
        """Return the name that a column has until it is renamed."""
        return self._names.get(name, name)

    def _not_null(self, column: Column) -> str:
        """Return the name of a check that is there until the column is required."""
        return f"nn_{self._old.name}_{column.name}"[:LONGEST_NAME]

    def _nullability(self, column: Column) -> str:
        return (
            f"op.alter_column({self._table}, {json.dumps(self._now(column.name))}, "
            f"existing_type={column.sqlalchemy}, nullable={column.nullable})"
        )

    def statements(self) -> list[str]:
        """Return the lines of the function."""
        fills, aside = list(self._fills(self._to_fill)), list(self._aside())
        first = list(self._first(", if_not_exists=True" if fills or aside else ""))
        checks, last = list(self._not_valid_checks()), list(self._last())
        if not fills and not aside:
            return _in_transaction([*first, *last])
        # A check that is not valid yet is held against each update, so rows are filled before it is
        # there; and again, as others were added meanwhile.
        again = self._fills(each for each in self._to_fill if each in self.required)
        return [
            *_in_transaction([*first, *([] if fills else checks)]),
            *_in_none(fills),
            *_in_transaction(checks if fills else []),
            *_in_none([*again, *aside]),
            *_in_transaction(last),
        ]

    def _first(self, unless_there: str) -> Iterator[str]:
        """Yield what makes the others possible; with other parts behind it, it can be repeated."""
        outdated = [
            self._old.check_name(was.name)
            for was, now in self.kept
            if was.kind.words not in ((), now.kind.words)
        ]
        if_there = unless_there.replace("_not", "")
        for name in dict.fromkeys([*outdated, *self._checks]):
            yield f'op.drop_constraint({_of(name)}, {self._table}, type_="check"{if_there})'
        for was, now in self.kept:
            yield from self._alteration(was, now)
        for column in self.added:
            yield from self._addition(column, unless_there)

    @property
    def _checks(self) -> dict[str, str]:
        """Conditions by the names of checks, some of which are there until a column is required."""
        checks = {
            self._new.check_name(each.name): each.check_as(self._now(each.name))
            for each in self._checked
        }
        return checks | {
            self._not_null(each): f"{quoted(self._now(each.name))} IS NOT NULL"
            for each in self._to_require
        }

    def _not_valid_checks(self) -> Iterator[str]:
        for name, condition in self._checks.items():
            yield (
                f"op.create_check_constraint({_of(name)}, {self._table}, {_text(condition)}, "
                "postgresql_not_valid=True)"
            )

    def _alteration(self, was: Column, now: Column) -> Iterator[str]:
        alter = f"op.alter_column({self._table}, {json.dumps(was.name)}, "
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
                using = f", postgresql_using={_text(expression)}"
            if "datetime" in (was.kind.name, now.kind.name):
                yield _sql("SET LOCAL timezone = 'UTC'")
            yield f"{alter}existing_type={was.sqlalchemy}, type_={now.sqlalchemy}{using}, {existing}"
        if present != now.server_default:
            default = f"server_default={now.server_default}, "
            yield f"{alter}existing_type={now.sqlalchemy}, {default}{existing}"

    def _addition(self, column: Column, unless_there: str) -> Iterator[str]:
        filling = self._fillings.get(column.name)
        default, added = filling.default if filling else column.server_default, column
        if column in self._to_fill:
            default, added = "None", replace(column, nullable=True)
        yield f"op.add_column({self._table}, {added.line_with(default)}{unless_there})"
        if default != column.server_default:
            yield (
                f"op.alter_column({self._table}, {json.dumps(column.name)}, "
                f"existing_type={column.sqlalchemy}, server_default={column.server_default}, "
                f"existing_nullable={added.nullable})"
            )

    def _fills(self, columns: Iterable[Column]) -> Iterator[str]:
        for column in columns:
            words = {
                "table": quoted(self._old.name),
                "column": quoted(self._now(column.name)),
                "expression": self._fillings[column.name].expression,
                "batch": _BATCH,
            }
            lines = " ".join(_text(line.format_map(words)) for line in _FILLING)
            yield f"op.execute({lines})"

    def _aside(self) -> Iterator[str]:
        """Yield what else reads or writes many rows, in transactions of its own."""
        for check in self._checks:
            yield _sql(f"{self._alter} VALIDATE CONSTRAINT {check}")
        made = [
            (self._new.unique_name(key), [json.dumps(self._now(each)) for each in key], True)
            for key in self.uniques.added
        ]
        made += [
            (
                self._new.index_name(key),
                parts_of(
                    [replace(each, name=self._now(each.name)) for each in key],
                    "sa.literal_column",
                ),
                False,
            )
            for key in self.indexes.added
        ]
        for index, parts, is_unique in made:
            yield (
                f"op.create_index({_of(index)}, {self._table}, [{', '.join(parts)}], "
                f"unique={is_unique}, if_not_exists=True, postgresql_concurrently=True)"
            )
        for key in self.indexes.removed:
            yield (
                f"op.drop_index({_of(self._old.index_name(key))}, table_name={self._table}, "
                "if_exists=True, postgresql_concurrently=True)"
            )

    def _last(self) -> Iterator[str]:
        """Yield what is done once, in the transaction that notes the revision."""
        for column in self._to_require:
            yield self._nullability(column)
            check = _of(self._not_null(column))
            yield f'op.drop_constraint({check}, {self._table}, type_="check")'
        for was, now in self.kept:
            if now.nullable and not was.nullable:
                yield self._nullability(now)
        for key in self.uniques.removed:
            name = _of(self._old.unique_name(key))
            yield f'op.drop_constraint({name}, {self._table}, type_="unique")'
        for column in self.dropped:
            yield f"op.drop_column({self._table}, {json.dumps(column.name)})"
        yield from self._renamings()
        for key in self.uniques.added:
            name = self._new.unique_name(key)
            yield _sql(f"{self._alter} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}")
        if self.title != self._old.name:
            yield from self._table_rename(replace(self._new, name=self.title))

    def _renamings(self) -> Iterator[str]:
        """Yield the new names of columns, and of what is called by them."""
        for old, new in self.renames.items():
            yield _sql(f"{self._alter} RENAME COLUMN {quoted(old)} TO {quoted(new)}")
        constraints = [
            (self._old.check_name(was.name), self._new.check_name(now.name))
            for was, now in self.kept
            if was.name != now.name and was.kind.words == now.kind.words != ()
        ]
        constraints += [
            (self._old.unique_name(was), self._new.unique_name(now))
            for was, now in self.uniques.renamed
        ]
        for old, new in constraints:
            yield _sql(f"{self._alter} RENAME CONSTRAINT {old} TO {new}")
        for was_key, now_key in self.indexes.renamed:
            old, new = self._old.index_name(was_key), self._new.index_name(now_key)
            yield _sql(f"ALTER INDEX {old} RENAME TO {new}")

    def _table_rename(self, renamed: Table) -> Iterator[str]:
        yield f"op.rename_table({self._table}, {json.dumps(renamed.name)})"
        names = [(f"pk_{table.name}" for table in (self._new, renamed))]
        names += [(t.check_name(each.name) for t in (self._new, renamed)) for each in renamed.enums]
        names += [(t.unique_name(each) for t in (self._new, renamed)) for each in renamed.uniques]
        for old, new in names:
            alter = f"ALTER TABLE {quoted(renamed.name)}"
            yield _sql(f"{alter} RENAME CONSTRAINT {old} TO {new}")
        for each in renamed.indexes:
            old, new = self._new.index_name(each), renamed.index_name(each)
            yield _sql(f"ALTER INDEX {old} RENAME TO {new}")
        sequences = f"{self._old.name}_id_seq", f"{renamed.name}_id_seq"
        yield _sql("ALTER SEQUENCE {} RENAME TO {}".format(*sequences))
