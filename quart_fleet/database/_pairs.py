"""Pairs: the rows of other tables that a row is connected with, by their ids."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import asyncpg
from sqlalchemy import Table, and_, any_, bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY

from quart_fleet.database._references import Reference, targets_of
from quart_fleet.database._statement import Parameters, Row, Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import ValidationFailedError, no_such

_OWNERS, _IDS = "owners", "ids"


class Pairs:
    """Ids that a repository reads and writes with its entities: `Pairs("tag_ids", product_tags)`.

    Args:
        field: what the entity calls them, a tuple in the order of the ids.
        table: of two columns, which are its primary key: the owner's first.
    """

    def __init__(self, field: str, table: Table) -> None:
        self.field = field
        owner, other = table.primary_key.columns
        self._owner, self._other = owner.name, other.name
        self.missing = no_such(other.name)
        """What is said of an id of nothing."""
        self._targets = targets_of(other)
        owners = bindparam(_OWNERS, type_=ARRAY(owner.type))
        ids = bindparam(_IDS, type_=ARRAY(other.type))
        given = func.unnest(owners, ids).table_valued(_OWNERS, _IDS).render_derived(name="given")
        self._find = Statement(
            select(owner, other).where(owner == any_(owners)).order_by(owner, other)
        )
        self._insert = Statement(
            insert(table).from_select([owner, other], select(given.c[_OWNERS], given.c[_IDS]))
        )
        is_given = and_(owner == given.c[_OWNERS], other == given.c[_IDS])
        self._delete = Statement(delete(table).where(is_given))

    async def fetch(self, transaction: Transaction, owners: Sequence[int]) -> list[Row]:
        """Return the pairs of some owners by one statement."""
        return await transaction.fetch(self._find, {_OWNERS: owners})

    async def read(
        self, transaction: Transaction, owners: Sequence[int]
    ) -> dict[int, tuple[int, ...]]:
        """Return the ids that some owners are connected with, by the owner's id."""
        found: dict[int, list[int]] = {owner: [] for owner in owners}
        for row in await self.fetch(transaction, owners):
            found[row[self._owner]].append(row[self._other])
        return {owner: tuple(ids) for owner, ids in found.items()}

    def references(self, ids: Iterable[int], prefix: str = "") -> Iterator[Reference]:
        """Yield what an owner would be connected with."""
        for target in self._targets:
            for each in ids:
                yield Reference(f"{prefix}{self.field}", target, each, self.missing)

    async def write(
        self, transaction: Transaction, owner: int, ids: Sequence[int], stored: Iterable[Row]
    ) -> tuple[int, ...]:
        """Connect an owner with these alone, and return them in order.

        Raises ValidationFailedError, which names the field, for an id of nothing.

        Args:
            transaction: in which the owner's row is locked.
            owner: its id.
            ids: none of them twice.
            stored: the pairs that it has.
        """
        try:
            return (await self.write_each(transaction, {owner: ids}, stored))[owner]
        except asyncpg.ForeignKeyViolationError as error:
            raise ValidationFailedError({self.field: self.missing}) from error

    async def write_each(
        self, transaction: Transaction, ids: Mapping[int, Sequence[int]], stored: Iterable[Row]
    ) -> dict[int, tuple[int, ...]]:
        """Do the same for several owners, by two statements at most; the driver's errors pass."""
        before = {(row[self._owner], row[self._other]) for row in stored}
        after = {(owner, each) for owner, every in ids.items() for each in every}
        changes = ((self._delete, before - after), (self._insert, after - before))
        for statement, changed in changes:
            if changed:
                owners, others = zip(*sorted(changed), strict=True)
                given: Parameters = {_OWNERS: list(owners), _IDS: list(others)}
                await transaction.execute(statement, given)
        return {owner: tuple(sorted(every)) for owner, every in ids.items()}
