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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from types import MappingProxyType
from typing import Generic, Self, TypeVar

from quart_fleet.revisions import (
    AUTOCOMMIT_BLOCK,
    CONCURRENTLY,
    NOT_VALID,
    name_of_not_null_check,
    use_index,
    validate,
)
from scaffold.errors import MisuseError
from scaffold.generation.fields import Resource
from scaffold.generation.render import render
from scaffold.generation.tables import Column, Table, parts_of, quoted
from scaffold.language.description import Generated, Value
from scaffold.revisions.conversions import convert
from scaffold.revisions.operations import (
    alter_column,
    create_index,
    create_reference,
    create_search,
    create_table,
    drop_table,
    drop_trigrams,
    execute,
    fill_rows,
    literal,
    make_trigrams,
    named,
)

Key = TypeVar("Key")

_LOCK_TIMEOUT = "500ms"
_TOLD = "generated, and told what waits or breaks meanwhile"
_REASONS = {"mixed": "a run that was interrupted goes on behind what it has committed"}
_MANY_STATEMENTS = 50
"""Of one function, of which ruff takes no more."""
_NEUTRAL: Mapping[str, Value] = {
    **dict.fromkeys(("str", "text", "email", "url"), ""),
    **dict.fromkeys(("int", "bigint", "float"), 0),
    "decimal": Decimal(0),
    "json": "{}",
    "bool": False,
    "date": date(1970, 1, 1),
    "time": time(),
    "datetime": datetime(1970, 1, 1, tzinfo=UTC),
    "duration": timedelta(),
    "uuid": Generated.RANDOM,
    "ref": 0,
}
"""What rows get when a required column comes back whose values were dropped."""
_DISTINCT = {
    **dict.fromkeys(("str", "text", "email", "url"), "id::text"),
    **dict.fromkeys(("int", "bigint", "float", "decimal", "ref"), "id"),
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
    fill: Mapping[str, Value] | None = MappingProxyType({}),
    renames: Mapping[str, str] | None = None,
) -> Revision | None:
    """Return the revision from one description to another; None where the table stays as it is.

    Args:
        old: what the database has; None creates the table.
        new: what it gets; None drops the table.
        parent: the id of the revision that it follows.
        fill: what rows that are there get in a new or newly required field, by its name; None makes
            it up, for a table without rows.
        renames: old names of fields, and new ones.

    Raises MisuseError for what cannot be written, as a required field without `fill`.
    """
    before = {} if old is None else Table.of_each(old)
    after = {} if new is None else Table.of_each(new)
    warnings, phase, told = list[str](), "expand", set[str]()
    if before and after:
        change = _Changes(before, after, renames or {})
        change.refuse_what_cannot_be()
        if fill is None:
            change.fill_with_inventions()
        else:
            change.fill(fill)
        back = change.reverse()
        upgrade, downgrade = change.statements(), back.statements()
        message, warnings = change.message, list(change.warnings())
        phase = "contract" if change.only_takes_away else "expand"
        told = {*change.found(phase)}
    elif after:
        upgrade, downgrade = _create(after.values()), _drop(after.values())
        message = f"create {after[''].name}"
    elif before:
        upgrade, downgrade = [_WAIT_BRIEFLY, *_drop(before.values())], _create(before.values())
        message, phase = f"drop {before[''].name}", "contract"
        warnings = [f"{each.name} is dropped, with its rows." for each in before.values()]
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
        "phase": phase,
        "accepted": [(rule, _REASONS.get(rule, _TOLD)) for rule in sorted(told)],
        "upgrade": upgrade,
        "upgrade_ignores": many * (len(upgrade) > _MANY_STATEMENTS),
        "downgrade": downgrade,
        "downgrade_ignores": many * (len(downgrade) > _MANY_STATEMENTS),
    }
    name = f"{identity}_{message.replace(' ', '_')}.py"
    text = render("models/revision.py.jinja", {"revision": words})
    return Revision(identity, name, text, tuple(warnings))


def _in_transaction(lines: list[str]) -> list[str]:
    return [_WAIT_BRIEFLY, *lines] if lines else []


def _in_none(lines: list[str]) -> list[str]:
    within = [f"    {each}" for each in lines]
    return [AUTOCOMMIT_BLOCK, *within] if lines else []


def _create(tables: Iterable[Table]) -> list[str]:
    return [line for table in tables for line in create_table(table)]


def _drop(tables: Iterable[Table]) -> list[str]:
    return [line for table in reversed([*tables]) for line in drop_table(table)]


_WAIT_BRIEFLY = execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")


@dataclass(frozen=True, slots=True)
class _Filling:
    """What rows that are there get in a column."""

    value: Value | None
    """For all, which PostgreSQL keeps in its catalogue; None where each row gets one of its own."""
    expression: str
    """In SQL."""

    @classmethod
    def of(cls, value: Value) -> Self:
        """Return the same value for all, or a random one for each."""
        return cls(None if value is Generated.RANDOM else value, literal(value))


@dataclass(frozen=True, slots=True)
class _Sets(Generic[Key]):
    """What becomes of constraints or indexes: each known by its columns."""

    added: list[Key]
    removed: list[Key]
    kept: list[tuple[Key, Key]]

    @classmethod
    def of(cls, old: Mapping[Key, Key], new: Mapping[Key, Key]) -> Self:
        """Compare those of `old`, by what they are once columns are renamed, with those of `new`."""
        return cls(
            [now for each, now in new.items() if each not in old],
            [was for each, was in old.items() if each not in new],
            [(was, new[each]) for each, was in old.items() if each in new],
        )


class _Changes:
    """From the tables of one description to those of another."""

    def __init__(
        self, old: Mapping[str, Table], new: Mapping[str, Table], renames: Mapping[str, str]
    ) -> None:
        self._renames = renames
        self._old = old
        self._new = new
        names = {name: renames.get(name, name) for name in old}
        moved = {was: now for was, now in names.items() if was != now and now in new}
        own = {was: now for was, now in renames.items() if was not in moved}
        self._changes = [
            _Change(table, new[names[name]], own if name == "" else _pairs_renamed(table, new[now]))
            for name, table in old.items()
            for now in [names[name]]
            if now in new
        ]
        self._added = {name: each for name, each in new.items() if name not in names.values()}
        self._dropped = {name: each for name, each in old.items() if names[name] not in new}

    def reverse(self) -> Self:
        """Return the way back, on which what is lost is made up."""
        back = type(self)(self._new, self._old, {now: was for was, now in self._renames.items()})
        back.fill_with_inventions()
        return back

    def refuse_what_cannot_be(self) -> None:
        """Raise MisuseError for what none of the tables can become."""
        for each in self._changes:
            each.refuse_what_cannot_be()

    def fill(self, given: Mapping[str, Value]) -> None:
        """Say what rows that are there get; raises MisuseError where that is to be said."""
        for each in self._changes:
            each.fill(given)

    def fill_with_inventions(self) -> None:
        """Make up what rows that are there get."""
        for each in self._changes:
            each.fill_with_inventions()

    @property
    def message(self) -> str:
        """What the revision does."""
        own, table = self._changes[0], self._new[""].name
        changed = [each for each in self._changes if not each.is_empty]
        fields = [*self._added, *self._dropped]
        if not fields and changed in ([], [own]):
            return own.message
        if changed or len(fields) != 1:
            return f"change {table}"
        return f"add {fields[0]} to {table}" if self._added else f"drop {fields[0]} from {table}"

    @property
    def only_takes_away(self) -> bool:
        """Whether code that runs may need what goes, and new code needs nothing of it."""
        adds = bool(self._added) or any(each.added for each in self._changes)
        takes = bool(self._dropped) or any(
            each.dropped or each.required or each.without_default for each in self._changes
        )
        return takes and not adds

    def warnings(self) -> Iterator[str]:
        """Yield what cannot be safe, for the user."""
        for table in self._dropped.values():
            yield f"{table.name} is dropped, with its rows."
        for each in self._changes:
            yield from each.warnings()

    def found(self, phase: str) -> Iterator[str]:
        """Yield the rules of `db_manager lint` that a revision of this phase does not keep."""
        if len(statements := self.statements()) > 1 and AUTOCOMMIT_BLOCK in statements:
            others = [each for each in statements if each != _WAIT_BRIEFLY and each[:1] != " "]
            if others != [AUTOCOMMIT_BLOCK]:
                yield "mixed"
        if self._dropped and phase == "expand":
            yield "drop-object"
        for each in self._changes:
            yield from each.found(phase)

    def statements(self) -> list[str]:
        """Return the lines of the function."""
        fills = [line for each in self._changes for line in each.fills()]
        aside = [line for each in self._changes for line in each.aside()]
        unless_there = ", if_not_exists=True" if fills or aside else ""
        first = [line for each in self._changes for line in each.first(unless_there)]
        checks = [line for each in self._changes for line in each.checks()]
        last = [
            *_drop(self._dropped.values()),
            *(line for each in self._changes for line in each.last()),
            *_create(self._added.values()),
        ]
        if not fills and not aside:
            return _in_transaction([*first, *last])
        # A check that is not valid yet is held against each update: rows are filled before it.
        return [
            *_in_transaction([*first, *([] if fills else checks)]),
            *_in_none(fills),
            *_in_transaction(checks if fills else []),
            *_in_none(aside),
            *_in_transaction(last),
        ]


def _pairs_renamed(old: Table, new: Table) -> dict[str, str]:
    """Return the new names of the columns of a table of pairs."""
    return {was: now for was, now in zip(old.key, new.key, strict=True) if was != now}


class _Change:
    """From one table to another, in the new names of its columns."""

    def __init__(self, old: Table, new: Table, renames: Mapping[str, str]) -> None:
        self.renames = renames
        self._fillings: dict[str, _Filling] = {}
        self._old = old
        self._new = new
        self._names = {new: old for old, new in renames.items()}
        self._table = json.dumps(old.name)
        self._alter = f"ALTER TABLE {quoted(old.name)}"
        columns = {renames.get(name, name): column for name, column in old.columns.items()}
        self.added = [each for name, each in new.columns.items() if name not in columns]
        self.dropped = [each for name, each in columns.items() if name not in new.columns]
        self.kept = [(columns[name], each) for name, each in new.columns.items() if name in columns]
        self.required = [now for was, now in self.kept if was.nullable and not now.nullable]
        self.without_default = [
            now
            for was, now in self.kept
            if not (was.nullable or now.nullable)
            and was.server_default != "None" == now.server_default
        ]
        uniques = {tuple(renames.get(each, each) for each in key): key for key in old.uniques}
        self.uniques = _Sets.of(uniques, {each: each for each in new.uniques})
        indexes = {
            tuple(replace(each, name=renames.get(each.name, each.name)) for each in key): key
            for key in old.indexes
        }
        self.indexes = _Sets.of(indexes, {each: each for each in new.indexes})
        references = {
            replace(each, column=renames.get(each.column, each.column), table=""): each
            for each in old.references
        }
        self.references = _Sets.of(
            references, {replace(each, table=""): each for each in new.references}
        )
        was_searched = [renames.get(each, each) for each in old.searched]
        self.searched = {*was_searched} ^ {*new.searched}
        """Columns that are searched before or after, and not both."""
        self._is_sought_anew = was_searched != [*new.searched]
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
        names |= {each.name for each in (*self.added, *self.dropped)}
        names |= {each.column for each in (*self.references.added, *self.references.removed)}
        names |= {*self.renames.values(), *others, *self.searched}
        if len(names) != 1 or self._new.name != self._old.name:
            return f"change {self._new.name}"
        [name] = names
        if self.added:
            return f"add {name} to {self._new.name}"
        if self.dropped:
            return f"drop {name} from {self._new.name}"
        if self.renames and not (others or sets or parts):
            return f"rename {self._names[name]} to {name} in {self._new.name}"
        return f"change {name} of {self._new.name}"

    def refuse_what_cannot_be(self) -> None:
        """Raise MisuseError for names that change places, and values that become of no other type."""
        for old, new in self.renames.items():
            if old not in self._old.columns or new not in self._new.columns:
                raise MisuseError(
                    f"{old} of {self._new.name} cannot be renamed to {new}: it has {', '.join(self._old.columns)}."
                )
            if old in self._new.columns or new in self._old.columns:
                raise MisuseError(
                    f"{old} of {self._new.name} is renamed to {new}, and one of both names is another "
                    "field before or after it: do it in two steps, each applied on its own."
                )
        for was, now in self.kept:
            if was.sqlalchemy != now.sqlalchemy and convert(was.kind, now.kind) is None:
                raise MisuseError(
                    f"{now.name} of {self._new.name} cannot become {now.kind}: no value of {was.kind} "
                    "is one. Drop it, and add it anew under another name."
                )

    def fill(self, given: Mapping[str, Value]) -> None:
        """Say what rows that are there get; raises MisuseError where that is to be said."""
        missing = []
        for column in [*self.added, *self.required]:
            value = given.get(column.name, column.default)
            if value is not None:
                self._fillings[column.name] = _Filling.of(value)
            elif not column.nullable:
                missing.append(column.name)
        if missing:
            hints = [
                f"\nOr, if {was.name} is called {now.name} from now on: {now.name}:…:was({was.name})"
                for was, now in self._perhaps_renamed
                if now.name in missing
            ]
            raise MisuseError(
                f"What do the rows of {self._new.name} that are there get as {', '.join(missing)}? "
                f"Say it: {' '.join(f'--fill {name}=VALUE' for name in missing)}{''.join(hints)}"
            )

    def fill_with_inventions(self) -> None:
        """Have something in columns whose values are gone; of an optional one, nulls will be told."""
        firsts = {
            each.column: f"(SELECT min(id) FROM {quoted(each.table)})"  # noqa: S608 - a name
            for each in self._new.references
        }
        for column in self.added:
            kind = column.kind
            if column.default is not None:
                self._fillings[column.name] = _Filling.of(column.default)
            elif column.name in firsts and not column.nullable:
                self._fillings[column.name] = _Filling(None, firsts[column.name])
            elif (
                (column.name,) in self._new.uniques
                and kind.name in _DISTINCT
                and not column.nullable
            ):
                self._fillings[column.name] = _Filling(None, _DISTINCT[kind.name])
            elif not column.nullable:
                neutral = kind.words[0] if kind.words else _NEUTRAL[kind.name]
                self._fillings[column.name] = _Filling.of(neutral)

    def losses(self) -> Iterator[str]:
        """Yield which values go, and which mean something else from now on."""
        for column in self.dropped:
            yield f"{column.name} is dropped from {self._old.name}, with its values."
        for was, now in self._perhaps_renamed:
            yield (
                f"If {was.name} is called {now.name} from now on, take this back (undo), and say so: "
                f"{now.name}:…:was({was.name})."
            )
        for removed, added in product(self.references.removed, self.references.added):
            if self._now(added.column) == removed.column and added.target != removed.target:
                yield (
                    f"The ids in {added.column} of {self._new.name} are kept, and are of "
                    f"{added.table} from now on: one that it lacks keeps the revision from being "
                    "applied."
                )

    def warnings(self) -> Iterator[str]:
        """Yield what cannot be safe, for the user."""
        yield from self.losses()
        if self.renames or self._new.name != self._old.name:
            yield f"Code that knows the old names fails on {self._new.name} until it is replaced."
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
        news += self.without_default
        if named := ", ".join(each.name for each in news if each.default is None):
            yield f"Code that gives no {named} cannot add to {self._new.name} until it is replaced."
        filled = {each.name for each in self._to_fill}
        differing = {
            each.name
            for each in self.added
            if each.default is Generated.RANDOM
            or (each.nullable and each.default is None and each.name not in filled)
        }
        for columns in self.uniques.added:
            if not differing.isdisjoint(columns):
                continue  # of rows that are there each has a value of its own, or none
            yield (
                f"{', '.join(columns)} of {self._new.name} is unique: rows with equal values keep the "
                "revision from being applied."
            )

    def found(self, phase: str) -> Iterator[str]:
        """Yield the rules of `db_manager lint` that the change does not keep, of which users are told."""
        if self.renames or self._new.name != self._old.name:
            yield "renames"
        if any(each.default is None and not each.nullable for each in self.added):
            yield "required-column"
        if phase == "expand" and (
            self.required
            or self.without_default
            or any(each.default is None for each in self._to_require)
        ):
            yield "narrows"
        if self.dropped and phase == "expand":
            yield "drop-column"
        for was, now in self.kept:
            conversion = convert(was.kind, now.kind) if was.sqlalchemy != now.sqlalchemy else None
            if conversion and conversion.warning:
                yield "rewrites"
        if self._is_sought_anew and self._old.searched:
            yield "locks-index"
        if self._old.searched and not self._new.searched and phase == "expand":
            yield "drop-object"

    @property
    def _perhaps_renamed(self) -> list[tuple[Column, Column]]:
        """Columns that are dropped where one of the same type is added."""
        pairs = product(self.dropped, self.added)
        return [(was, now) for was, now in pairs if was.sqlalchemy == now.sqlalchemy]

    @property
    def _to_fill(self) -> list[Column]:
        """Columns whose rows are written, in batches."""
        found = [
            each
            for each in self.added
            if each.name in self._fillings and self._fillings[each.name].value is None
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
        return name_of_not_null_check(self._old.name, column.name)

    def _nullability(self, column: Column) -> str:
        return (
            f"op.alter_column({self._table}, {json.dumps(self._now(column.name))}, "
            f"existing_type={column.sqlalchemy}, nullable={column.nullable})"
        )

    @property
    def is_empty(self) -> bool:
        """Whether the table stays as it is."""
        return not [*self.fills(), *self.first(""), *self.checks(), *self.aside(), *self.last()]

    def fills(self) -> list[str]:
        """Return what fills rows, in batches; it can be repeated, as all before `last`."""
        return [self._fill(each) for each in self._to_fill]

    def checks(self) -> list[str]:
        """Return the conditions that do not look at the rows which are there yet."""
        conditions = [
            f"op.create_check_constraint({named(name)}, {self._table}, {condition!a}{NOT_VALID})"
            for name, condition in self._checks.items()
        ]
        return [*conditions, *self._new_references()]

    def _fill(self, column: Column) -> str:
        expression = self._fillings[column.name].expression
        return fill_rows(self._old.name, self._now(column.name), expression)

    def first(self, unless_there: str) -> Iterator[str]:
        """Yield what makes the others possible; with other parts behind it, it can be repeated."""
        outdated = [
            self._old.check_name(was.name)
            for was, now in self.kept
            if was.kind.words not in ((), now.kind.words)
        ]
        if_there = unless_there.replace("_not", "")
        for name in dict.fromkeys([*outdated, *self._checks]):
            yield f'op.drop_constraint({named(name)}, {self._table}, type_="check"{if_there})'
        kept = {was.name for was, _ in self.kept}
        replaced = set(map(self._new.reference_name, self.references.added))
        for reference in self.references.removed:
            name = self._old.reference_name(reference)
            if reference.column in kept and name not in replaced:
                kind = f'type_="foreignkey"{if_there}'
                yield f"op.drop_constraint({named(name)}, {self._table}, {kind})"
        if self._is_sought_anew and self._old.searched:
            name = named(self._old.search_name)
            yield f"op.drop_index({name}, table_name={self._table}, if_exists=True)"
        if self._new.searched and not self._old.searched:
            yield make_trigrams(self._new.name)
        for was, now in self.kept:
            yield from alter_column(self._old.name, was, now)
        for column in self.added:
            filling = self._fillings.get(column.name)
            there = column if filling is None else replace(column, default=filling.value)
            if column in self._to_fill:
                there = replace(there, nullable=True)
            yield f"op.add_column({self._table}, {there.line}{unless_there})"
            yield from alter_column(self._old.name, there, replace(there, default=column.default))

    def _new_references(self) -> Iterator[str]:
        """Yield the creation of foreign keys, each in place of one of its name."""
        for each in self.references.added:
            name = self._new.reference_name(each)
            is_own = each.table == self._new.name
            there = replace(
                each,
                column=self._now(each.column),
                table=self._old.name if is_own else each.table,
            )
            yield (
                f'op.drop_constraint({named(name)}, {self._table}, type_="foreignkey", '
                "if_exists=True)"
            )
            yield create_reference(name, self._old.name, there)

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

    def aside(self) -> Iterator[str]:
        """Yield what else reads or writes many rows, in transactions of its own."""
        # Others were added meanwhile.
        yield from (self._fill(each) for each in self._to_fill if each in self.required)
        references = map(self._new.reference_name, self.references.added)
        for constraint in (*self._checks, *references):
            yield execute(validate(quoted(self._old.name), constraint))
        options = f", if_not_exists=True{CONCURRENTLY}"
        for columns in self.uniques.added:
            parts = [json.dumps(self._now(each)) for each in columns]
            name = self._new.unique_name(columns)
            yield create_index(self._old.name, name, parts, unique=True, options=options)
        for key in self.indexes.added:
            now = [replace(each, name=self._now(each.name)) for each in key]
            name, parts = self._new.index_name(key), parts_of(now, "sa.literal_column")
            yield create_index(self._old.name, name, parts, options=options)
        if self._is_sought_anew and self._new.searched:
            sought = [*map(self._now, self._new.searched)]
            yield create_search(self._old, sought, options)
        for key in self.indexes.removed:
            yield (
                f"op.drop_index({named(self._old.index_name(key))}, table_name={self._table}, "
                f"if_exists=True{CONCURRENTLY})"
            )

    def last(self) -> Iterator[str]:
        """Yield what is done once, in the transaction that notes the revision."""
        for column in self._to_require:
            yield self._nullability(column)
            check = named(self._not_null(column))
            yield f'op.drop_constraint({check}, {self._table}, type_="check")'
        for was, now in self.kept:
            if now.nullable and not was.nullable:
                yield self._nullability(now)
        for key in self.uniques.removed:
            name = named(self._old.unique_name(key))
            yield f'op.drop_constraint({name}, {self._table}, type_="unique")'
        for column in self.dropped:
            yield f"op.drop_column({self._table}, {json.dumps(column.name)})"
        yield from self._renamings()
        for key in self.uniques.added:
            name = self._new.unique_name(key)
            relation = quoted(self._old.name)
            yield execute(use_index(relation, name, deferrable=self._new.deferrable))
        if self._new.name != self._old.name and self._new.is_own:
            sequence = f"ALTER SEQUENCE {self._old.name}_id_seq"
            yield execute(f"{sequence} RENAME TO {self._new.name}_id_seq")
        if self._new.name != self._old.name:
            yield f"op.rename_table({self._table}, {json.dumps(self._new.name)})"
        if self._old.searched and not self._new.searched:
            yield drop_trigrams(self._old.name)

    def _renamings(self) -> Iterator[str]:
        """Yield the new names of columns and of the table, and of what is called by them."""
        old, new = self._old, self._new
        for was, now in self.renames.items():
            yield execute(f"{self._alter} RENAME COLUMN {quoted(was)} TO {quoted(now)}")
        constraints = [
            (f"pk_{old.name}", f"pk_{new.name}"),
            *(
                (old.check_name(was.name), new.check_name(now.name))
                for was, now in self.kept
                if was.kind.words == now.kind.words != ()
            ),
            *((old.unique_name(was), new.unique_name(now)) for was, now in self.uniques.kept),
            *(
                (old.reference_name(was), new.reference_name(now))
                for was, now in self.references.kept
            ),
        ]
        indexes = [(old.index_name(was), new.index_name(now)) for was, now in self.indexes.kept]
        indexes += [(old.search_name, new.search_name)] * bool(new.searched)
        for was, now in constraints:
            if was != now:
                yield execute(f"{self._alter} RENAME CONSTRAINT {was} TO {now}")
        for was, now in indexes:
            if was != now:
                yield execute(f"ALTER INDEX {was} RENAME TO {now}")
