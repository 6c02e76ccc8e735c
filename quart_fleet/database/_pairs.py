"""Pairs: the rows of other tables that a row is connected with, by their ids."""

from collections.abc import Iterable, Sequence

import asyncpg
from sqlalchemy import Table, any_, bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY

from quart_fleet.database._statement import Row, Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.errors import ValidationFailedError, no_such

_OWNER, _OWNERS, _IDS = "owner", "owners", "ids"


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
        own = bindparam(_OWNER, type_=owner.type)
        owners = bindparam(_OWNERS, type_=ARRAY(owner.type))
        ids = bindparam(_IDS, type_=ARRAY(other.type))
        self._find = Statement(
            select(owner, other).where(owner == any_(owners)).order_by(owner, other)
        )
        self._insert = Statement(
            insert(table).from_select([owner, other], select(own, func.unnest(ids)))
        )
        self._delete = Statement(delete(table).where(owner == own, other == any_(ids)))

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
        before, after = {row[self._other] for row in stored}, set(ids)
        changes = ((self._delete, before - after), (self._insert, after - before))
        for statement, changed in changes:
            if changed:
                given = {_OWNER: owner, _IDS: sorted(changed)}
                try:
                    await transaction.execute(statement, given)
                except asyncpg.ForeignKeyViolationError as error:
                    raise ValidationFailedError({self.field: no_such(self._other)}) from error
        return tuple(sorted(after))
