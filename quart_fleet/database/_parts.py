"""Parts: rows of a table of their own, which belong to a row of another one and have an order.

They are read with their owners, for a whole list by one statement, and written with one: what is left
out is deleted, what differs is changed, what is new is inserted, by at most one statement each.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import asyncpg
from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Enum,
    String,
    Table,
    TableValuedAlias,
    Text,
    any_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase

from quart_fleet.database._pairs import Pairs
from quart_fleet.database._references import Reference, references_of
from quart_fleet.database._statement import Parameters, Row, Statement, columns_of
from quart_fleet.database._transaction import Transaction
from quart_fleet.database.refusals import find_refusal_among
from quart_fleet.errors import NotFoundError, ValidationFailedError

PartT = TypeVar("PartT")
ModelT = TypeVar("ModelT", bound=DeclarativeBase)

_POSITION = "position"


class SQLAlchemyParts(ABC, Generic[PartT, ModelT]):
    """The parts of one table, mapped explicitly in both directions; a repository names it in `parts`.

    A derived class names its model, what a message calls one part, what the owner calls them all,
    and the column that holds the owner's id. The table has a column `position` besides, which
    begins at 0.
    """

    model: type[ModelT]
    resource: ClassVar[str]
    field: ClassVar[str]
    owner: ClassVar[str]
    pairs: ClassVar[tuple[Pairs, ...]] = ()
    """What is read and written with each part."""
    _statements: ClassVar["PartStatements"]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._statements = PartStatements(cast("Table", cls.model.__table__), cls.owner)

    @abstractmethod
    def _to_part(self, row: Row) -> PartT:
        """Make the part of a whole row."""

    @abstractmethod
    def _to_row(self, part: PartT) -> dict[str, object]:
        """Return values by column, without the id, the owner's and the position."""

    async def fetch(self, transaction: Transaction, owners: Sequence[int]) -> list[Row]:
        """Return the rows of some owners' parts, in their order, by one statement."""
        return await transaction.fetch(self._statements.find, {"owners": owners})

    async def read(
        self, transaction: Transaction, owners: Sequence[int]
    ) -> dict[int, tuple[PartT, ...]]:
        """Return the parts of some owners, by the owner's id."""
        rows = await self.fetch(transaction, owners)
        parts = [self._to_part(row) for row in rows]
        ids = [row["id"] for row in rows] if self.pairs else []
        for pairs in self.pairs if ids else ():
            paired = await pairs.read(transaction, ids)
            for part, part_id in zip(parts, ids, strict=True):
                setattr(part, pairs.field, paired[part_id])
        found: dict[int, list[PartT]] = {owner: [] for owner in owners}
        for row, part in zip(rows, parts, strict=True):
            found[row[self.owner]].append(part)
        return {owner: tuple(each) for owner, each in found.items()}

    def references(self, parts: Sequence[Any]) -> Iterator[Reference]:
        """Yield what the parts of an owner refer to, each by its place."""
        table = cast("Table", self.model.__table__)
        for number, part in enumerate(parts):
            prefix = f"{self.field}.{number}."
            yield from references_of(table, self._to_row(part), prefix)
            for pairs in self.pairs:
                yield from pairs.references(getattr(part, pairs.field), prefix)

    async def write(
        self,
        transaction: Transaction,
        owner: int,
        parts: Sequence[Any],
        stored: Iterable[Row],
    ) -> tuple[PartT, ...]:
        """Store the parts of an owner in place of those that it has, and return them as stored.

        Raises NotFoundError for an id that none of them has, and refusals that name the part.

        Args:
            transaction: in which the owner's row is locked.
            owner: its id.
            parts: one with an id is one of `stored`, another one is new.
            stored: the rows of the parts that it has.
        """
        rows = await self._write_rows(transaction, owner, parts, stored)
        made = tuple(map(self._to_part, rows))
        ids = [row["id"] for row in rows]
        for pairs in self.pairs if ids else ():
            await self._write_pairs(transaction, pairs, parts, made, ids)
        return made

    async def _write_rows(
        self,
        transaction: Transaction,
        owner: int,
        parts: Sequence[Any],
        stored: Iterable[Row],
    ) -> list[Row]:
        """Store the rows alone, and return them in the order of the parts."""
        before = {row["id"]: row for row in stored}
        after = dict[int, Row]()
        new, changed = list[int](), list[int]()
        rows = [{**self._to_row(part), _POSITION: number} for number, part in enumerate(parts)]
        for number, part in enumerate(parts):
            if part.id is None:
                new.append(number)
                continue
            if part.id not in before:
                raise NotFoundError(self.resource)
            after[number] = before.pop(part.id)
            if any(after[number][name] != value for name, value in rows[number].items()):
                changed.append(number)
        written: list[Row] = []
        of_owner: dict[str, object] = {self.owner: owner}
        try:
            if before:
                ids: dict[str, object] = {"ids": list(before)}
                await transaction.execute(self._statements.delete, of_owner | ids)
            if changed:
                ids = {"ids": [parts[number].id for number in changed]}
                statement, arrays = self._statements.update([rows[number] for number in changed])
                written += await transaction.fetch(statement, of_owner | ids | arrays)
            if new:
                statement, arrays = self._statements.insert([rows[number] for number in new])
                written += await transaction.fetch(statement, of_owner | arrays)
        except asyncpg.PostgresError as error:
            refusal = find_refusal_among(
                error, self.resource, cast("Table", self.model.__table__), rows, self.field
            )
            if refusal is None:
                raise
            raise refusal from error
        after |= {row[_POSITION]: row for row in written}
        return [after[number] for number in range(len(rows))]

    async def _write_pairs(
        self,
        transaction: Transaction,
        pairs: Pairs,
        parts: Sequence[Any],
        made: Sequence[PartT],
        ids: Sequence[int],
    ) -> None:
        """Store the pairs of parts, and put them into what was made of their rows."""
        wanted = {
            part_id: getattr(part, pairs.field) for part_id, part in zip(ids, parts, strict=True)
        }
        known = [part.id for part in parts if part.id is not None]
        stored = await pairs.fetch(transaction, known) if known else []
        try:
            written = await pairs.write_each(transaction, wanted, stored)
        except asyncpg.ForeignKeyViolationError as error:
            named = re.search(r"\)=\((\d+)\)", error.detail or "")
            errors = {
                f"{self.field}.{number}.{pairs.field}": pairs.missing
                for number, part_id in enumerate(ids)
                if named is None or int(named[1]) in wanted[part_id]
            }
            raise ValidationFailedError(errors) from error
        for part, part_id in zip(made, ids, strict=True):
            setattr(part, pairs.field, written[part_id])


class PartStatements:
    """The statements of one table of parts; a write takes an array of values for each column."""

    def __init__(self, table: Table, owner: str) -> None:
        self._table = table
        self._columns = columns_of(table)
        self._owner = self._columns[owner]
        self._is_of_owner = self._owner == bindparam(owner)
        self._ids = bindparam("ids", type_=ARRAY(BigInteger))
        self._inserts = dict[tuple[str, ...], Statement]()
        self._updates = dict[tuple[str, ...], Statement]()
        position = self._columns[_POSITION]
        owners = bindparam("owners", type_=ARRAY(BigInteger))
        self.find = Statement(
            select(table).where(self._owner == any_(owners)).order_by(self._owner, position)
        )
        self.delete = Statement(
            delete(table).where(self._is_of_owner, table.c.id == any_(self._ids))
        )

    def insert(self, rows: Sequence[Parameters]) -> tuple[Statement, dict[str, object]]:
        """Return what inserts rows and returns them whole, compiled when it is first asked for."""
        names = tuple(rows[0])
        if names not in self._inserts:
            given = func.unnest(*self._arrays(names)).table_valued(*names)
            values = self._values(given.render_derived(name="given"), names)
            owner = bindparam(self._owner.name, type_=self._owner.type)
            made = insert(self._table).from_select(
                [self._owner, *values], select(owner, *values.values())
            )
            self._inserts[names] = Statement(made.returning(*self._table.c))
        return self._inserts[names], self._parameters(rows)

    def update(self, rows: Sequence[Parameters]) -> tuple[Statement, dict[str, object]]:
        """Return what updates rows and returns them whole; it takes their `ids` besides."""
        names = tuple(rows[0])
        if names not in self._updates:
            arrays = self._arrays(names)
            given = func.unnest(self._ids, *arrays).table_valued("id", *names)
            given = given.render_derived(name="given")
            made = update(self._table).where(self._is_of_owner, self._table.c.id == given.c.id)
            made = made.values(self._values(given, names))
            self._updates[names] = Statement(made.returning(*self._table.c))
        return self._updates[names], self._parameters(rows)

    def _arrays(self, names: Sequence[str]) -> list[BindParameter[Any]]:
        """Return a parameter for each column; PostgreSQL would cut a text to the column's width."""
        kinds = {name: self._columns[name].type for name in names}
        return [
            bindparam(
                name,
                type_=ARRAY(
                    Text()
                    if isinstance(kind, String | JSON) and not isinstance(kind, Enum)
                    else kind
                ),
            )
            for name, kind in kinds.items()
        ]

    def _values(
        self, given: TableValuedAlias, names: Sequence[str]
    ) -> dict[Column[Any], ColumnElement[Any]]:
        """Return what the arrays hold, by the column that it is for."""
        columns = [self._columns[name] for name in names]
        return {
            column: cast_to(given.c[column.name], column.type)
            if isinstance(column.type, JSON)
            else given.c[column.name]
            for column in columns
        }

    def _parameters(self, rows: Sequence[Parameters]) -> dict[str, object]:
        """Return the values of each column, by its name; an array of JSON is one of texts."""
        return {
            name: [
                json.dumps(row[name])
                if isinstance(self._columns[name].type, JSON) and row[name] is not None
                else row[name]
                for row in rows
            ]
            for name in rows[0]
        }
