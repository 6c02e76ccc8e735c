"""Parts: rows of a table of their own, which belong to a row of another one and have an order.

They are read with their owners, for a whole list by one statement, and written with one: what is left
out is deleted, what differs is changed, what is new is inserted, by at most one statement each.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar, cast

import asyncpg
from sqlalchemy import (
    JSON,
    BigInteger,
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

from quart_fleet.database._statement import Parameters, Row, Statement, columns_of
from quart_fleet.database._transaction import Transaction
from quart_fleet.database.refusals import find_refusal
from quart_fleet.errors import NotFoundError, ServiceError, ValidationFailedError

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
        found: dict[int, list[PartT]] = {owner: [] for owner in owners}
        for row in await self.fetch(transaction, owners):
            found[row[self.owner]].append(self._to_part(row))
        return {owner: tuple(parts) for owner, parts in found.items()}

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
        before = {row["id"]: row for row in stored}
        after = dict[int, Row]()
        new, changed = list[dict[str, object]](), list[dict[str, object]]()
        rows = [{**self._to_row(part), _POSITION: number} for number, part in enumerate(parts)]
        for number, (part, row) in enumerate(zip(parts, rows, strict=True)):
            if part.id is None:
                new.append(row)
                continue
            if part.id not in before:
                raise NotFoundError(self.resource)
            after[number] = before.pop(part.id)
            if any(after[number][name] != value for name, value in row.items()):
                changed.append({"id": part.id, **row})
        try:
            if before:
                gone = {"ids": list(before), self.owner: owner}
                await transaction.execute(self._statements.delete, gone)
            written = await self._put(transaction, self._statements.update, owner, changed)
            written += await self._put(transaction, self._statements.insert, owner, new)
        except asyncpg.PostgresError as error:
            refusal = self._refusal(error, rows)
            if refusal is None:
                raise
            raise refusal from error
        after |= {row[_POSITION]: row for row in written}
        return tuple(self._to_part(after[number]) for number in range(len(rows)))

    async def _put(
        self,
        transaction: Transaction,
        make: Callable[[tuple[str, ...]], Statement],
        owner: int,
        rows: Sequence[Parameters],
    ) -> list[Row]:
        """Write rows by one statement, if there are any, and return them as stored."""
        if not rows:
            return []
        arrays = self._statements.arrays_of(rows)
        return await transaction.fetch(make(tuple(arrays)), {**arrays, self.owner: owner})

    def _refusal(
        self, error: asyncpg.PostgresError, rows: Sequence[Parameters]
    ) -> ServiceError | None:
        """Return what a client is told: which part it is, the value tells that PostgreSQL names."""
        table = cast("Table", self.model.__table__)
        _, is_named, value = str(error.detail).partition(")=(")
        refusal: ServiceError | None = None
        for number, row in enumerate(rows):
            refusal = find_refusal(error, self.resource, table, row)
            if not isinstance(refusal, ValidationFailedError):
                return refusal
            errors = {
                f"{self.field}.{number}.{name}": reason
                for name, reason in refusal.errors.items()
                if not is_named or value.startswith(f"{row.get(name)})")
            }
            if errors:
                return ValidationFailedError(errors)
        return refusal


class PartStatements:
    """The statements of one table of parts; a write takes an array of values for each column."""

    def __init__(self, table: Table, owner: str) -> None:
        self._table = table
        self._columns = columns_of(table)
        self._is_of_owner = self._columns[owner] == bindparam(owner)
        self._owner = self._columns[owner]
        position = self._columns[_POSITION]
        ids = bindparam("ids", type_=ARRAY(BigInteger))
        owners = bindparam("owners", type_=ARRAY(BigInteger))
        self.find = Statement(
            select(table).where(self._owner == any_(owners)).order_by(self._owner, position)
        )
        self.delete = Statement(delete(table).where(self._is_of_owner, table.c.id == any_(ids)))
        self.insert = lru_cache(self._compile_insert)
        self.update = lru_cache(self._compile_update)

    def arrays_of(self, rows: Sequence[Parameters]) -> dict[str, list[object]]:
        """Return the arrays of values, each by the name of its column."""
        return {
            name: [
                json.dumps(row[name])
                if isinstance(self._columns[name].type, JSON) and row[name] is not None
                else row[name]
                for row in rows
            ]
            for name in rows[0]
        }

    def _compile_insert(self, names: tuple[str, ...]) -> Statement:
        given = self._given(names)
        values = select(
            bindparam(self._owner.name, type_=self._owner.type),
            *(self._value(given, name) for name in names),
        )
        columns = [self._owner, *(self._columns[name] for name in names)]
        made = insert(self._table).from_select(columns, values)
        return Statement(made.returning(*self._table.c))

    def _compile_update(self, names: tuple[str, ...]) -> Statement:
        given = self._given(names)
        changes = {self._columns[name]: self._value(given, name) for name in names if name != "id"}
        changed = update(self._table).where(
            self._is_of_owner, self._table.c.id == self._value(given, "id")
        )
        return Statement(changed.values(changes).returning(*self._table.c))

    def _given(self, names: Sequence[str]) -> TableValuedAlias:
        """Return the arrays as a table."""
        arrays = [bindparam(name, type_=ARRAY(_bound(self._columns[name]))) for name in names]
        return func.unnest(*arrays).table_valued(*names).render_derived(name="given")

    def _value(self, given: TableValuedAlias, name: str) -> ColumnElement[Any]:
        column = self._columns[name]
        value = given.c[name]
        return cast_to(value, column.type) if isinstance(column.type, JSON) else value


def _bound(column: Column[Any]) -> Any:
    """Return the type in which values are sent: PostgreSQL would cut a text to one with a width."""
    kind = column.type
    is_text = isinstance(kind, String) and not isinstance(kind, Enum)
    return Text() if is_text or isinstance(kind, JSON) else kind
